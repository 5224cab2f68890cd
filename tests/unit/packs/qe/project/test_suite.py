"""The probe orders, selects and records; a suite that hangs is killed with its children."""

import json
import os
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from steersman.core.errors import DeadlineExceeded, InvalidInput, NotFound
from steersman.core.ports import Progress
from steersman.packs.qe.project.coverage_map import measure_coverage
from steersman.packs.qe.project.discovery import discover
from steersman.packs.qe.project.process import end_all
from steersman.packs.qe.project.reference import measure_reference
from steersman.packs.qe.project.sandbox import open_sandbox
from steersman.packs.qe.project.suite import NOTHING, Plan, Suite
from tests.unit.packs.qe.project.conftest import alive

Make = Callable[[Path, Mapping[str, str]], Path]
CART = "tests/test_cart.py"
SHOP = "tests/test_shop.py"


def test_everything_in_file_order_without_a_plan(suite: Suite) -> None:
    result = suite.run(Plan(), timeout_s=60)
    assert list(result.tests)[:3] == [f"{CART}::test_member", f"{CART}::test_guest", f"{SHOP}::test_price[1]"]
    assert len(result.tests) == 8
    assert not result.failures
    assert result.cpu_s > 0
    assert 0 < result.tests[f"{CART}::test_member"].at_s < result.wall_s


def test_the_plan_selects_and_orders(suite: Suite) -> None:
    order = (f"{SHOP}::test_stock", f"{CART}::test_guest", f"{SHOP}::test_price[50]")
    assert tuple(suite.run(Plan(order=order, rest=False), timeout_s=60).tests) == order
    rest = suite.run(Plan(order=order), timeout_s=60)
    assert tuple(rest.tests)[:3] == order
    assert len(rest.tests) == 8
    whole = suite.run(Plan(order=(f"{CART}::test_guest",), whole=(SHOP,), rest=False), timeout_s=60)
    assert len(whole.tests) == 7
    assert suite.run(Plan(rest=False), timeout_s=60) == NOTHING


def test_two_workers_run_the_same_tests(suite: Suite) -> None:
    order = (f"{SHOP}::test_stock", f"{CART}::test_guest", f"{SHOP}::test_price[50]")
    result = suite.run(Plan(order=order, rest=False, workers=2), timeout_s=60)
    assert set(result.tests) == set(order)
    assert not result.failures


def test_failures_and_their_times(suite: Suite) -> None:
    suite.sandbox.write("cart.py", suite.sandbox.read("cart.py").replace(">= 20", "> 20"))
    result = suite.run(Plan(order=(f"{CART}::test_member",)), timeout_s=60)
    assert list(result.failures) == [f"{CART}::test_member"]
    assert result.failures[f"{CART}::test_member"] == result.tests[f"{CART}::test_member"].at_s


def test_retries_tell_a_flaky_test_from_a_fault(suite: Suite) -> None:
    text = "tries = []\ndef test_second():\n    tries.append(1)\n    assert len(tries) > 1\n"
    suite.sandbox.write("tests/test_retry.py", text + "def test_never():\n    assert 0\n")
    result = suite.run(Plan(whole=("tests/test_retry.py",), rest=False, retry=1), timeout_s=60)
    second, never = (result.tests[f"tests/test_retry.py::test_{name}"] for name in ("second", "never"))
    assert (second.outcome, second.reruns) == ("passed", 1)
    assert (never.outcome, never.reruns) == ("failed", 1)


def test_a_file_that_cannot_be_imported_is_a_failure_of_that_file(suite: Suite) -> None:
    suite.sandbox.write("cart.py", "def cart(:\n")
    result = suite.run(Plan(), timeout_s=60)
    assert list(result.uncollected) == [CART]
    assert CART in result.failures
    assert len(result.tests) == 6


def test_a_plugin_is_loaded_for_those_who_name_it_alone(make: Make, tmp_path: Path) -> None:
    loaded = "import sys\n\n\ndef test_loaded():\n    assert ('fak' + 'er.contrib.pytest.plugin' in sys.modules) is {}\n"
    texts = {
        "with": loaded.format(True) + "\n\ndef test_named(faker):\n    assert faker.name()\n",
        "none": loaded.format(False),
    }
    for name, text in texts.items():
        root = make(tmp_path / name, {"shop.py": "", "test_shop.py": text})
        with open_sandbox(discover(root)) as sandbox:
            result = Suite(sandbox).run(Plan(), timeout_s=60)
        assert (len(result.tests), result.failures) == (text.count("def test"), {}), name


def test_a_usage_error_is_no_test_failure(suite: Suite) -> None:
    suite.sandbox.write("pytest.ini", "[pytest]\naddopts = --no-such-option\n")
    with pytest.raises(InvalidInput, match="no-such-option"):
        suite.run(Plan(), timeout_s=60)


def test_a_package_imported_from_elsewhere_is_refused(suite: Suite, shop: Path) -> None:
    suite.sandbox.write("conftest.py", f"import sys\nsys.path.insert(0, {str(shop)!r})\n")
    with pytest.raises(InvalidInput, match="not from the sandbox"):
        suite.run(Plan(), timeout_s=60)


HANG = """
import pathlib, subprocess, sys, time

def test_hangs():
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)
    pathlib.Path(__file__).with_name("child.pid").write_text(str(child.pid))
    time.sleep(600)
"""


@pytest.mark.skipif(not os.path.isdir("/proc"), reason="needs /proc")
def test_a_hanging_suite_is_killed_with_its_children(suite: Suite) -> None:
    suite.sandbox.write("tests/test_hang.py", HANG)
    plan = Plan(whole=("tests/test_hang.py",), order=(f"{CART}::test_guest",), rest=False)
    pid = suite.sandbox.root / "tests" / "child.pid"
    for timeout_s in (2.5, 5.0, 10.0, 20.0, 40.0):  # a busy machine may take seconds to come to the test that hangs
        result = suite.run(plan, timeout_s=timeout_s)
        assert result.timed_out
        if pid.exists():
            break
    assert f"{CART}::test_guest" in result.tests, "what was known before the end is kept"
    child = int(pid.read_text(encoding="utf-8"))
    deadline = time.monotonic() + 5
    while alive(child) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not alive(child)


def test_a_test_that_never_ends_is_cut_off_and_the_others_run(suite: Suite) -> None:
    suite.sandbox.write("tests/test_hang.py", "import time\n\n\ndef test_hangs():\n    time.sleep(600)\n")
    result = suite.run(Plan(), timeout_s=41)
    hangs = result.tests["tests/test_hang.py::test_hangs"]
    assert (hangs.failed, hangs.broke_off, result.timed_out) == (True, True, False)
    assert len(result.tests) == 9
    assert len(result.failures) == 1


def test_a_worker_that_hangs_does_not_keep_the_run_until_its_limit(suite: Suite) -> None:
    """No signal cuts the test off, nor the end of its module, and the other worker is done long before."""
    text = (
        "import signal, time\n\n\ndef test_{0}():\n    pass\n\n\ndef teardown_module():\n"
        "    signal.pthread_sigmask(signal.SIG_BLOCK, {{signal.SIGALRM}})\n    time.sleep({1})\n"
    )
    suite.sandbox.write("tests/test_hang.py", text.format("hangs", 600))
    suite.sandbox.write("tests/test_ends.py", text.format("ends", 0))
    plan = Plan(order=("tests/test_hang.py::test_hangs", "tests/test_ends.py::test_ends"), rest=False, workers=2)
    result = suite.run(plan, timeout_s=60)
    assert (result.timed_out, result.unfinished) == (False, ("tests/test_hang.py::test_hangs",))
    assert result.failures.keys() == {"tests/test_hang.py::test_hangs"}


def test_a_test_that_ends_the_run_has_failed_and_stands_alone_with_it(suite: Suite) -> None:
    suite.sandbox.write("tests/test_ends.py", "import os\n\n\ndef test_ends():\n    os._exit(0)\n")
    result = suite.run(Plan(), timeout_s=60)
    assert result.unfinished == ("tests/test_ends.py::test_ends",)
    assert result.broke_off == {"tests/test_ends.py::test_ends"}
    suite.left_out = result.broke_off
    again = suite.run(Plan(), timeout_s=60)
    assert (len(again.tests), again.unfinished, again.failures) == (8, (), {})


def test_after_its_deadline_a_suite_is_not_run_and_a_run_that_it_cuts_is_none(shop: Path) -> None:
    with open_sandbox(discover(shop)) as sandbox:
        suite = Suite(sandbox, deadline=time.monotonic() + 3.0)
        suite.sandbox.write("tests/test_hang.py", HANG)
        for _ in range(2):
            with pytest.raises(DeadlineExceeded, match="is over"):
                suite.run(Plan(), timeout_s=60)
        plan = json.loads((sandbox.scratch / "plan.json").read_text(encoding="utf-8"))
        assert plan["limit_s"] == 15.0, "a slow test must not fail because little time is left"


def test_what_a_test_usually_takes_is_not_cut_off(suite: Suite, progress: Progress) -> None:
    reference = measure_reference(suite, timeout_s=60, progress=progress)
    assert suite.slowest_s == reference.slowest_s == max(reference.durations_s.values())
    suite.slowest_s = 12.0
    suite.run(Plan(whole=(CART,), rest=False), timeout_s=46)
    plan = json.loads((suite.sandbox.scratch / "plan.json").read_text(encoding="utf-8"))
    assert plan["limit_s"] == 36.0


def test_what_a_passing_test_leaves_behind_ends_with_the_run(suite: Suite) -> None:
    """A service in a session of its own, which belongs to no group that could be killed."""
    suite.sandbox.write("tests/test_hang.py", HANG.replace("    time.sleep(600)\n", ""))
    result = suite.run(Plan(whole=("tests/test_hang.py",), rest=False), timeout_s=60)
    assert not result.failures
    assert not alive(int((suite.sandbox.root / "tests" / "child.pid").read_text(encoding="utf-8")))


def test_a_thread_that_never_ends_does_not_keep_the_run(suite: Suite) -> None:
    text = "import threading, time\n\n\ndef test_starts():\n    threading.Thread(target=time.sleep, args=[600]).start()\n"
    suite.sandbox.write("tests/test_thread.py", text)
    result = suite.run(Plan(), timeout_s=300)
    assert (len(result.tests), result.failures, result.timed_out) == (9, {}, False)


def test_interrupted_threads_start_nothing_more(suite: Suite) -> None:
    suite.sandbox.write("tests/test_hang.py", HANG)
    seen: list[BaseException] = []

    def work() -> None:
        for _ in range(2):
            try:
                suite.run(Plan(), timeout_s=300)
            except DeadlineExceeded as error:
                seen.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    child = suite.sandbox.root / "tests" / "child.pid"
    deadline = time.monotonic() + 120
    while not child.exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    end_all()
    thread.join(60)
    assert not thread.is_alive()
    assert len(seen) == 2


def test_the_coverage_map_says_which_test_runs_which_line(suite: Suite) -> None:
    _, coverage = measure_coverage(suite, timeout_s=60)
    lines = suite.sandbox.read("shop.py").splitlines()
    discount = next(i for i, line in enumerate(lines, 1) if "total - 10" in line)
    assert coverage.tests_of("shop.py", [discount]) == frozenset({f"{SHOP}::test_price[101]", f"{SHOP}::test_price[200]"})
    definition = next(i for i, line in enumerate(lines, 1) if line.startswith("def price"))
    assert coverage.tests_of("shop.py", [definition]) is None, "it runs at import: any test may see it"
    assert f"{CART}::test_guest" in coverage.tests_of_file("shop.py")


def test_the_reference_leaves_out_what_fails_already(suite: Suite, progress: Progress) -> None:
    suite.sandbox.write("tests/test_old.py", "def test_broken():\n    assert 0\n")
    reference = measure_reference(suite, timeout_s=60, progress=progress)
    assert reference.failing == {"tests/test_old.py::test_broken"}
    assert len(reference.collected) == 8
    assert reference.expected_s(frozenset()) == reference.wall_s
    assert reference.expected_s(frozenset({f"{CART}::test_guest"})) < reference.wall_s


def test_a_reference_needs_tests_that_end_and_pass(suite: Suite, progress: Progress) -> None:
    suite.sandbox.write("tests/test_hang.py", HANG)
    with pytest.raises(DeadlineExceeded, match=r"killed with its children.*--timeout"):
        measure_reference(suite, timeout_s=2, progress=progress)
    for name in ("hang", "cart", "shop"):
        suite.sandbox.write(f"tests/test_{name}.py", "")
    with pytest.raises(NotFound, match="collects no test"):
        measure_reference(suite, timeout_s=60, progress=progress)
    suite.sandbox.write("tests/test_cart.py", "def test_no():\n    assert 0\n")
    with pytest.raises(InvalidInput, match=r"no test of.*: 1 failed \(tests/test_cart\.py::test_no\)"):
        measure_reference(suite, timeout_s=60, progress=progress)


@pytest.mark.parametrize("number", [2, 3])
def test_the_reference_is_no_run_that_broke_off(suite: Suite, progress: Progress, number: int, tmp_path: Path) -> None:
    """The second run and the third are the plain ones, of which the shorter is the reference."""
    text = (
        "import os, pathlib\n\n\ndef test_a():\n"
        f"    runs = pathlib.Path({str(tmp_path / 'runs')!r})\n    runs.open('a').write('.')\n"
        f"    if runs.stat().st_size == {number}:\n        os._exit(0)\n\n\n"
        "def test_later():\n    pass\n"
    )
    suite.sandbox.write("tests/test_a.py", text)
    reference = measure_reference(suite, timeout_s=60, progress=progress)
    assert reference.hanging == {"tests/test_a.py::test_a"} == suite.left_out
    assert len(reference.collected) == 9, "those of the shop, and the later one"
    assert reference.flaky == frozenset()


def test_a_suite_that_breaks_off_in_one_test_after_the_other_is_no_reference(suite: Suite, progress: Progress) -> None:
    tests = "".join(f"def test_{number}():\n    os._exit(0)\n\n\n" for number in range(6))
    suite.sandbox.write("tests/test_a.py", f"import os\n\n\n{tests}")
    with pytest.raises(InvalidInput, match=r"one test after the other, last in tests/test_a\.py::test_4"):
        measure_reference(suite, timeout_s=60, progress=progress)


def test_the_reference_leaves_out_what_never_ends_or_ends_the_run(suite: Suite, progress: Progress) -> None:
    suite.sandbox.write(
        "tests/test_ends.py", "import os\n\n\ndef test_ends():\n    os._exit(0)\n\n\ndef test_well():\n    pass\n"
    )
    reference = measure_reference(suite, timeout_s=60, progress=progress)
    assert reference.hanging == {"tests/test_ends.py::test_ends"} == reference.failing
    assert "tests/test_ends.py::test_well" in reference.collected
    assert reference.coverage.available
    assert not suite.run(Plan(), timeout_s=60).failures, "it is not started again"

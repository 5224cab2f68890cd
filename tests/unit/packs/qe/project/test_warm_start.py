"""A run that is forked off a loaded pytest is as fresh as one in a process of its own, and leaves as little."""

import os
import shlex
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from steersman.packs.qe.project import warm_start
from steersman.packs.qe.project.discovery import discover
from steersman.packs.qe.project.sandbox import open_sandbox
from steersman.packs.qe.project.suite import Plan, RunResult, Suite
from tests.unit.packs.qe.project.conftest import alive

Make = Callable[[Path, Mapping[str, str]], Path]
SELF = """
import os, pathlib, random, sys

def test_who():
    with pathlib.Path(__file__).with_name("who").open("a") as file:
        print(os.getpid(), os.getppid(), random.random(), os.environ.get("COLOUR"), hash("a"), *sys.path, file=file)
    assert not hasattr(os, "been_here")
    os.been_here = True
"""

pytestmark = pytest.mark.skipif(not hasattr(os, "fork") or sys.platform == "darwin", reason="nothing is forked here")


def outcomes(result: RunResult) -> dict[str, str]:
    return {name: each.outcome for name, each in result.tests.items()}


def who(suite: Suite) -> list[list[str]]:
    text = (suite.sandbox.root / "tests" / "who").read_text(encoding="utf-8")
    return [line.split() for line in text.splitlines()]


def test_each_run_is_fresh_and_like_one_that_is_timed(suite: Suite) -> None:
    suite.sandbox.write("tests/test_self.py", SELF)
    timed, *forked = (suite.run(Plan(), timeout_s=60, timed=timed) for timed in (True, False, False))
    assert outcomes(timed) == outcomes(forked[0]) == outcomes(forked[1])
    assert not timed.failures
    (_, mine, _, *told), (one, parent, first, *told_1), (other, again, second, *told_2) = who(suite)
    assert told == told_1 == told_2, "environment, hashes and the path of imports"
    assert mine == str(os.getpid())
    assert parent == again != mine
    assert one != other
    assert first != second, "chance is not shared"
    assert all(each.cpu_s > 0.0 and 5.0 < each.peak_mb < 500.0 for each in forked)


def test_a_run_has_variables_of_its_own_and_one_that_is_read_at_the_start_gets_a_process(suite: Suite) -> None:
    suite.sandbox.write("tests/test_self.py", SELF)
    suite.run(Plan(), timeout_s=60)
    with suite.under(COLOUR="red"):
        suite.run(Plan(), timeout_s=60)
    with suite.under(PYTHONHASHSEED="7"):
        suite.run(Plan(), timeout_s=60)
    plain, red, seeded = who(suite)
    assert (plain[3], red[3], plain[1]) == ("None", "red", red[1])
    assert seeded[1] == str(os.getpid())
    assert seeded[4] != plain[4]


def test_what_a_change_does_is_seen(suite: Suite) -> None:
    assert not suite.run(Plan(), timeout_s=60).failures
    suite.sandbox.write("cart.py", suite.sandbox.read("cart.py").replace(">= 20", "> 20"))
    assert list(suite.run(Plan(), timeout_s=60).failures) == ["tests/test_cart.py::test_member"]
    suite.sandbox.write("tests/test_new.py", "def test_new():\n    pass\n")
    assert "tests/test_new.py::test_new" in suite.run(Plan(), timeout_s=60).tests
    assert forks(suite)


def test_after_a_run_that_was_killed_or_ended_itself_the_next_one_is_forked_and_told_apart(suite: Suite) -> None:
    suite.sandbox.write("tests/test_self.py", SELF)
    suite.sandbox.write("tests/test_a.py", "import time\n\n\ndef test_a():\n    time.sleep(600)\n")
    assert suite.run(Plan(whole=("tests/test_a.py",), rest=False), timeout_s=4).timed_out
    suite.sandbox.write("tests/test_a.py", "import os\n\n\ndef test_a():\n    os._exit(7)\n")
    ended = suite.run(Plan(whole=("tests/test_a.py",), rest=False), timeout_s=60)
    assert (ended.unfinished, ended.timed_out) == (("tests/test_a.py::test_a",), False)
    suite.sandbox.write("tests/test_a.py", "def test_a():\n    pass\n")
    result = suite.run(Plan(), timeout_s=60)
    assert (len(result.tests), result.failures, result.timed_out) == (10, {}, False)
    assert forks(suite)
    assert who(suite)[0][1] != str(os.getpid())


def test_a_run_has_the_memory_it_is_allowed(suite: Suite) -> None:
    suite.sandbox.write("tests/test_large.py", "def test_large():\n    assert bytearray(600_000_000)\n")
    plan = Plan(whole=("tests/test_large.py",), rest=False)
    assert not suite.run(plan, timeout_s=60).failures
    suite.memory_mb = 400.0
    assert list(suite.run(plan, timeout_s=60).failures) == ["tests/test_large.py::test_large"]
    assert forks(suite)


@pytest.mark.skipif(not os.path.isdir("/proc"), reason="needs /proc")
def test_a_fork_that_leaves_its_session_ends_with_the_run(suite: Suite) -> None:
    text = (
        "import os, pathlib, time\n\n\ndef test_leaves():\n    pid = os.fork()\n    if not pid:\n        os.setsid()\n"
        "        time.sleep(600)\n        os._exit(0)\n    pathlib.Path(__file__).with_name('pid').write_text(str(pid))\n"
    )
    suite.sandbox.write("tests/test_leaves.py", text)
    assert not suite.run(Plan(), timeout_s=60).failures
    pid = int((suite.sandbox.root / "tests" / "pid").read_text(encoding="utf-8"))
    deadline = time.monotonic() + 5.0
    while alive(pid) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not alive(pid)
    suite.sandbox.write("tests/test_self.py", SELF)
    assert not suite.run(Plan(), timeout_s=60).failures
    assert who(suite)[0][1] != str(os.getpid()), "what it was forked off is there still"


def test_where_a_test_kills_what_it_was_forked_off_processes_are_started(suite: Suite) -> None:
    text = f"import os, signal\n\n\ndef test_kills():\n    if os.getppid() != {os.getpid()}:\n"
    suite.sandbox.write("tests/test_kills.py", f"{text}        os.kill(os.getppid(), signal.SIGKILL)\n")
    suite.sandbox.write("tests/test_self.py", SELF)
    for _ in range(2):
        result = suite.run(Plan(), timeout_s=60)
        assert (len(result.tests), result.failures) == (10, {})
    assert suite.sandbox.warm.unusable == "it has ended"
    assert {parent for _, parent, *_ in who(suite)[-2:]} == {str(os.getpid())}


def test_a_project_that_holds_a_part_of_pytest_gets_processes(make: Make, tmp_path: Path) -> None:
    """A fork would run that part as it was before a change."""
    part = Path(shlex.__file__).read_text(encoding="utf-8")
    root = make(tmp_path / "p", {"shlex.py": part, "test_self.py": SELF})
    with open_sandbox(discover(root)) as sandbox:
        assert not Suite(sandbox).run(Plan(), timeout_s=60).failures
        assert (sandbox.root / "who").read_text(encoding="utf-8").split()[1] == str(os.getpid())
        assert "shlex.py belongs to the project" in sandbox.warm.unusable


@pytest.mark.parametrize(
    ("leader", "why"),
    [
        ("raise SystemExit(3)", "it has ended"),
        ("import os, sys, time\nos.write(int(sys.argv[1]), b'{}\\n')\ntime.sleep(600)", "does not say whether it is ready"),
        ("import time\ntime.sleep(600)", "not loaded in time"),
    ],
)
def test_where_nothing_is_loaded_processes_are_started(
    suite: Suite, tmp_path: Path, leader: str, why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "leader.py").write_text(leader, encoding="utf-8")
    if "in time" in why:
        monkeypatch.setattr(warm_start, "_LOAD_S", 0.5)
    monkeypatch.setattr(warm_start, "FORKS", tmp_path / "leader.py")
    assert len(suite.run(Plan(), timeout_s=60).tests) == 8
    assert why in suite.sandbox.warm.unusable
    before = suite.sandbox.warm.unusable
    suite.sandbox.warm.close()
    assert suite.sandbox.warm.unusable == before, "it can be closed more than once"


def test_it_ends_with_the_sandbox(shop: Path) -> None:
    with open_sandbox(discover(shop)) as sandbox:
        suite = Suite(sandbox)
        suite.sandbox.write("tests/test_self.py", SELF)
        suite.run(Plan(), timeout_s=60)
        leader = int(who(suite)[0][1])
        assert alive(leader)
    assert not alive(leader)
    assert not sandbox.warm.ready(sandbox.environment(), 1.0, lambda: False)
    assert sandbox.warm.run([], env={}, timeout_s=1.0, log=shop, memory_mb=0.0, stop=lambda: False) is None


def forks(suite: Suite) -> bool:
    return suite.sandbox.warm.unusable == ""

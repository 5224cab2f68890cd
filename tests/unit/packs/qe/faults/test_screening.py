"""What the suite shows of a fault is killed, and nothing else is: not by tests that lean on others, hang or are flaky."""

import math
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from steersman.packs.qe.faults import screening
from steersman.packs.qe.faults.fate import Judged
from steersman.packs.qe.faults.mutation import Fault, candidates
from steersman.packs.qe.faults.screening import Court, screen
from steersman.packs.qe.project.discovery import discover
from steersman.packs.qe.project.reference import Reference, measure_reference
from steersman.packs.qe.project.sandbox import open_sandbox
from steersman.packs.qe.project.suite import Suite
from tests.unit.packs.qe.conftest import Lines, write

SOURCE = """import sys


def double(a):
    return a * 2


def least(a, b):
    if a < b:
        return a
    return b


def nobody(a):
    return a + 1


def elsewhere(a):
    return a + 3


def count(n):
    while n > 0:
        n = n - 1
    return n


def base():
    return 10 - 3


READY = base()

if __name__ == "__main__":
    print(elsewhere(int(sys.argv[1])))
"""
TESTS = """import subprocess
import sys

import calc

SEEN = []


def test_first():
    SEEN.append(1)
    assert calc.double(2) == 4


def test_second():
    assert SEEN and calc.double(3) == 6  # leans on the first


def test_least():
    assert calc.least(1, 2) == 1


def test_elsewhere():
    done = subprocess.run([sys.executable, calc.__file__, "1"], capture_output=True, text=True)
    assert done.stdout == "4\\n"


def test_count():
    assert calc.count(3) == 0


def test_ready():
    assert calc.READY == 7
"""
World = tuple[Path, Reference]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    root = write(tmp_path_factory.mktemp("calc"), {"calc.py": SOURCE, "test_calc.py": TESTS})
    with open_sandbox(discover(root)) as sandbox:
        yield root, measure_reference(Suite(sandbox), timeout_s=120, progress=Lines())


def fault(line: int, operator: str) -> Fault:
    return next(each for each in candidates("calc.py", SOURCE) if (each.line, each.operator) == (line, operator))


def judge(world: World, *chosen: Fault, thorough: bool = True, reference: Reference | None = None) -> list[Judged]:
    court = Court(discover(world[0]), reference or world[1], timeout_s=60, workers=2, memory_mb=0, thorough=thorough)
    with closing(court.judge(chosen)) as answers:
        return list(answers)


def test_fates_in_the_order_given(world: World) -> None:
    chosen = [fault(5, "arithmetic"), fault(9, "comparison"), fault(15, "arithmetic"), fault(29, "arithmetic")]
    found = judge(world, *chosen)
    assert [each.fault for each in found] == chosen
    assert [each.fate for each in found] == ["killed", "survived", "uncovered", "killed"]
    assert found[0].killers == ("test_calc.py::test_second",)  # 2 * 2 is 2 + 2, 3 * 2 is not 3 + 2
    assert found[3].killers == ("test_calc.py::test_ready",)  # what runs at import, any test may show
    assert all(each.cpu_s > 0 for each in found if each.fate != "uncovered")


def test_what_the_map_does_not_see_is_seen_by_the_whole_suite(world: World) -> None:
    hidden, unseen = fault(19, "arithmetic"), fault(15, "arithmetic")
    assert [each.fate for each in judge(world, hidden, unseen)] == ["killed", "uncovered"]
    assert [each.fate for each in judge(world, hidden, unseen, thorough=False)] == ["uncovered", "uncovered"]


def test_a_test_that_leans_on_others_is_no_proof(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Alone, `test_second` fails with and without a fault."""
    monkeypatch.setattr(screening, "SHORT_S", 0.0)
    covering = {line: frozenset({"test_calc.py::test_second"}) for line in (5, 9)}
    coverage = replace(world[1].coverage, lines={"calc.py": covering})
    leaning = replace(world[1], coverage=coverage)
    assert [each.fate for each in judge(world, fault(9, "comparison"), reference=leaning)] == ["survived"]
    assert [each.fate for each in judge(world, fault(9, "comparison"), reference=leaning, thorough=False)] == ["killed"]


def test_a_fault_that_hangs_is_told_from_one_that_is_shown(world: World) -> None:
    endless = fault(24, "deleted statement")
    (found,) = judge(world, endless)
    assert (found.fate, found.killers) == ("timed out", ())


def test_what_our_own_time_cuts_off_says_nothing_of_a_fault(world: World) -> None:
    """A second is less than a run of its own limit; where even starting took longer, nothing ran either."""
    for left_s in (0.0, 1.0):
        court = Court(discover(world[0]), world[1], timeout_s=60, workers=1, memory_mb=0, deadline=time.monotonic() + left_s)
        with closing(court.judge([fault(24, "deleted statement"), fault(19, "arithmetic")])) as answers:
            assert [each.fate for each in answers] == ["not run", "not run"]


def test_a_fault_that_breaks_the_import_is_killed_and_no_use_in_a_pool(world: World) -> None:
    broken = replace(fault(29, "arithmetic"), after="/ 0 -")
    (found,) = judge(world, broken)
    assert (found.fate, found.killers) == ("killed", ("test_calc.py",))
    pool = screen(
        discover(world[0]), [broken, fault(5, "arithmetic")], world[1],
        target=2, timeout_s=60, deadline=math.inf, workers=1, memory_mb=0, progress=Lines(),
    )  # fmt: skip
    assert dict(pool.dropped) == {"broke collection": 1}
    assert set(pool.killers.values()) == {frozenset({"test_calc.py::test_second"})}


def test_a_sole_test_must_fail_twice(tmp_path: Path) -> None:
    """It fails once in all: the first time that it runs after the reference was measured."""
    flag = tmp_path / "flag"
    text = f"""import pathlib
import calc

def test_now_and_then():
    calc.double(1)
    flag = pathlib.Path({str(flag)!r})
    if flag.exists():
        flag.unlink()
        raise OSError("the network is away for a moment")
"""
    root = write(tmp_path / "p", {"calc.py": SOURCE, "test_calc.py": text})
    with open_sandbox(discover(root)) as sandbox:
        world = root, measure_reference(Suite(sandbox), timeout_s=60, progress=Lines())
    flag.touch()
    assert [each.fate for each in judge(world, fault(5, "arithmetic"))] == ["survived"]
    flag.touch()
    assert [each.fate for each in judge(world, fault(5, "arithmetic"), thorough=False)] == ["killed"]


def test_an_early_end_leaves_nothing(world: World, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    court = Court(discover(world[0]), world[1], timeout_s=60, workers=2, memory_mb=0)
    with closing(court.judge([fault(5, "arithmetic"), fault(24, "deleted statement")])) as answers:
        next(answers)
    assert list(tmp_path.iterdir()) == []

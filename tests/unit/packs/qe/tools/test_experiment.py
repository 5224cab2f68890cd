"""A chaos experiment shows what a local process cannot take, keeps its limits, and leaves nothing running."""

import contextlib
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from steersman.packs.qe.plants.fragility import KINDS, Operation, operation, plant_service, service
from steersman.packs.qe.tools.experiment import MOST_ERRORS, Experiment, Place, experiment, steady_state
from steersman.packs.qe.tools.fragile_code import CALL_WITHOUT_LIMIT, WORKER_WITHOUT_CHECK, suspicions

Injure = Callable[[Sequence[Operation], str], Experiment]
REACHES = {"latency": ("call",), "partition": ("call",), "kill": ("worker",), "resource": ("store", "load")}
CASES = [(fault, kind, variant) for fault, kinds in REACHES.items() for kind in kinds for variant in KINDS[kind]]


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """Where a service runs: by this interpreter, in a folder of its own."""
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    return Place(interpreter=sys.executable, file=tmp_path / "service.py", scratch=scratch, environment=dict(os.environ))


@pytest.fixture
def injure(place: Place) -> Injure:
    """Return what runs an experiment on operations."""

    def run(operations: Sequence[Operation], fault: str) -> Experiment:
        place.file.write_text(service(operations, file=place.file.name).text, encoding="utf-8")
        return experiment(place, [each.name for each in operations], fault, 60.0)

    return run


@pytest.mark.parametrize(("fault", "kind", "variant"), CASES)
def test_an_experiment_shows_a_weakness_where_there_is_one_and_only_there(
    injure: Injure, fault: str, kind: str, variant: str
) -> None:
    one = operation("one", kind, variant)
    (seen,) = injure([one], fault).seen
    assert bool(seen.how) == (fault in one.weak_to), seen


def test_what_comes_back_after_a_restart_is_told_from_what_stays_ill(injure: Injure) -> None:
    robust = [operation(f"robust_{number}", "load", "in pieces") for number in range(6)]
    done = injure([operation("empty", "store", "written over"), operation("whole", "load", "whole"), *robust], "resource")
    found = {each.operation: each.recovered for each in done.weak}
    assert found == {"empty": False, "whole": True}
    assert done.errors == 4, "two at the fault, and two more where a restart did not help"


def test_an_experiment_ends_with_the_first_error_over_its_budget(injure: Injure) -> None:
    done = injure([operation(f"call_{number}", "call", "naive") for number in range(8)], "partition")
    assert done.stopped.startswith("more than 5%")
    assert done.errors == int(MOST_ERRORS * done.requests) + 1
    assert len(done.seen) < 8


def test_an_experiment_ends_when_its_time_is_over(place: Place) -> None:
    place.file.write_text(service([operation("call", "call", "bounded")], file="service.py").text, encoding="utf-8")
    done = experiment(place, ["call"], "latency", 0.0)
    assert (done.seen, done.stopped) == ((), "its 0 s were over")


def test_nothing_is_left_running_and_nothing_is_left_behind(injure: Injure, place: Place) -> None:
    injure([operation("worker", "worker", "lock left behind"), operation("call", "call", "unbounded")], "kill")
    running = []
    for each in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            running.append(each.read_bytes())
    assert not [line for line in running if str(place.file).encode() in line]
    assert not [*place.scratch.iterdir()]


def test_a_service_that_is_ill_before_any_fault_is_seen(place: Place) -> None:
    ill = service([operation(f"call_{n}", "call", "bounded") for n in range(2)], file="service.py", sick=True)
    place.file.write_text(ill.text, encoding="utf-8")
    done = steady_state(place, ["call_0", "call_1"], 60.0)
    assert (done.error_rate, [each.operation for each in done.weak]) == (0.25, ["call_1"])


def test_one_seed_plants_the_same_and_robust_operations_stand_beside_fragile_ones() -> None:
    first, second = (plant_service(np.random.default_rng(3)) for _ in range(2))
    assert first == second
    compile(first.text, first.file, "exec")
    many = [each for seed in range(20) for each in plant_service(np.random.default_rng(seed)).operations]
    assert 0.25 < np.mean([bool(each.weak_to) for each in many]) < 0.75


@pytest.mark.parametrize(
    ("source", "kinds"),
    [
        ("def f(u):\n    try:\n        return urlopen(u, timeout=2)\n    except OSError:\n        return None\n", []),
        ("def f(u):\n    try:\n        return urlopen(u)\n    except OSError:\n        return None\n", [CALL_WITHOUT_LIMIT]),
        ("def f(c):\n    return subprocess.Popen(c)\n", [WORKER_WITHOUT_CHECK]),
        ("def f(c):\n    return subprocess.Popen(c).wait()\n", []),
        ("def f(", []),
    ],
)
def test_reading_makes_suspicious_what_has_no_limit(source: str, kinds: list[str]) -> None:
    assert [each.kind for each in suspicions(source)] == kinds

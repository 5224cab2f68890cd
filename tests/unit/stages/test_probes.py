"""A guard is alive if it refuses its probe in time; nothing else proves it."""

from collections.abc import Iterable
from itertools import count

from steersman.core.guards import Guard, Refusal
from steersman.core.state import StateValues
from steersman.stages.monitor.probes import prove

PROBE: StateValues = {"load": 95}


def alive(state: StateValues) -> Iterable[Refusal]:
    return [Refusal(where={}, reason="too much")] if float(state["load"]) > 90 else []


def broken(state: StateValues) -> Iterable[Refusal]:
    raise KeyError("load")


def late() -> Iterable[float]:
    """Yield the times of a clock of which each look takes a second."""
    return (float(each) for each in count())


def still() -> float:
    return 0.0


def test_a_guard_that_refuses_its_probe_is_alive() -> None:
    assert prove([Guard(name="load", refuse=alive, probe=PROBE)], still) == {"load": True}


def test_a_guard_that_lets_its_probe_pass_or_raises_is_dead() -> None:
    guards = [
        Guard(name="open", refuse=lambda state: [], probe=PROBE),
        Guard(name="broken", refuse=broken, probe=PROBE),
        Guard(name="calm", refuse=alive, probe={"load": 5}),
    ]
    assert prove(guards, still) == {"open": False, "broken": False, "calm": False}


def test_a_guard_that_answers_late_is_dead() -> None:
    clock = iter(late())
    assert prove([Guard(name="load", refuse=alive, probe=PROBE)], lambda: next(clock)) == {"load": False}


def test_a_guard_without_a_probe_proves_nothing() -> None:
    assert prove([Guard(name="load", refuse=alive)], still) == {}

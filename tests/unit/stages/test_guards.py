"""Guards: the strictest of all limits holds, and what fails denies."""

import time
from collections.abc import Iterable

import pytest

from steersman.core.actions import ActionSpace
from steersman.core.guards import Guard, Refusal, limit
from steersman.core.state import StateValues
from steersman.stages.decide.guards import Guards

SPACE = ActionSpace({"workers": (1, 2, 4, 8), "order": ("file", "fast")})


def _guards(*guards: Guard) -> Guards:
    return Guards(guards, SPACE, time.perf_counter)


def _raise(state: StateValues) -> Iterable[Refusal]:
    raise RuntimeError("no idea")


def _sleep(state: StateValues) -> Iterable[Refusal]:
    time.sleep(0.02)
    return []


def test_limits_of_several_guards_combine_by_the_strictest() -> None:
    narrowed = _guards(
        limit("cores", "workers", (1, 2, 4, 8), lambda s: 4, "cores"),
        limit("memory", "workers", (1, 2, 4, 8), lambda s: 2, "workers"),
    ).narrow({})
    assert {SPACE.actions[i]["workers"] for i in narrowed.allowed.nonzero()[0]} == {1, 2}
    assert [(each.guard, each.where) for each in narrowed.refusals] == [
        ("cores", {"workers": 8}),
        ("memory", {"workers": 4}),
        ("memory", {"workers": 8}),
    ]
    assert "over the limit of 2" in narrowed.refusals[-1].reason


@pytest.mark.parametrize(
    ("guard", "reason"),
    [
        (Guard(name="g", refuse=_raise), "RuntimeError: no idea"),
        (Guard(name="g", refuse=_sleep, deadline_ms=1.0), "its deadline is 1 ms"),
        (Guard(name="g", refuse=lambda s: [Refusal(where={"workers": 3}, reason="?")]), "3 is not a choice"),
        (Guard(name="g", refuse=lambda s: None), "TypeError"),  # type: ignore[arg-type,return-value]  # wrong on purpose
    ],
)
def test_a_guard_that_fails_denies_everything(guard: Guard, reason: str) -> None:
    narrowed = _guards(guard).narrow({})
    assert not narrowed.allowed.any()
    assert reason in narrowed.refusals[0].reason


def test_a_refusal_may_join_several_dimensions() -> None:
    narrowed = _guards(
        Guard(name="g", refuse=lambda s: [Refusal(where={"workers": 8, "order": "fast"}, reason="both")])
    ).narrow({})
    assert narrowed.allowed.sum() == len(SPACE) - 1


def test_the_cache_of_masks_is_bounded_and_read_only() -> None:
    level = 0.0
    guards = _guards(limit("l", "workers", (1, 2, 4, 8), lambda s: level, "x"))
    for _ in range(3):
        level += 1
        assert not guards.narrow({}).allowed.flags.writeable
    assert len(guards._masks) == 3  # nothing refused, one worker allowed, two allowed (and three as two)

"""Plans of releases: how they are written, which are refused, and what comes next by what was seen."""

from typing import Any

import pytest

from steersman.core.errors import InvalidInput
from steersman.core.sections import Release
from steersman.core.versions import Deployment
from steersman.stages.release.plan import Standing, check_reach, following, in_words, steps

PLAN = "shadow 1h, 10% 24h, 50% 24h"
GOOD = Standing(units=(200, 900))
HOUR = 3_600.0


def _at(step: int, **changed: Any) -> Deployment:
    """Return a trial in a step of the plan that began at 0."""
    given: dict[str, Any] = {"champion": "a" * 64, "challenger": "b" * 64, "release": "r", "stages": PLAN, "step": step}
    return Deployment(agent="x", number=3, at=0.0, actor="steersman", move="advanced", reason="", **{**given, **changed})


def test_a_plan_reads_back_as_it_was_written() -> None:
    found = steps("shadow 90m, 12.5 % 1.5d, 50% 2h")
    assert [(each.stage, each.share, each.lasts_s) for each in found] == [
        ("shadow", 0.0, 5_400.0),
        ("canary", 0.125, 129_600.0),
        ("canary", 0.5, 7_200.0),
    ]
    assert steps(in_words(found)) == found
    assert in_words(steps(PLAN)) == "shadow 1h, 10% 1d, 50% 1d"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "is no step"),
        ("10%", "is no step"),
        ("10% 24 hours", "is no step"),
        ("shadow 1h", "cannot be shown"),
        ("10% 1h, shadow 1h", "shadow comes first"),
        ("50% 1h, 10% 1h", "must rise"),
        ("10% 1h, 10% 1h", "must rise"),
        ("100% 1h", "between 0 and 100"),
        ("0% 1h", "between 0 and 100"),
    ],
)
def test_what_is_no_plan_is_refused_with_the_reason(text: str, why: str) -> None:
    with pytest.raises(InvalidInput, match=why):
        steps(text)


def test_a_step_that_cannot_see_enough_is_refused() -> None:
    """At 20 subjects a day 10 % for a day sees two of a hundred: fifty times too few."""
    with pytest.raises(InvalidInput, match="10% 1d cannot reach its evidence"):
        check_reach(steps(PLAN), Release(), 20.0)
    check_reach(steps(PLAN), Release(), 200.0)
    check_reach(steps(PLAN), Release(), None)


def test_a_margin_of_nothing_is_refused() -> None:
    with pytest.raises(InvalidInput, match="must be above 0"):
        check_reach(steps(PLAN), Release(margin=0.0), None)


@pytest.mark.parametrize(
    ("step", "hours", "standing", "expected"),
    [
        (0, 0.5, Standing(units=(0, 0)), "wait"),
        (0, 1.0, Standing(units=(0, 0)), "advance"),
        (1, 23.0, GOOD, "wait"),
        (1, 24.0, GOOD, "advance"),
        (1, 24.0, Standing(units=(99, 900)), "wait"),
        (1, 24.0, Standing(units=(200, 900), open=("reward",)), "advance"),
        (2, 24.0, Standing(units=(200, 900), open=("reward",)), "wait"),
        (2, 24.0, GOOD, "promote"),
        (2, 23.9, GOOD, "wait"),
    ],
)
def test_time_and_evidence_lead_on_and_what_is_open_waits(
    step: int, hours: float, standing: Standing, expected: str
) -> None:
    """The last step is left only where nothing is open: inconclusive means hold."""
    assert following(_at(step), standing, Release(mode="staged"), hours * HOUR).next == expected


@pytest.mark.parametrize("hours", [-5.0, 0.1, 24.0])
@pytest.mark.parametrize("changed", [{}, {"held": "by me"}, {"waits_for_person": True}])
@pytest.mark.parametrize("harm", [{"worse": ("success",)}, {"broken": ("reward",)}])
def test_harm_rolls_back_at_any_time(hours: float, changed: dict[str, Any], harm: dict[str, Any]) -> None:
    """Held or waiting, early or by a clock that went back: harm that is sure ends the trial, and says in what."""
    decided = following(_at(1, **changed), Standing(units=(5, 5), **harm), Release(), hours * HOUR)
    assert decided.next == "roll back"
    assert next(iter(harm.values()))[0] in decided.reason


def test_a_mismatch_of_arms_holds_and_what_is_held_waits() -> None:
    doubtful = Standing(units=(200, 900), mismatch=True)
    assert following(_at(2), doubtful, Release(mode="staged"), 25 * HOUR).next == "hold"
    assert following(_at(2, held="by me"), GOOD, Release(mode="staged"), 25 * HOUR).next == "wait"
    failing = Standing(units=(0, 0), failing="it failed 7 times")
    assert following(_at(0), failing, Release(mode="staged"), 25 * HOUR).reason == "it failed 7 times"


def test_a_clock_before_the_last_move_decides_nothing() -> None:
    decided = following(_at(2, entered_at=100 * HOUR), GOOD, Release(mode="staged"), 99 * HOUR)
    assert (decided.next, "3600 s before" in decided.reason) == ("wait", True)


def test_in_advisory_mode_a_person_confirms() -> None:
    for step in (0, 1, 2):
        assert following(_at(step), GOOD, Release(mode="advisory"), 25 * HOUR).next == "confirm"


def test_an_experiment_ends_with_its_time() -> None:
    trial = _at(0, purpose="experiment", stages="50% 24h")
    open_still = Standing(units=(3, 3), open=("reward",))
    assert following(trial, open_still, Release(), 23.9 * HOUR).next == "wait"
    assert following(trial, open_still, Release(mode="advisory"), 24 * HOUR).next == "conclude"

"""Verdicts follow intervals, margins and missing evidence, case by case."""

from dataclasses import replace

import pytest

from steersman.core.sections import Evaluation as Settings
from steersman.stages.evaluate.differences import Difference, Verdict, judged

SETTINGS = Settings()
CASE = Difference(
    other="incumbent",
    value=0.04,
    low=0.01,
    high=0.07,
    certain=(-1.0, 1.0),
    anytime=(-1.0, 1.0),
    hidden=0.0,
    effective=400.0,
    margin=0.05,
    outcomes=1_000,
)


@pytest.mark.parametrize(
    ("low", "high", "verdict", "not_worse"),
    [
        (0.01, 0.07, "better", True),
        (0.0, 0.07, "cannot tell", True),
        (-0.04, 0.07, "cannot tell", True),
        (-0.06, 0.07, "cannot tell", False),
        (-0.04, -0.01, "worse", True),  # worse, yet by less than the margin: the gate may let it pass
        (-0.09, -0.01, "worse", False),
    ],
)
def test_the_verdict_follows_the_interval(low: float, high: float, verdict: Verdict, not_worse: bool) -> None:
    found = judged(replace(CASE, value=0.5 * (low + high), low=low, high=high), SETTINGS)
    assert found.verdict == verdict
    assert found.not_worse == not_worse
    assert found.reason


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"outcomes": 99}, "99 outcomes"),
        ({"effective": 49.0}, "49.0 of its own"),
        ({"hidden": 0.051}, "cannot speak"),
    ],
)
def test_what_rests_on_too_little_cannot_tell_whatever_its_interval(change: dict[str, float], reason: str) -> None:
    found = judged(replace(CASE, **change), SETTINGS)  # type: ignore[arg-type]  # a count among them
    assert found.verdict == "cannot tell"
    assert found.short
    assert reason in found.reason


def test_the_number_of_missing_outcomes_follows_a_hand_computed_case() -> None:
    # a reach of 0.08 around 0.06 must shrink to 0.06: 1,000·(0.08/0.06)² = 1,777.8
    assert judged(replace(CASE, value=0.06, low=-0.02, high=0.14), SETTINGS).more == 778
    # around 0.01, to the margin: 1,000·(0.08/0.05)² = 2,560
    assert judged(replace(CASE, value=0.01, low=-0.07, high=0.09), SETTINGS).more == 1_560
    # an effective size of 10 where 50 are needed takes five times as many
    assert judged(replace(CASE, effective=10.0), SETTINGS).more == 4_000


def test_where_support_is_lacking_more_of_the_same_would_not_help() -> None:
    assert judged(replace(CASE, hidden=0.2), SETTINGS).more is None
    assert judged(replace(CASE, effective=0.0), SETTINGS).more is None


def test_what_can_be_told_takes_no_more() -> None:
    assert judged(CASE, SETTINGS).more == 0

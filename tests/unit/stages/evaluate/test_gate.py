"""The gate opens for what is not worse and holds back what is, what cannot be told, and what guards would have to stop."""

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from steersman.core.errors import InvalidInput
from steersman.core.sections import Evaluation as Settings
from steersman.stages.evaluate.evaluate import evaluate
from steersman.stages.evaluate.evidence import Evidence
from steersman.stages.evaluate.gate import Check, Gate, gate

if TYPE_CHECKING:
    from tests.unit.stages.evaluate.conftest import World

SETTINGS = Settings(bootstrap=300)


def checked(evidence: Evidence, best: "np.typing.NDArray[np.int64] | None" = None, settings: Settings = SETTINGS) -> Gate:
    found = evaluate(evidence, settings, np.random.default_rng(0))
    return gate(found, evidence, np.argmax(evidence.candidate, axis=1) if best is None else best, settings)


def check(found: Gate, name: str) -> Check:
    return next(each for each in found.checks if each.name == name)


def test_a_better_candidate_passes_every_check(world: "World") -> None:
    found = checked(world.evidence(6_000, 1, world.better))
    assert [each.name for each in found.checks if not each.passed] == []
    assert found.passed is True
    assert found.sentence == "All checks are passed."
    assert [each.name for each in found.checks] == [
        "evidence",
        "not worse than the incumbent",
        "not worse than the baseline",
        "forecast accuracy",
        "regression score",
        "safety score",
    ]


def test_a_candidate_that_is_worse_by_more_than_the_margin_fails(world: "World") -> None:
    found = checked(world.evidence(6_000, 2, world.worse))
    assert check(found, "not worse than the incumbent").passed is False
    assert found.passed is False
    assert "Candidate less incumbent" in found.sentence


def test_too_little_evidence_is_neither_passed_nor_failed(world: "World") -> None:
    found = checked(world.evidence(80, 3, world.better))
    assert check(found, "evidence").passed is None
    assert check(found, "not worse than the incumbent").passed is None
    assert check(found, "forecast accuracy").passed is None
    assert found.passed is None


def test_no_evidence_at_all_opens_nothing(world: "World") -> None:
    found = checked(world.evidence(0, 3, world.better))
    assert found.passed is None
    assert all(each.passed is None for each in found.checks)


def test_a_candidate_whose_favourites_guards_would_stop_is_not_safe(world: "World") -> None:
    evidence = world.evidence(6_000, 4, world.better)
    best = np.argmax(evidence.candidate, axis=1)
    allowed = np.ones(evidence.allowed.shape, dtype=np.bool_)
    stopped = evidence.state == 0  # its favourite in one of the six states
    allowed[stopped, best[stopped]] = False
    found = checked(replace(evidence, allowed=allowed), best)
    assert check(found, "safety score").figure == pytest.approx(5 / 6)
    assert check(found, "safety score").passed is False
    assert found.passed is False


def test_the_safety_score_counts_each_state_once_however_often_it_comes(world: "World") -> None:
    base = world.evidence(4, 5, world.better)
    allowed = np.array([[False, True, True], [True, True, True], [True, True, True], [True, True, True]])
    evidence = replace(base, state=np.array([0, 0, 0, 9]), allowed=allowed)
    assert check(checked(evidence, np.zeros(4, dtype=np.int64)), "safety score").figure == pytest.approx((2 / 3 + 1.0) / 2)


def test_a_candidate_that_forgot_old_tasks_fails_the_regression_score(world: "World") -> None:
    evidence = world.evidence(6_000, 6, world.better)
    old = evidence.decided_at < 3_000
    forgetful = np.where(old[:, None], world.worse[evidence.state], world.better[evidence.state])
    found = checked(replace(evidence, candidate=forgetful))
    score = check(found, "regression score").figure
    assert score == pytest.approx(world.value(world.worse) / world.value(world.incumbent), abs=0.08)
    assert check(found, "regression score").passed is False


def test_the_regression_score_counts_from_the_low_end_of_the_range(world: "World") -> None:
    evidence = world.evidence(6_000, 7, world.better)
    moved = replace(evidence, reward=evidence.reward - 5.0, low=-5.0, high=-4.0)
    first, second = (check(checked(each), "regression score").figure for each in (evidence, moved))
    assert first == pytest.approx(second)


def test_rewards_that_drift_break_forecasts(world: "World") -> None:
    evidence = world.evidence(6_000, 8, world.better)
    late = np.random.default_rng(0).random(6_000) < evidence.decided_at / 6_000.0
    found = checked(replace(evidence, reward=np.where(late, 1.0, 0.5 * evidence.reward)))
    assert check(found, "forecast accuracy").passed is False


def test_propensities_that_are_not_true_pass_no_comparison(world: "World") -> None:
    base = world.evidence(4_000, 9, world.better)
    found = checked(replace(base, propensity=np.minimum(1.5 * base.propensity, 1.0)))
    assert check(found, "not worse than the incumbent").passed is None


def test_favourites_of_other_rows_are_refused(world: "World") -> None:
    with pytest.raises(InvalidInput, match="unmasked_best"):
        checked(world.evidence(200, 10, world.better), np.zeros(3, dtype=np.int64))


def test_a_policy_worse_by_the_margin_passes_in_few_of_many_logs(world: "World") -> None:
    """At worst 5 % of the logs let pass what is worse by the margin."""
    margin = world.value(world.incumbent) - world.value(world.worse)
    passed = 0
    for seed in range(60):
        evidence = world.evidence(300, 500 + seed, world.worse)
        settings = replace(SETTINGS, margin=margin, bootstrap=100)
        found = evaluate(evidence, settings, np.random.default_rng(seed))
        passed += found.differences["incumbent"].not_worse
    assert passed <= 6  # 1.5 expected; more than 6 in 60 has a probability below 0.002

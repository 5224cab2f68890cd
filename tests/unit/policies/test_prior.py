"""Priors: own evidence without its initial value, and the blend of own and borrowed values."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from steersman.core.actions import ActionSpace
from steersman.core.sections import Learning
from steersman.core.values import Belief
from steersman.policies.prior import OwnEvidence, Prior, blend, worth
from steersman.policies.tabular import QTable

unit = st.floats(-1.0, 1.0)
weights = st.floats(0.01, 10.0)
BOUNDS = (-1.0, 1.0)


def _belief(means: list[float], counts: list[float], source: str = "fleet") -> Belief:
    return Belief(source=source, means=tuple(means), weights=tuple(counts))


def _prior(effects: list[float], weight: float = 5.0, *, level: float = 0.2, level_variance: float = 0.04) -> Prior:
    return Prior(
        sources=("fleet",),
        effects=np.array([effects]),
        weights=np.full((1, len(effects)), weight),
        level=np.array([level]),
        level_variance=np.array([level_variance]),
        variance=np.array([0.01]),
        dimension=np.zeros(len(effects), dtype=np.intp),
    )


def _table(learning: Learning, rewards: list[float], *, estimators: int = 1, initial: float = 0.4) -> QTable:
    """Return a table that has met rewards of the first action of two, by the rule's own steps."""
    table = QTable(ActionSpace.flat("a", "b"), initial_value=initial, estimators=estimators)
    row = table.intern("s", {})
    for number, reward in enumerate(rewards):
        column = (number % estimators) * table.width
        seen = table.visits[row, column]
        step = learning.alpha
        if learning.alpha_schedule == "visits":
            step = max(learning.alpha_floor, learning.alpha / (1.0 + seen / learning.alpha_scale))
        table.value[row, column] += step * (reward - table.value[row, column])
        table.visits[row, column] += 1
    return table


@pytest.mark.parametrize("learning", [Learning(), Learning(alpha_schedule="visits"), Learning(alpha=0.0)])
def test_nothing_seen_is_the_initial_value(learning: Learning) -> None:
    own = OwnEvidence(learning)
    for values, visits in (own.of(_table(learning, []), 0), own.of(_table(learning, []), None)):
        assert values.tolist() == [0.4, 0.4]
        assert visits.tolist() == [0.0, 0.0]


@pytest.mark.parametrize("learning", [Learning(alpha=0.1), Learning(alpha=0.5, alpha_schedule="visits", alpha_scale=2.0)])
@pytest.mark.parametrize("estimators", [1, 2])
def test_steady_rewards_are_their_own_estimate_whatever_the_initial_value(learning: Learning, estimators: int) -> None:
    for count in (1, 2, 7):
        values, visits = OwnEvidence(learning).of(_table(learning, [0.9] * count, estimators=estimators), 0)
        assert values == pytest.approx([0.9, 0.4])
        assert visits.tolist() == [count, 0.0]


def test_two_rewards_by_hand() -> None:
    learning = Learning(alpha=0.5)  # 0.4 → 0.5·0.4 + 0.5·1 = 0.7 → 0.35; shares 0.25 of 0.4, 0.25 of 1, 0.5 of 0
    values, _ = OwnEvidence(learning).of(_table(learning, [1.0, 0.0]), 0)
    assert values[0] == pytest.approx((0.35 - 0.25 * 0.4) / 0.75)


def test_a_factored_table_is_read_as_it_is() -> None:
    table = QTable(ActionSpace({"x": (0, 1), "y": (0, 1)}), initial_value=0.4)
    row = table.intern("s", {})
    table.value[row, 0], table.visits[row, 0] = 0.35, 2
    values, visits = OwnEvidence(Learning(alpha=0.5)).of(table, row)
    assert values.tolist() == [0.35, 0.2, 0.2, 0.2]
    assert visits.tolist() == [2.0, 0.0, 0.0, 0.0]


def test_the_blend_by_hand() -> None:
    own, visits = np.array([1.0, 0.5, 0.25]), np.array([2.0, 0.0, 0.0])
    beliefs = (_belief([0.4, -0.2, 0.0], [2.0, 3.0, 0.0]), _belief([0.0, 0.4, 0.0], [4.0, 1.0, 0.0]))
    assert blend(own, visits, beliefs) == pytest.approx([2.8 / 8, -0.2 / 4, 0.25])
    assert worth(beliefs) == pytest.approx(5.0 / 3 + 5.0 / 3)


@given(unit, unit, weights, st.integers(0, 1000))
def test_a_value_lies_between_prior_and_own_evidence(own: float, mean: float, weight: float, visits: int) -> None:
    found = blend(np.array([own]), np.array([float(visits)]), (_belief([mean], [weight]),))[0]
    assert min(own, mean) - 1e-12 <= found <= max(own, mean) + 1e-12
    assert abs(found - own) <= abs(mean - own) * weight / (weight + visits) + 1e-12


@given(unit, unit, weights)
def test_without_visits_it_is_the_prior_and_with_many_it_is_the_own(own: float, mean: float, weight: float) -> None:
    beliefs = (_belief([mean], [weight]),)
    assert blend(np.array([own]), np.zeros(1), beliefs)[0] == pytest.approx(mean, abs=1e-12)
    assert blend(np.array([own]), np.array([1e9]), beliefs)[0] == pytest.approx(own, abs=1e-6)


@given(unit, st.lists(st.floats(-0.5, 0.5), min_size=2, max_size=5), weights, st.integers(0, 50))
def test_a_bad_prior_never_makes_a_bad_action_look_better(own: float, effects: list[float], weight: float, n: int) -> None:
    """Whatever the sign of the values: of two actions alike in own evidence, the one that kin found worse stays behind."""
    values, visits = np.full(len(effects), own), np.full(len(effects), float(n))
    found = blend(values, visits, _prior(effects, weight).beliefs(values, visits, BOUNDS))
    order = np.argsort(effects)
    assert (np.diff(found[order]) >= -1e-12).all()


def test_without_own_visits_the_means_stand_on_the_level_that_others_guess() -> None:
    (belief,) = _prior([-0.1, 0.3, -0.2]).beliefs(np.zeros(3), np.zeros(3), BOUNDS)
    assert belief.means == pytest.approx((0.1, 0.5, 0.0))
    assert belief.weights == (5.0, 5.0, 5.0)


def test_own_visits_move_the_level_and_leave_the_comparison() -> None:
    """One visit of −0.5 where 0.1 was expected: σ²(1/5 + 1/1) = 0.012 beside a level variance of 0.04, by hand."""
    own, visits = np.array([-0.5, 0.0, 0.0]), np.array([1.0, 0.0, 0.0])
    (belief,) = _prior([-0.1, 0.3, -0.2]).beliefs(own, visits, BOUNDS)
    level = (0.2 / 0.04 + (-0.5 + 0.1) / 0.012) / (1 / 0.04 + 1 / 0.012)
    assert belief.means == pytest.approx((level - 0.1, level + 0.3, level - 0.2))


@given(st.floats(-0.3, 0.3), st.lists(st.integers(0, 20), min_size=3, max_size=3))
def test_who_is_paid_more_than_its_kin_ranks_its_choices_alike(shift: float, counts: list[int]) -> None:
    """A shift of the level is taken up where levels differ freely; the ranking is that of an agent on the kin's level."""
    visits, effects = np.array(counts, dtype=float), [-0.1, 0.3, -0.2]
    prior = replace(_prior(effects), level_variance=np.array([1e9]))
    values = 0.2 + np.array(effects)
    ranked = [blend(own, visits, prior.beliefs(own, visits, (-9.0, 9.0))) for own in (values, values + shift)]
    assert np.argsort(ranked[0]).tolist() == np.argsort(ranked[1]).tolist()


def test_means_stay_inside_the_bounds_of_a_value() -> None:
    (belief,) = _prior([-0.5, 0.5], level=0.9).beliefs(np.zeros(2), np.zeros(2), BOUNDS)
    assert belief.means == pytest.approx((0.4, 1.0))


def test_a_slot_that_nobody_knows_has_no_prior() -> None:
    prior = replace(_prior([0.2, -0.2]), weights=np.array([[3.0, 0.0]]))
    (belief,) = prior.beliefs(np.zeros(2), np.zeros(2), BOUNDS)
    assert (belief.means[1], belief.weights[1]) == (0.0, 0.0)

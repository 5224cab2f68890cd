"""Audits find what a log cannot speak for, and propensities that are not true."""

import numpy as np
import pytest
from scipy import stats

from steersman.maths.off_policy.audits import (
    action_fit,
    chi_square_tail,
    even_weights,
    mean_weight,
    support,
    unseen_mass,
)

UNCERTAIN = np.full(4, 0.5)


def test_support_follows_a_hand_computed_case() -> None:
    target = np.array([[0.5, 0.3, 0.2], [0.0, 0.0, 1.0], [0.6, 0.4, 0.0], [0.6, 0.4, 0.0]])
    found = support(target, np.array([0, 1, 0, 0]), np.array([7, 7, 9, 9]), UNCERTAIN)
    assert found.never == pytest.approx(1.2 / 4)  # action 2 was never drawn
    assert found.rarely == pytest.approx(2.8 / 4)  # the others fewer than ten times
    assert found.unseen == pytest.approx((1.2 + 0.8) / 4)  # action 2 anywhere, action 1 in state 9


def test_beside_the_only_possible_action_nothing_has_support() -> None:
    target = np.array([[0.9, 0.1], [0.2, 0.8], [0.5, 0.5]])
    action, propensity = np.array([0, 1, 0]), np.array([1.0, 0.5, 1.0])
    assert unseen_mass(target, action, propensity) == pytest.approx((0.1 + 0.0 + 0.5) / 3)


def test_policies_that_agree_have_no_difference_without_support() -> None:
    target = np.array([[0.9, 0.1], [0.2, 0.8]])
    assert unseen_mass(target - target, np.array([0, 0]), np.ones(2)) == 0.0


def test_true_propensities_are_plausible_and_wrong_ones_are_not() -> None:
    rng = np.random.default_rng(0)
    chance = rng.uniform(0.2, 0.8, 5_000)
    action = (rng.random(5_000) < chance).astype(np.int64)
    true = np.where(action == 1, chance, 1.0 - chance)
    allowed = np.ones((5_000, 2), dtype=np.bool_)
    assert mean_weight(even_weights(allowed, action, true)).plausible
    assert not mean_weight(even_weights(allowed, action, np.minimum(1.2 * true, 1.0))).plausible


def test_an_even_chance_counts_allowed_actions_alone() -> None:
    allowed = np.array([[True, True, False], [True, False, False]])
    assert even_weights(allowed, np.array([0, 0]), np.array([0.25, 1.0])) == pytest.approx([2.0, 1.0])


def test_the_mean_weight_is_rarely_implausible_where_all_is_true() -> None:
    rng = np.random.default_rng(1)
    found = [mean_weight(rng.choice([0.0, 4.0], p=[0.75, 0.25], size=300)).plausible for _ in range(500)]
    assert np.mean(found) >= 0.99


@pytest.mark.parametrize(("statistic", "freedom"), [(0.3, 1), (3.84, 1), (2.0, 2), (18.3, 10), (30.0, 11), (0.0, 3)])
def test_the_tail_of_chi_square_is_that_of_scipy(statistic: float, freedom: int) -> None:
    assert chi_square_tail(statistic, freedom) == pytest.approx(stats.chi2.sf(statistic, freedom), rel=1e-9)


def test_actions_drawn_with_the_logged_distributions_fit_at_their_level_and_others_do_not() -> None:
    rng = np.random.default_rng(2)
    logged = rng.dirichlet(np.ones(4), 400)
    drawn = [np.array((logged.cumsum(axis=1) < rng.random((400, 1))).sum(axis=1)) for _ in range(300)]
    small = [action_fit(logged, action).probability < 0.05 for action in drawn]
    assert 0.02 <= np.mean(small) <= 0.09
    shifted = (rng.dirichlet(np.array([3.0, 1.0, 1.0, 1.0]), 400).cumsum(axis=1) < rng.random((400, 1))).sum(axis=1)
    found = action_fit(logged, np.array(shifted))
    assert found.freedom == 3
    assert found.probability < 1e-6


def test_a_rule_that_never_draws_leaves_nothing_to_test() -> None:
    logged = np.array([[1.0, 0.0], [1.0, 0.0]])
    assert action_fit(logged, np.array([0, 0])).probability == 1.0
    assert action_fit(logged, np.array([0, 0])).freedom == 0

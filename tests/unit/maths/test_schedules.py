"""Step sizes and exploration rates fall as they are said to."""

import math

import pytest

from steersman.core.errors import InvalidInput
from steersman.maths.schedules import (
    effective_count,
    exponential_epsilon,
    rbed_epsilon,
    reward_epsilon,
    step_epsilon,
    visit_alpha,
)


def test_the_step_size_falls_with_visits_down_to_its_floor() -> None:
    assert [visit_alpha(0.2, 0.01, 10.0, n) for n in (0, 10, 30, 10_000)] == [0.2, 0.1, 0.05, 0.01]
    assert visit_alpha(0.1, 0.0, math.inf, 10_000) == 0.1


def test_the_effective_count_stops_at_the_memory_of_the_mean() -> None:
    assert effective_count(0, 0.1) == 0.0
    assert effective_count(5, 0.1) == 5.0
    assert effective_count(500, 0.1) == pytest.approx(19.0)
    assert effective_count(500, 1.0) == 1.0


def test_exponential_decay_stops_at_the_floor() -> None:
    assert exponential_epsilon(0.2) == pytest.approx(0.199)
    assert exponential_epsilon(0.01) == 0.01


@pytest.mark.parametrize(
    ("episodes", "epsilon"), [(0, 0.2), (99, 0.2), (100, 0.1), (499, 0.1), (500, 0.05), (999, 0.05), (1000, 0.01)]
)
def test_steps_hold_up_to_their_number_of_episodes(episodes: int, epsilon: float) -> None:
    assert step_epsilon(episodes) == epsilon


@pytest.mark.parametrize(("mean", "decay"), [(0.51, 0.99), (0.5, 0.995), (0.36, 0.995), (0.34, 0.998), (0.0, 0.998)])
def test_reward_decay_is_faster_while_rewards_are_good(mean: float, decay: float) -> None:
    assert reward_epsilon(0.2, [mean] * 10, (0.0, 1.0)) == pytest.approx(0.2 * decay)
    shifted = [4.0 * mean - 2.0] * 10
    assert reward_epsilon(0.2, shifted, (-2.0, 2.0)) == pytest.approx(0.2 * decay)


def test_reward_decay_waits_for_ten_rewards_and_forgets_those_before_the_last_hundred() -> None:
    assert reward_epsilon(0.2, [1.0] * 9, (0.0, 1.0)) == 0.2
    assert reward_epsilon(0.2, [0.0] * 900 + [1.0] * 100, (0.0, 1.0)) == pytest.approx(0.198)
    assert reward_epsilon(0.01, [1.0] * 10, (0.0, 1.0)) == 0.01


def test_reward_decay_needs_a_range() -> None:
    with pytest.raises(InvalidInput, match="empty"):
        reward_epsilon(0.2, [1.0] * 10, (1.0, 1.0))


def test_rbed_moves_only_when_the_threshold_is_reached() -> None:
    assert rbed_epsilon(0.2, 1.0, 0.9, drop=0.05, rise=0.5) == (0.2, 1.0)
    assert rbed_epsilon(0.2, 1.0, 1.0, drop=0.05, rise=0.5) == pytest.approx((0.15, 1.5))
    assert rbed_epsilon(0.02, 1.0, 2.0, drop=0.05, rise=0.5) == (0.01, 1.5)

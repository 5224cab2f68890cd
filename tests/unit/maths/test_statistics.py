"""Statistics agree with hand-computed cases and, where there is no hand-computed case, with scipy."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from steersman.core.errors import InvalidInput
from steersman.maths.statistics import (
    Moments,
    confidence,
    discounted_return,
    mean_interval,
    merge,
    paired_interval,
    t_cdf,
    t_quantile,
    value_bounds,
    variance,
    welford,
)

EMPTY: Moments = (0, 0.0, 0.0)
NUMBERS = st.lists(st.floats(-1e6, 1e6), max_size=30)


def test_welford_follows_a_hand_computed_case() -> None:
    moments = EMPTY
    for value in (2.0, 4.0, 9.0):
        moments = welford(moments, value)
    assert moments == pytest.approx((3, 5.0, 26.0))  # 9 + 1 + 16
    assert variance(moments) == pytest.approx(13.0)


def test_there_is_no_variance_in_fewer_than_two_values() -> None:
    assert variance(EMPTY) == 0.0
    assert variance(welford(EMPTY, 5.0)) == 0.0


def test_welford_keeps_its_digits_far_from_zero() -> None:
    moments = EMPTY
    for value in (1e9 + 4, 1e9 + 7, 1e9 + 13, 1e9 + 16):
        moments = welford(moments, value)
    assert variance(moments) == 30.0


@given(NUMBERS, NUMBERS)
def test_merging_equals_taking_all_values_at_once(first: list[float], second: list[float]) -> None:
    merged = merge(_moments(first), _moments(second))
    together = _moments(first + second)
    assert merged[0] == together[0]
    assert merged[1:] == pytest.approx(together[1:], rel=1e-9, abs=1e-6)


@pytest.mark.parametrize(
    ("visits", "standard_error", "expected"), [(0, 0.0, 0.0), (5, 0.0, 5 / 7), (2, 1.0, 0.25), (8, 3.0, 0.2)]
)
def test_confidence_grows_with_visits_and_falls_with_the_error(visits: int, standard_error: float, expected: float) -> None:
    assert confidence(visits, standard_error, 1.0) == pytest.approx(expected)


def test_confidence_needs_a_scale() -> None:
    with pytest.raises(InvalidInput, match="scale"):
        confidence(5, 0.1, 0.0)


def test_the_return_of_an_episode_is_discounted() -> None:
    assert discounted_return([1.5, 2.0, -0.5], 0.99) == pytest.approx(2.98995, abs=1e-12)
    assert discounted_return([], 0.99) == 0.0
    assert discounted_return([3.0, 100.0], 0.0) == 3.0


@pytest.mark.parametrize(
    ("low", "high", "gamma", "expected"),
    [
        (-1.0, 1.0, 0.95, (-20.0, 20.0)),
        (0.5, 1.0, 0.5, (0.0, 2.0)),
        (-2.0, -1.0, 0.5, (-4.0, 0.0)),
        (-1.0, 2.0, 0.0, (-1.0, 2.0)),
        (0.0, 1.0, 1.0, (0.0, math.inf)),
    ],
)
def test_values_lie_between_never_ending_and_ending_at_once(
    low: float, high: float, gamma: float, expected: tuple[float, float]
) -> None:
    assert value_bounds(low, high, gamma) == pytest.approx(expected)


@pytest.mark.parametrize(("low", "high", "gamma"), [(0.0, 1.0, 1.1), (0.0, 1.0, math.nan), (1.0, 0.0, 0.5)])
def test_value_bounds_refuse_what_has_no_bounds(low: float, high: float, gamma: float) -> None:
    with pytest.raises(InvalidInput, match="value bounds"):
        value_bounds(low, high, gamma)


@pytest.mark.parametrize("degrees", [0.5, 1.0, 2.0, 4.7, 30.0, 1e4, 1e7])
@pytest.mark.parametrize("probability", [1e-9, 0.005, 0.3, 0.5, 0.8, 0.975, 0.9999])
def test_the_t_quantile_agrees_with_scipy(probability: float, degrees: float) -> None:
    assert t_quantile(probability, degrees) == pytest.approx(stats.t.ppf(probability, degrees), rel=1e-7, abs=1e-12)


@pytest.mark.parametrize("t", [-50.0, -2.0, -1e-3, 0.0, 0.5, 3.0])
def test_the_t_distribution_function_agrees_with_scipy(t: float) -> None:
    for degrees in (1.0, 3.3, 60.0):
        assert t_cdf(t, degrees) == pytest.approx(stats.t.cdf(t, degrees), rel=1e-10)


@pytest.mark.parametrize(("probability", "degrees"), [(0.0, 3.0), (1.0, 3.0), (math.nan, 3.0), (0.5, 0.0)])
def test_the_t_quantile_refuses_what_is_outside_its_range(probability: float, degrees: float) -> None:
    with pytest.raises(InvalidInput, match="t quantile"):
        t_quantile(probability, degrees)


def test_the_interval_of_a_mean_follows_the_table() -> None:
    # mean 3, s = √2.5, n = 5, t₄(0.975) = 2.776: half width 1.963
    low, high = mean_interval(np.array([1.0, 2.0, 3.0, 4.0, 5.0]))
    assert (low, high) == pytest.approx((3.0 - 1.963, 3.0 + 1.963), abs=1e-3)


def test_one_value_says_nothing_about_its_spread() -> None:
    assert mean_interval(np.array([5.0])) == (-math.inf, math.inf)
    with pytest.raises(InvalidInput, match="no values"):
        mean_interval(np.array([]))


def test_the_paired_interval_sees_a_difference_that_is_the_same_in_every_pair() -> None:
    first = np.array([10.0, 20.0, 30.0])
    assert paired_interval(first, first - 1.5, np.random.default_rng(0)) == (1.5, 1.5)


def test_the_paired_interval_is_repeatable_and_near_the_normal_one() -> None:
    rng = np.random.default_rng(3)
    first, second = rng.normal(1.0, 1.0, 400), rng.normal(0.0, 1.0, 400)
    interval = paired_interval(first, second, np.random.default_rng(1))
    assert interval == paired_interval(first, second, np.random.default_rng(1))
    assert interval == pytest.approx(mean_interval(first - second), abs=0.02)


def test_the_paired_interval_needs_pairs() -> None:
    with pytest.raises(InvalidInput, match="shapes"):
        paired_interval(np.zeros(2), np.zeros(3), np.random.default_rng(0))
    with pytest.raises(InvalidInput, match="shapes"):
        paired_interval(np.zeros(0), np.zeros(0), np.random.default_rng(0))


def _moments(values: list[float]) -> Moments:
    moments = EMPTY
    for value in values:
        moments = welford(moments, value)
    return moments

"""Intervals hold as often as they say, at one look or at all of them, and follow cases worked out by hand."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from steersman.core.errors import InvalidInput
from steersman.maths.intervals import (
    bias_corrected,
    bootstrap_interval,
    confidence_sequence,
    empirical_bernstein,
    lower_sequence,
    resample,
)

Floats = NDArray[np.float64]


def test_resampled_means_are_means_of_rows_drawn_with_replacement() -> None:
    columns = np.array([[0.0, 1.0], [1.0, 1.0], [2.0, 1.0]])
    replicates, without = resample(columns, np.random.default_rng(0), resamples=500)
    assert set(np.round(3 * replicates[:, 0]).astype(int)) == set(range(7))
    assert np.allclose(replicates[:, 1], 1.0)
    assert np.allclose(without[:, 0], [1.5, 1.0, 0.5])


def test_many_rows_are_resampled_in_groups_without_losing_the_noise_of_their_mean() -> None:
    values = np.random.default_rng(1).exponential(size=5_321)
    replicates, _ = resample(values[:, None], np.random.default_rng(2), resamples=4_000)
    assert replicates.mean() == pytest.approx(values.mean(), abs=0.001)
    assert replicates.std() == pytest.approx(values.std() / math.sqrt(len(values)), rel=0.05)


def test_resampling_needs_two_rows() -> None:
    with pytest.raises(InvalidInput, match="at least 2 rows"):
        resample(np.ones((1, 1)), np.random.default_rng(0))


def test_without_bias_and_skewness_the_bias_corrected_interval_is_that_of_percentiles() -> None:
    replicates = np.linspace(-1.0, 1.0, 2_001)
    low, high = bias_corrected(0.0, replicates, np.array([-1.0, 0.0, 1.0]), level=0.9)
    assert (low, high) == pytest.approx((-0.9, 0.9), abs=0.002)


def test_an_estimate_above_most_replicates_moves_its_interval_up() -> None:
    replicates = np.linspace(-1.0, 1.0, 2_001)
    low, high = bias_corrected(0.5, replicates, np.array([-1.0, 0.0, 1.0]), level=0.9)
    assert low > -0.5
    assert high > 0.98


def test_an_estimate_that_most_resamples_cannot_make_is_not_bounded() -> None:
    replicates = np.array([math.nan, math.nan, 1.0])
    assert bias_corrected(1.0, replicates, np.array([1.0, 1.0]), level=0.95) == (-math.inf, math.inf)


def test_the_bootstrap_holds_the_mean_of_skewed_values_about_as_often_as_it_says() -> None:
    rng = np.random.default_rng(3)
    held = [_holds(bootstrap_interval(rng.exponential(size=60), rng, resamples=500), 1.0) for _ in range(400)]
    assert 0.90 <= np.mean(held) <= 0.98


def test_the_bound_of_maurer_and_pontil_follows_a_hand_computed_case() -> None:
    # variance 1/3, ln(4/0.05) = 4.3820: √(2·4.3820/3/4) + 7·4.3820/9 = 0.8546 + 3.4082, cut at the range
    assert empirical_bernstein(np.array([0.0, 1.0, 0.0, 1.0]), 0.0, 1.0) == (0.0, 1.0)
    values = np.tile([0.0, 1.0], 5_000)
    reach = math.sqrt(2 * (0.25 * 10_000 / 9_999) * math.log(80) / 10_000) + 7 * math.log(80) / (3 * 9_999)
    assert empirical_bernstein(values, 0.0, 1.0) == pytest.approx((0.5 - reach, 0.5 + reach))


@pytest.mark.parametrize("chance", [0.02, 0.5])
def test_the_bound_of_maurer_and_pontil_holds_at_its_level(chance: float) -> None:
    rng = np.random.default_rng(4)
    samples = (rng.random((400, 200)) < chance).astype(float)
    held = [_holds(empirical_bernstein(each, 0.0, 1.0, level=0.8), chance) for each in samples]
    assert np.mean(held) >= 0.8


@pytest.mark.parametrize("chance", [0.03, 0.5, 0.9])
def test_a_confidence_sequence_holds_the_mean_at_all_times_at_once(chance: float) -> None:
    rng = np.random.default_rng(5)
    held = []
    for _ in range(400):
        values = (rng.random(400) < chance).astype(float) * 3.0 - 1.0
        lows, highs = confidence_sequence(values, -1.0, 2.0, level=0.8)
        held.append(bool((lows <= 3.0 * chance - 1.0).all() and (3.0 * chance - 1.0 <= highs).all()))
    assert np.mean(held) >= 0.8


def test_an_interval_for_one_look_fails_where_all_looks_count_so_that_a_sequence_is_needed() -> None:
    rng = np.random.default_rng(6)
    missed = 0
    for _ in range(200):
        values = (rng.random(1_000) < 0.5).astype(float)
        count = np.arange(1.0, 1_001.0)
        mean = np.cumsum(values) / count
        missed += bool((np.abs(mean - 0.5) > 1.96 * 0.5 / np.sqrt(count))[30:].any())
    assert missed / 200 > 0.15


def test_a_confidence_sequence_closes_in_on_the_mean() -> None:
    values = (np.random.default_rng(7).random(20_000) < 0.1).astype(float)
    lows, highs = confidence_sequence(values, 0.0, 1.0)
    assert highs[-1] - lows[-1] < 0.025
    assert (np.diff(lows) >= 0.0).all()
    assert (np.diff(highs) <= 0.0).all()


def test_a_lower_sequence_holds_for_weights_without_a_largest_one_and_closes_in() -> None:
    rng = np.random.default_rng(8)
    weighted = [np.exp(rng.normal(-0.5, 1.0, 400)) for _ in range(400)]  # log-normal with mean 1
    held = [bool((lower_sequence(each, scale=1.0, level=0.8) <= 1.0).all()) for each in weighted]
    assert np.mean(held) >= 0.8
    assert lower_sequence(np.exp(rng.normal(-0.5, 1.0, 20_000)), scale=1.0)[-1] > 0.9


@given(st.lists(st.floats(0.0, 1.0), min_size=1, max_size=40), st.floats(0.5, 0.99))
def test_sequences_stay_within_the_range_and_never_widen(values: list[float], level: float) -> None:
    lows, highs = confidence_sequence(np.array(values), 0.0, 1.0, level=level)
    assert (lows >= 0.0).all()
    assert (highs <= 1.0).all()
    assert (np.diff(lows) >= 0.0).all()
    assert (np.diff(highs) <= 0.0).all()


@pytest.mark.parametrize("bad", [1.5, -0.1, math.nan])
def test_a_value_outside_the_range_is_refused(bad: float) -> None:
    for bound in (empirical_bernstein, confidence_sequence):
        with pytest.raises(InvalidInput, match="must lie within"):
            bound(np.array([0.5, bad]), 0.0, 1.0)
    if not bad > 0.0:
        with pytest.raises(InvalidInput, match="values ≥ 0"):
            lower_sequence(np.array([0.5, bad]), scale=1.0)


def test_a_level_outside_0_and_1_is_refused() -> None:
    with pytest.raises(InvalidInput, match="level"):
        empirical_bernstein(np.array([0.5, 0.6]), 0.0, 1.0, level=95.0)


def _holds(interval: tuple[float, float], value: float) -> bool:
    return interval[0] <= value <= interval[1]

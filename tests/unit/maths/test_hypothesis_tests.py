"""Welch's test and Cohen's d agree with hand-computed cases and with scipy."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from steersman.maths.hypothesis_tests import cohens_d, welch
from steersman.maths.statistics import Moments, welford


def moments(values: list[float]) -> Moments:
    found: Moments = (0, 0.0, 0.0)
    for value in values:
        found = welford(found, value)
    return found


def test_welch_follows_a_hand_computed_case() -> None:
    """Means 2 and 5, variances 1 and 4, three values each: t = 3/√(5/3), ν = (5/3)²/((1/9 + 16/9)/2)."""
    found = welch(moments([1.0, 2.0, 3.0]), moments([3.0, 5.0, 7.0]))
    assert found is not None
    assert found.t == pytest.approx(3.0 / math.sqrt(5 / 3))
    assert found.degrees == pytest.approx(50 / 17)


@given(
    st.lists(st.integers(-100, 100).map(float), min_size=2, max_size=30),
    st.lists(st.integers(-100, 100).map(float), min_size=2, max_size=30),
)
def test_welch_agrees_with_scipy(first: list[float], second: list[float]) -> None:
    found = welch(moments(first), moments(second))
    assert found is not None
    if min(np.var(first), np.var(second)) > 0.0:
        expected = stats.ttest_ind(second, first, equal_var=False)
        assert found.t == pytest.approx(float(expected.statistic), rel=1e-9)
        assert found.p_value == pytest.approx(float(expected.pvalue), rel=1e-6, abs=1e-12)


def test_without_spread_equal_means_are_equal_and_others_are_not() -> None:
    same, other = welch(moments([1.0, 1.0]), moments([1.0, 1.0])), welch(moments([1.0, 1.0]), moments([0.0, 0.0]))
    assert same is not None
    assert other is not None
    assert (same.p_value, other.p_value, other.t) == (1.0, 0.0, -math.inf)


def test_one_value_on_a_side_tells_nothing() -> None:
    assert welch(moments([1.0]), moments([1.0, 2.0])) is None
    assert cohens_d(moments([1.0]), moments([1.0, 2.0])) is None


def test_cohens_d_follows_a_hand_computed_case() -> None:
    """Sums of squares 2 and 8 over 4 degrees: a pooled deviation of √2.5."""
    assert cohens_d(moments([1.0, 2.0, 3.0]), moments([3.0, 5.0, 7.0])) == pytest.approx(3.0 / math.sqrt(2.5))


def test_there_is_no_effect_size_without_spread() -> None:
    assert cohens_d(moments([1.0, 1.0]), moments([2.0, 2.0])) is None

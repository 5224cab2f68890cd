"""Figures of returns; worked cases."""

import math

import numpy as np
import pytest

from steersman.core.errors import InvalidInput
from steersman.packs.trading.backtest import figures
from steersman.packs.trading.backtest.figures import Interval


def test_equity_and_drawdown() -> None:
    returns = np.array([0.1, -0.5, 0.2])
    assert figures.equity(returns).tolist() == pytest.approx([1.0, 1.1, 0.55, 0.66])
    assert figures.drawdown(returns).tolist() == pytest.approx([0.0, 0.0, 0.5, 0.4])


def test_growth_by_the_year() -> None:
    assert figures.yearly_growth(np.array([0.1, 0.1]), 1.0) == pytest.approx(0.1)
    assert figures.yearly_growth(np.array([0.1, 0.1]), 2.0) == pytest.approx(0.21)
    assert figures.yearly_growth(np.array([-1.0]), 252.0) == -1.0


def test_the_sharpe_ratio_is_mean_over_spread_and_0_where_nothing_moves() -> None:
    assert figures.sharpe(np.array([0.01, 0.03])) == pytest.approx(0.02 / (0.01 * math.sqrt(2.0)))
    assert figures.sharpe(np.full(50, 0.01)) == 0.0
    assert figures.sharpe(np.array([0.01])) == 0.0


def test_blocks_of_a_stationary_bootstrap_follow_each_other_and_have_the_mean_length() -> None:
    places = figures.resampled(500, 20.0, np.random.default_rng(0), resamples=400)
    follows = (places[:, 1:] - places[:, :-1]) % 500 == 1
    assert places.shape == (400, 500)
    assert 1.0 - follows.mean() == pytest.approx(1.0 / 20.0, rel=0.05)
    assert np.bincount(places.ravel(), minlength=500).min() > 0.5 * 400


def test_an_interval_of_independent_returns_is_that_of_the_formula() -> None:
    rng = np.random.default_rng(3)
    returns = rng.normal(0.0005, 0.01, 800)
    found = figures.mean_difference(returns, np.zeros(800), 252.0, rng)
    half = 1.96 * returns.std(ddof=1) / math.sqrt(800) * 252.0
    assert found.value == pytest.approx(252.0 * returns.mean())
    assert (found.high - found.low) / 2.0 == pytest.approx(half, rel=0.15)


def test_returns_that_cling_together_have_a_wider_interval() -> None:
    rng = np.random.default_rng(4)
    clinging = np.repeat(rng.normal(0.0, 0.01, 80), 10)
    apart = rng.permutation(clinging)
    wide = figures.mean_difference(clinging, np.zeros(800), 252.0, rng)
    narrow = figures.mean_difference(apart, np.zeros(800), 252.0, rng)
    assert wide.high - wide.low > 1.8 * (narrow.high - narrow.low)


def test_the_difference_to_the_same_returns_is_nothing_and_to_none_the_ratio_itself() -> None:
    returns = np.random.default_rng(5).normal(0.001, 0.01, 300)
    same = figures.sharpe_difference(returns, returns, 252.0, np.random.default_rng(0))
    assert (same.value, same.low, same.high) == (0.0, 0.0, 0.0)
    alone = figures.sharpe_difference(returns, np.zeros(300), 252.0, np.random.default_rng(0))
    own = figures.yearly_sharpe(returns, 252.0, np.random.default_rng(0))
    assert alone == own


def test_a_verdict_needs_an_interval_on_one_side_and_enough_returns() -> None:
    assert figures.verdict(Interval(value=1.0, low=0.1, high=2.0), 60) == "better"
    assert figures.verdict(Interval(value=-1.0, low=-2.0, high=-0.1), 60) == "worse"
    assert figures.verdict(Interval(value=1.0, low=-0.1, high=2.0), 60) == "cannot tell"
    assert figures.verdict(Interval(value=1.0, low=0.1, high=2.0), 59) == "cannot tell"
    assert figures.verdict(Interval(value=0.0, low=0.0, high=0.0), 60) == "cannot tell"


def test_returns_that_cannot_be_paired_are_refused() -> None:
    for difference in (figures.mean_difference, figures.sharpe_difference):
        with pytest.raises(InvalidInput, match="paired returns need one shape"):
            difference(np.zeros(3), np.zeros(4), 252.0, np.random.default_rng(0))
    with pytest.raises(InvalidInput, match="at least one return"):
        figures.resampled(0, 5.0, np.random.default_rng(0))

"""The deflated Sharpe ratio gives the figures of its paper; overfitting, cases that can be counted by hand."""

import math

import numpy as np
import pytest

from steersman.core.errors import InvalidInput
from steersman.packs.trading.backtest.overfitting import (
    deflated_sharpe,
    expected_best_sharpe,
    overfitting_probability,
    probabilistic_sharpe,
)


@pytest.mark.parametrize(("trials", "probability"), [(100, 0.9004), (46, 0.9505)])
def test_the_example_of_the_paper(trials: int, probability: float) -> None:
    """Bailey & López de Prado (2014): ratio 2.5 a year, variance ½, 1,250 days of 250 a year, skewness −3, kurtosis 10."""
    best = expected_best_sharpe(trials, 0.5 / 250.0)
    if trials == 100:
        assert best == pytest.approx(0.1132, abs=5e-5)
    found = probabilistic_sharpe(2.5 / math.sqrt(250.0), best, 1250, skewness=-3.0, kurtosis=10.0)
    assert found == pytest.approx(probability, abs=5e-5)


def test_of_one_trial_nothing_is_deflated() -> None:
    assert expected_best_sharpe(1, 4.0) == 0.0
    returns = np.array([0.02, -0.01] * 50)
    ratio = 0.005 / returns.std(ddof=1)
    alone = probabilistic_sharpe(ratio, 0.0, 100, skewness=0.0, kurtosis=1.0)
    assert deflated_sharpe(returns, np.array([ratio])) == pytest.approx(alone)


def test_the_best_of_many_worthless_ratios_is_as_expected() -> None:
    """Monte Carlo: the mean of the largest of 50 normal ratios, to 1 %."""
    drawn = np.random.default_rng(0).normal(0.0, 0.3, (20_000, 50)).max(axis=1)
    assert expected_best_sharpe(50, 0.09) == pytest.approx(drawn.mean(), rel=0.015)


def test_the_more_was_tried_the_less_it_is_worth() -> None:
    rng = np.random.default_rng(1)
    returns, tried = rng.normal(0.001, 0.01, 500), rng.normal(0.0, 0.05, 200)
    assert deflated_sharpe(returns, tried[:5]) > deflated_sharpe(returns, tried)


def test_returns_that_do_not_move_are_no_better_than_luck() -> None:
    assert deflated_sharpe(np.zeros(100), np.zeros(3)) == pytest.approx(0.5)


def test_what_is_best_everywhere_is_not_overfitted_and_what_is_best_in_one_half_alone_is() -> None:
    wave = np.tile([0.01, -0.01], 20)
    good, bad = wave + 0.002, wave - 0.002
    assert overfitting_probability(np.column_stack([good, bad]), groups=4) == 0.0
    first = np.arange(40) < 20
    one, other = np.where(first, good, bad), np.where(first, bad, good)
    assert overfitting_probability(np.column_stack([one, other]), groups=2) == 1.0


def test_four_groups_by_hand() -> None:
    """One strategy is good in the groups 1 and 2, the other in 3 and 4, by the same wave.

    Of the six halves two, {1, 2} and {3, 4}, pick a strategy that is worst in the rest. In the other four both are equal,
    the first is picked, and shares the mean rank 1.5 of 2, whose logit is 0: all count.
    """
    wave = np.tile([0.01, -0.01], 20)
    first = np.arange(40) < 20
    one, other = np.where(first, wave + 0.002, wave - 0.002), np.where(first, wave - 0.002, wave + 0.002)
    assert overfitting_probability(np.column_stack([one, other]), groups=4) == 1.0
    best = wave + 0.003  # with a third that is best everywhere, it is picked always, and ranks first always
    assert overfitting_probability(np.column_stack([one, other, best]), groups=4) == 0.0


def test_among_worthless_strategies_picking_the_best_is_worth_nothing() -> None:
    rng = np.random.default_rng(7)
    found = [overfitting_probability(rng.normal(0.0, 0.01, (500, 20))) for _ in range(10)]
    assert 0.3 < np.mean(found) < 0.8


@pytest.mark.parametrize(("shape", "groups"), [((100, 1), 10), ((100, 3), 5), ((15, 3), 8), ((100, 3), 0)])
def test_what_cannot_be_halved_is_refused(shape: tuple[int, int], groups: int) -> None:
    with pytest.raises(InvalidInput, match="needs two strategies, an even number of groups"):
        overfitting_probability(np.zeros(shape), groups=groups)

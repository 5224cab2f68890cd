"""How much of a good backtest may be luck: the deflated Sharpe ratio, and the probability of backtest overfitting."""

import math
from itertools import combinations
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from steersman.core.errors import InvalidInput
from steersman.packs.trading.backtest.figures import sharpe

Floats = NDArray[np.float64]

_NORMAL = NormalDist()
_EULER = 0.5772156649015329


def probabilistic_sharpe(ratio: float, benchmark: float, count: int, *, skewness: float, kurtosis: float) -> float:
    """Return the probability that the true Sharpe ratio is above a benchmark; both by the bar, not by the year.

    Φ((SR − SR*)·√(n − 1) / √(1 − γ₃·SR + (γ₄ − 1)/4·SR²)), γ₄ = 3 for a normal distribution; Bailey & López de Prado
    (2012), "The Sharpe Ratio Efficient Frontier", Journal of Risk 15(2). Raises InvalidInput for fewer than two returns.
    """
    if count < 2:
        raise InvalidInput(f"Sharpe ratio: needs at least two returns, got {count}.")
    variance = 1.0 - skewness * ratio + (kurtosis - 1.0) / 4.0 * ratio * ratio
    return _NORMAL.cdf((ratio - benchmark) * math.sqrt(count - 1.0) / math.sqrt(max(variance, 1e-12)))


def expected_best_sharpe(trials: int, variance: float) -> float:
    """Return the Sharpe ratio that the best of `trials` worthless strategies is expected to show.

    √V·((1 − γ)·Φ⁻¹(1 − 1/N) + γ·Φ⁻¹(1 − 1/(N·e))), V the variance of the ratios tried, γ Euler's constant; 0 for one trial.
    Bailey & López de Prado (2014), "The Deflated Sharpe Ratio", Journal of Portfolio Management 40(5).
    """
    if trials <= 1:
        return 0.0
    first, second = _NORMAL.inv_cdf(1.0 - 1.0 / trials), _NORMAL.inv_cdf(1.0 - 1.0 / (trials * math.e))
    return math.sqrt(variance) * ((1.0 - _EULER) * first + _EULER * second)


def deflated_sharpe(returns: Floats, tried: Floats) -> float:
    """Return the probability that the true Sharpe ratio of `returns` (n,) is above what the best of all tried owes to luck.

    tried: the ratios by the bar of everything that was tried, (trials,). Bailey & López de Prado (2014).
    """
    variance = float(np.var(tried, ddof=1)) if len(tried) > 1 else 0.0
    skewness, kurtosis = _shape(returns)
    best = expected_best_sharpe(len(tried), variance)
    return probabilistic_sharpe(sharpe(returns), best, len(returns), skewness=skewness, kurtosis=kurtosis)


def _shape(returns: Floats) -> tuple[float, float]:
    """Return skewness and kurtosis by the moments; those of a normal distribution where nothing moves."""
    spread = float(np.std(returns))
    if spread <= 1e-12:
        return 0.0, 3.0
    standard = (returns - returns.mean()) / spread
    return float(np.mean(standard**3)), float(np.mean(standard**4))


def overfitting_probability(returns: Floats, *, groups: int = 10) -> float:
    """Return how often what was best in one half of the time lies in the lower half of all strategies in the other half.

    returns: (n, strategies). The time is cut into an even number of groups; each choice of half of them is once where the
    best by Sharpe ratio is picked, and the rest is where its rank ω among N strategies counts: the share of choices with
    ln(ω/(1 − ω)) ≤ 0, ω = rank/(N + 1); equal ratios share their mean rank. Combinatorially symmetric cross-validation;
    Bailey, Borwein, López de Prado & Zhu (2017), Journal of Computational Finance 20(4). Raises InvalidInput for fewer than
    two strategies, an odd number of groups, or groups of fewer than two returns.
    """
    count, strategies = returns.shape
    if strategies < 2 or groups < 2 or groups % 2 or count < 2 * groups:
        raise InvalidInput(
            f"overfitting: needs two strategies, an even number of groups and two returns in each, got {strategies} "
            f"strategies, {groups} groups and {count} returns."
        )
    moments = _moments(returns, groups)
    low = 0
    choices = list(combinations(range(groups), groups // 2))
    for chosen in choices:
        rest = [each for each in range(groups) if each not in chosen]
        best = int(np.argmax(_ratios(moments[:, list(chosen)].sum(axis=1))))
        outside = _ratios(moments[:, rest].sum(axis=1))
        rank = np.count_nonzero(outside < outside[best]) + (np.count_nonzero(outside == outside[best]) + 1) / 2.0
        low += int(2.0 * rank <= strategies + 1)
    return low / len(choices)


def _moments(returns: Floats, groups: int) -> Floats:
    """Return count, sum and sum of squares of each group, (3, groups, strategies); a group is one stretch of time."""
    parts = np.array_split(returns, groups)
    ones = [np.full(returns.shape[1], float(len(part))) for part in parts]
    return np.array([ones, [part.sum(axis=0) for part in parts], [(part**2).sum(axis=0) for part in parts]])


def _ratios(moments: Floats) -> Floats:
    """Return the Sharpe ratios from count, sum and sum of squares, (3, strategies); 0 where nothing moves."""
    count, total, squares = moments
    spread = np.sqrt(np.maximum(squares - total**2 / count, 0.0) / (count - 1.0))
    return np.asarray(np.divide(total / count, spread, out=np.zeros(len(total)), where=spread > 1e-12))

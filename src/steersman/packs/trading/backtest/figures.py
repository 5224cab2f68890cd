"""Figures of a curve of returns: what it earned, how bumpy the way was, and how sure that is.

Returns are simple returns of the account's equity, one for each bar, of shape (n,). Ratios are by the year where it says so.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from steersman.core.errors import InvalidInput

Floats = NDArray[np.float64]

_RESAMPLES = 2_000
_MIN_BLOCK = 10
MIN_RETURNS = 60


@dataclass(frozen=True, kw_only=True)
class Interval:
    """A figure with the ends of its interval."""

    value: float
    low: float
    high: float


def equity(returns: Floats) -> Floats:
    """Return the worth of one unit after each bar, from 1 on, (n + 1,)."""
    return np.concatenate([[1.0], np.cumprod(1.0 + returns)])


def drawdown(returns: Floats) -> Floats:
    """Return how far the equity lies below its peak so far, in [0, 1], (n + 1,)."""
    curve = equity(returns)
    return np.asarray(1.0 - curve / np.maximum.accumulate(curve))


def yearly_growth(returns: Floats, bars_per_year: float) -> float:
    """Return the growth by the year that leads to the same end: equity^(1/years) − 1; −1 for an account that is gone."""
    end = float(equity(returns)[-1])
    return end ** (bars_per_year / len(returns)) - 1.0 if end > 0.0 else -1.0


def sharpe(returns: Floats) -> float:
    """Return mean / σ of returns by the bar, σ unbiased; 0 where nothing moves. Sharpe (1994), the risk-free rate as 0."""
    spread = float(np.std(returns, ddof=1)) if len(returns) > 1 else 0.0
    return float(np.mean(returns)) / spread if spread > 1e-12 else 0.0


def yearly_sharpe(returns: Floats, bars_per_year: float, rng: np.random.Generator, *, level: float = 0.95) -> Interval:
    """Return √(bars per year) · Sharpe with its interval by the stationary bootstrap, percentile method."""
    scale = math.sqrt(bars_per_year)
    found = _ratios(returns[resampled(len(returns), block_length(len(returns)), rng)])
    low, high = np.quantile(found, [(1.0 - level) / 2.0, (1.0 + level) / 2.0])
    return Interval(value=scale * sharpe(returns), low=scale * float(low), high=scale * float(high))


def mean_difference(
    first: Floats, second: Floats, bars_per_year: float, rng: np.random.Generator, *, level: float = 0.95
) -> Interval:
    """Return the mean of first − second, bar by bar, by the year, with its interval by the stationary bootstrap.

    Both are drawn from the same bars, so what moved the whole market takes no part in the difference. Raises InvalidInput
    where the shapes differ.
    """
    if first.shape != second.shape:
        raise InvalidInput(f"paired returns need one shape, got {first.shape} and {second.shape}.")
    differences = first - second
    means = differences[resampled(len(differences), block_length(len(differences)), rng)].mean(axis=1)
    low, high = np.quantile(means, [(1.0 - level) / 2.0, (1.0 + level) / 2.0])
    return Interval(
        value=bars_per_year * float(differences.mean()), low=bars_per_year * float(low), high=bars_per_year * float(high)
    )


def sharpe_difference(
    first: Floats, second: Floats, bars_per_year: float, rng: np.random.Generator, *, level: float = 0.95
) -> Interval:
    """Return the difference of two Sharpe ratios by the year, with its interval by the paired stationary bootstrap.

    Ledoit & Wolf (2008), "Robust performance hypothesis testing with the Sharpe ratio", with percentiles in place of
    studentised values. Unlike a difference of means, it does not depend on how much money either had in the market.
    """
    if first.shape != second.shape:
        raise InvalidInput(f"paired returns need one shape, got {first.shape} and {second.shape}.")
    places = resampled(len(first), block_length(len(first)), rng)
    scale = math.sqrt(bars_per_year)
    low, high = np.quantile(_ratios(first[places]) - _ratios(second[places]), [(1.0 - level) / 2.0, (1.0 + level) / 2.0])
    return Interval(value=scale * (sharpe(first) - sharpe(second)), low=scale * float(low), high=scale * float(high))


def _ratios(rows: Floats) -> Floats:
    """Return the Sharpe ratio of each row; 0 where nothing moves."""
    spread = rows.std(axis=1, ddof=1)
    found = np.zeros(len(rows))
    np.divide(rows.mean(axis=1), spread, out=found, where=spread > 1e-12)
    return found


def verdict(difference: Interval, count: int) -> str:
    """Return "better" or "worse" where the interval lies on one side of 0, else, or below 60 returns, "cannot tell"."""
    if count < MIN_RETURNS or difference.low <= 0.0 <= difference.high:
        return "cannot tell"
    return "better" if difference.low > 0.0 else "worse"


def block_length(count: int) -> float:
    """Return the mean length of a block: ∛n, the rate of Politis & Romano (1994), and at least 10, as positions last."""
    return max(float(_MIN_BLOCK), float(round(count ** (1.0 / 3.0))))


def resampled(count: int, length: float, rng: np.random.Generator, *, resamples: int = _RESAMPLES) -> NDArray[np.intp]:
    """Return the places of a stationary bootstrap, (resamples, count): blocks that begin anywhere and wrap round the end.

    A new block begins with probability 1/length at each place, so lengths are geometric and the series stays stationary;
    Politis & Romano (1994). Raises InvalidInput for no places, or blocks shorter than one.
    """
    if count < 1 or length < 1.0:
        raise InvalidInput(f"bootstrap: needs at least one return and blocks of at least 1, got {count} and {length}.")
    begins = rng.random((resamples, count)) < 1.0 / length
    begins[:, 0] = True
    starts = rng.integers(0, count, (resamples, count))
    place = np.arange(count)
    block = np.maximum.accumulate(np.where(begins, place, 0), axis=1)
    return (np.take_along_axis(starts, block, axis=1) + place - block) % count

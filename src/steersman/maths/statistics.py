"""Means, spreads, intervals and bounds."""

import math
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from steersman.core.errors import InvalidInput

Floats = NDArray[np.float64]
Moments = tuple[int, float, float]
"""(count, mean, sum of squared deviations from the mean)."""


def welford(moments: Moments, value: float) -> Moments:
    """Add one value to the moments.

    n ← n + 1; δ = x − m; m ← m + δ/n; M2 ← M2 + δ·(x − m); Welford (1962).
    """
    count, mean, m2 = moments
    count += 1
    delta = value - mean
    mean += delta / count
    return count, mean, m2 + delta * (value - mean)


def merge(first: Moments, second: Moments) -> Moments:
    """Return the moments of two sets of values taken together.

    δ = m_b − m_a; m = m_a + δ·n_b/n; M2 = M2_a + M2_b + δ²·n_a·n_b/n; Chan, Golub & LeVeque (1983).
    """
    (count_a, mean_a, m2_a), (count_b, mean_b, m2_b) = first, second
    if not count_a or not count_b:
        return first if count_a else second
    count = count_a + count_b
    delta = mean_b - mean_a
    return count, mean_a + delta * count_b / count, m2_a + m2_b + delta * delta * count_a * count_b / count


def variance(moments: Moments) -> float:
    """Return the unbiased variance M2/(n − 1); 0 for fewer than two values."""
    count, _, m2 = moments
    return m2 / (count - 1) if count > 1 else 0.0


def confidence(visits: int, standard_error: float, scale: float) -> float:
    """Return how far an estimate can be trusted, in [0, 1): 0 without visits, at most 0.71 after 5.

    n/(n + 2) · 1/(1 + se/scale). `scale` > 0 comes from the reward range, so that 0.7 means the same for every agent.
    """
    if not scale > 0.0:
        raise InvalidInput(f"confidence: scale {scale!r} must be above 0; take the width of the reward range.")
    return visits / (visits + 2.0) / (1.0 + standard_error / scale)


def discounted_return(rewards: Sequence[float], gamma: float) -> float:
    """Return G = Σ γ^t·r_t of the rewards of an episode, oldest first."""
    total = 0.0
    for reward in reversed(rewards):
        total = reward + gamma * total
    return total


def value_bounds(low: float, high: float, gamma: float) -> tuple[float, float]:
    """Return the range in which every value learned from rewards in [low, high] must lie, the initial value 0 included.

    [min(0, lo, lo/(1 − γ)), max(0, hi, hi/(1 − γ))]: an episode may end after one step or never. γ = 1 gives infinite
    bounds. Raises InvalidInput for a γ outside [0, 1] or an empty range.
    """
    if not (0.0 <= gamma <= 1.0 and low <= high):
        raise InvalidInput(f"value bounds: need gamma in [0, 1] and low ≤ high, got {gamma!r}, [{low!r}, {high!r}].")
    horizon = 1.0 / (1.0 - gamma) if gamma < 1.0 else math.inf
    return (low * horizon if low < 0.0 else 0.0, high * horizon if high > 0.0 else 0.0)


def mean_interval(values: Floats, *, level: float = 0.95) -> tuple[float, float]:
    """Return Student's interval of the mean of `values` (n,); the whole line for a single value.

    m ± t_{n−1}((1 + level)/2)·s/√n; Student (1908). Raises InvalidInput without values.
    """
    if not len(values):
        raise InvalidInput("interval of a mean: there are no values.")
    mean = float(np.mean(values))
    if len(values) == 1:
        return -math.inf, math.inf
    reach = t_quantile((1.0 + level) / 2.0, len(values) - 1.0) * float(np.std(values, ddof=1)) / math.sqrt(len(values))
    return mean - reach, mean + reach


def paired_interval(
    first: Floats, second: Floats, rng: np.random.Generator, *, level: float = 0.95, resamples: int = 2000
) -> tuple[float, float]:
    """Return the bootstrap percentile interval of the mean of first − second, pair by pair; both of shape (n,).

    Efron & Tibshirani (1993), chapter 13. Raises InvalidInput if the shapes differ or there are no pairs.
    """
    if first.shape != second.shape or not first.size:
        raise InvalidInput(f"paired interval: shapes {first.shape} and {second.shape} must be equal and not empty.")
    differences = first - second
    count = len(differences)
    means = [differences[rng.integers(0, count, count)].mean() for _ in range(resamples)]
    low, high = np.quantile(means, [(1.0 - level) / 2.0, (1.0 + level) / 2.0])
    return float(low), float(high)


def t_cdf(t: float, degrees: float) -> float:
    """Return P(T ≤ t) for Student's t with `degrees` > 0 degrees of freedom.

    1 − ½·I_x(ν/2, ½) with x = ν/(ν + t²) for t ≥ 0, by symmetry below; DLMF 8.17.
    """
    square = t * t
    tail = 0.5 * _incomplete_beta(degrees / 2.0, 0.5, degrees / (degrees + square), square / (degrees + square))
    return 1.0 - tail if t > 0.0 else tail


@lru_cache(1_024)
def t_quantile(probability: float, degrees: float) -> float:
    """Return the t with P(T ≤ t) = `probability` ∈ (0, 1) for Student's t with `degrees` > 0 degrees of freedom.

    Bisection on `t_cdf`. Raises InvalidInput outside these ranges.
    """
    if not (0.0 < probability < 1.0 and degrees > 0.0):
        raise InvalidInput(f"t quantile: need 0 < p < 1 and degrees > 0, got {probability!r}, {degrees!r}.")
    tail = min(probability, 1.0 - probability)
    if tail == 0.5:
        return 0.0
    low, high = 0.0, 1.0
    while t_cdf(-high, degrees) > tail:
        low, high = high, 2.0 * high
    while low < (middle := 0.5 * (low + high)) < high:
        low, high = (middle, high) if t_cdf(-middle, degrees) > tail else (low, middle)
    return middle if probability > 0.5 else -middle


def _incomplete_beta(a: float, b: float, x: float, y: float) -> float:
    """Return the regularised incomplete beta function I_x(a, b), with y = 1 − x given apart to keep its digits."""
    if x == 0.0 or y == 0.0:
        return float(y == 0.0)
    log_front = math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log(y)
    front = math.exp(log_front)
    if x < (a + 1.0) / (a + b + 2.0):
        return front * _beta_fraction(a, b, x) / a
    return 1.0 - front * _beta_fraction(b, a, y) / b


def _beta_fraction(a: float, b: float, x: float) -> float:
    """Evaluate the continued fraction of DLMF 8.17.22 by Lentz's method, as modified by Thompson & Barnett (1986)."""
    tiny = 1e-300
    c, d = 1.0, 1.0 / ((1.0 - (a + b) * x / (a + 1.0)) or tiny)
    fraction = d
    for m in range(1, 1000):
        even = m * (b - m) * x / ((a + 2 * m - 1.0) * (a + 2 * m))
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1.0))
        for numerator in (even, odd):
            d = 1.0 / ((1.0 + numerator * d) or tiny)
            c = (1.0 + numerator / c) or tiny
            fraction *= c * d
        if abs(c * d - 1.0) < 1e-15:
            break
    return fraction

"""Intervals of means: by resampling, by the spread of bounded values, and such as hold at all times at once.

The bootstrap holds roughly, for any smooth function of means. The bounds of Maurer & Pontil hold exactly, for a number of
values that was fixed beforehand. The sequences hold exactly, however often one looks and whenever one stops.
"""

import math
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from steersman.core.errors import InvalidInput

Floats = NDArray[np.float64]

_GROUPS = 1_000
"""More units than this are resampled in groups of equal size, which keeps variance and skewness of a sum of units."""
_NORMAL = NormalDist()
_LARGEST_BET = 0.5


def resample(columns: Floats, rng: np.random.Generator, *, resamples: int = 1000) -> tuple[Floats, Floats]:
    """Return the means of the columns of (n, k) in each bootstrap resample, (resamples, k), and without each unit, (g, k).

    Units are the n rows, or 1,000 groups of rows where there are more of them: row i belongs to group i mod 1,000. Efron
    (1979); for the groups, Politis, Romano & Wolf (1999), "Subsampling". Raises InvalidInput for fewer than two rows.
    """
    if columns.ndim != 2 or len(columns) < 2:
        raise InvalidInput(f"bootstrap: need the columns of at least 2 rows, got shape {columns.shape}.")
    sums = np.column_stack([_group(columns), _group(np.ones((len(columns), 1)))])
    count = len(sums)
    drawn = rng.integers(0, count, (resamples, count)) + count * np.arange(resamples)[:, None]
    times = np.bincount(drawn.ravel(), minlength=resamples * count).reshape(resamples, count).astype(np.float64)
    replicates, left = times @ sums, sums.sum(axis=0) - sums
    return replicates[:, :-1] / replicates[:, -1:], left[:, :-1] / left[:, -1:]


def bias_corrected(value: float, replicates: Floats, without: Floats, *, level: float = 0.95) -> tuple[float, float]:
    """Return the BCa interval of a statistic from its value, its replicates (b,) and its values without each unit (g,).

    Quantiles Φ(z₀ + (z₀ + z)/(1 − a(z₀ + z))) of the replicates, with z₀ = Φ⁻¹(share below the value) and the acceleration
    a = Σd³/(6(Σd²)^1.5), d = mean − value without each unit; Efron (1987). The whole line if most replicates are not finite.
    """
    _check_level(level)
    finite = replicates[np.isfinite(replicates)]
    if 2 * len(finite) <= len(replicates) or not math.isfinite(value):
        return -math.inf, math.inf
    tie = 0.5 * float(np.mean(finite == value))
    below = min(max(float(np.mean(finite < value)) + tie, 1.0 / len(finite)), 1.0 - 1.0 / len(finite))
    shift, slope = _NORMAL.inv_cdf(below), _acceleration(without[np.isfinite(without)])
    tails = [_shifted(_NORMAL.inv_cdf(tail), shift, slope) for tail in ((1.0 - level) / 2.0, (1.0 + level) / 2.0)]
    low, high = np.quantile(finite, tails)
    return float(low), float(high)


def bootstrap_interval(
    values: Floats, rng: np.random.Generator, *, level: float = 0.95, resamples: int = 1000
) -> tuple[float, float]:
    """Return the BCa bootstrap interval of the mean of `values` (n,); see `resample` and `bias_corrected`."""
    replicates, without = resample(values[:, None], rng, resamples=resamples)
    return bias_corrected(float(values.mean()), replicates[:, 0], without[:, 0], level=level)


def empirical_bernstein(values: Floats, low: float, high: float, *, level: float = 0.95) -> tuple[float, float]:
    """Return an interval that holds the mean with at least `level`, for n independent values in [low, high], n fixed.

    m ± (√(2·s²·ln(4/α)/n) + 7·(high − low)·ln(4/α)/(3(n − 1))), cut at the range; Maurer & Pontil (2009), theorem 4, once
    for each side. Raises InvalidInput outside the range. The whole range for fewer than two values.
    """
    _check_level(level)
    _check_range(values, low, high)
    count = len(values)
    if count < 2:
        return low, high
    weight = math.log(4.0 / (1.0 - level))
    reach = math.sqrt(2.0 * float(np.var(values, ddof=1)) * weight / count)
    reach += 7.0 * (high - low) * weight / (3.0 * (count - 1))
    mean = float(np.mean(values))
    return max(mean - reach, low), min(mean + reach, high)


def confidence_sequence(values: Floats, low: float, high: float, *, level: float = 0.95) -> tuple[Floats, Floats]:
    """Return bounds (n,), (n,) which hold the mean at all times at once with at least `level`, for values in [low, high].

    After t values, oldest first, scaled to [0, 1]: Σλx/Σλ ± (ln(2/α) + Σ4(x − m̂)²ψ(λ))/Σλ with
    ψ(λ) = (−ln(1 − λ) − λ)/4, λ_t = min(√(2·ln(2/α)/(v̂·t·ln(1 + t))), ½) and m̂, v̂ of the values before t, cut at the best
    bound so far: the predictable plug-in empirical Bernstein sequence of Waudby-Smith & Ramdas (2024), theorem 2. The mean
    may be the conditional one of a martingale, as long as it stays the same. Raises InvalidInput outside the range.
    """
    _check_level(level)
    _check_range(values, low, high)
    weight = math.log(2.0 / (1.0 - level))
    scaled = (values - low) / (high - low)
    before = _running_mean(scaled, first=0.5)[:-1]
    bets = _bets(scaled, before, weight)
    total = np.cumsum(bets)
    # 4(x − m̂)² · ψ(λ) with ψ a quarter of −ln(1 − λ) − λ
    reach = (weight + np.cumsum((scaled - before) ** 2 * (-np.log1p(-bets) - bets))) / total
    center = np.cumsum(bets * scaled) / total
    lows = np.maximum.accumulate(np.maximum(center - reach, 0.0))
    highs = np.minimum.accumulate(np.minimum(center + reach, 1.0))
    return low + (high - low) * lows, low + (high - low) * highs


def lower_sequence(values: Floats, *, scale: float, level: float = 0.95) -> Floats:
    """Return lower bounds (n,) of the mean of values ≥ 0 without a largest one, which hold at all times with `level`.

    With ξ = x/scale: Σλξ/Σλ − (ln(1/α) + Σ(ξ − ξ̂)²(−ln(1 − λ) − λ))/Σλ, ξ̂ = min(mean before, 1); for importance-weighted
    rewards, Waudby-Smith, Wu, Ramdas, Karampatziakis & Mineiro (2022), "Anytime-valid off-policy inference for contextual
    bandits", proposition 1; it rests on exp(λy − y²ψ(λ)) ≤ 1 + λy for y ≥ −1. scale > 0, fixed beforehand: what a value is
    expected to be at most. Raises InvalidInput for values below 0.
    """
    _check_level(level)
    if not scale > 0.0 or (len(values) and not (np.isfinite(values).all() and float(values.min()) >= 0.0)):
        raise InvalidInput(f"lower sequence: need values ≥ 0 and scale > 0, got scale {scale!r} and {values!r}.")
    weight = -math.log1p(-level)
    scaled = values / scale
    before = np.minimum(_running_mean(scaled, first=0.5)[:-1], 1.0)
    bets = _bets(scaled, before, weight)
    penalty = weight + np.cumsum((scaled - before) ** 2 * (-np.log1p(-bets) - bets))
    lows = (np.cumsum(bets * scaled) - penalty) / np.cumsum(bets)
    return scale * np.maximum.accumulate(np.maximum(lows, 0.0))


def _bets(scaled: Floats, before: Floats, weight: float) -> Floats:
    """Return λ_t = min(√(2·weight/(v̂·t·ln(1 + t))), ½), v̂·t = ¼ + Σ(x − m̂)² over those before."""
    times = np.arange(1.0, len(scaled) + 1.0)
    spread = 0.25 + np.concatenate([[0.0], np.cumsum((scaled - before) ** 2)[:-1]])
    bets: Floats = np.minimum(np.sqrt(2.0 * weight / (spread * np.log1p(times))), _LARGEST_BET)
    return bets


def _running_mean(values: Floats, *, first: float) -> Floats:
    """Return (first + Σ of the first t values)/(t + 1) for t = 0 … n, shape (n + 1,)."""
    sums = np.concatenate([[first], first + np.cumsum(values)])
    return np.asarray(sums / np.arange(1.0, len(sums) + 1.0))


def _group(columns: Floats) -> Floats:
    """Return sums of rows, row i in group i mod 1,000; the rows themselves where there are no more than that."""
    whole = len(columns) // _GROUPS * _GROUPS
    if len(columns) <= _GROUPS:
        return columns
    sums: Floats = columns[:whole].reshape(-1, _GROUPS, columns.shape[1]).sum(axis=0)
    sums[: len(columns) - whole] += columns[whole:]
    return sums


def _acceleration(without: Floats) -> float:
    if not len(without):
        return 0.0
    away = without.mean() - without
    squares = float(np.sum(away**2))
    return float(np.sum(away**3)) / (6.0 * squares**1.5) if squares > 0.0 else 0.0


def _shifted(normal: float, shift: float, slope: float) -> float:
    moved = shift + normal
    return _NORMAL.cdf(shift + moved / max(1.0 - slope * moved, 0.1))


def _check_level(level: float) -> None:
    if not 0.0 < level < 1.0:
        raise InvalidInput(f"interval: the level {level!r} must lie between 0 and 1, for example 0.95.")


def _check_range(values: Floats, low: float, high: float) -> None:
    outside = ~((values >= low) & (values <= high))
    if not low < high or outside.any():
        raise InvalidInput(
            f"interval: {values[outside][:3]} must lie within [{low!r}, {high!r}], and that must not be empty."
        )

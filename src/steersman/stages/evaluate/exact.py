"""Exact intervals of a difference of values: wider than a bootstrap's, and right without a model and without resampling.

They are intervals of the mean of (w − w′)·r, w and w′ the weights of two policies. In a bandit, rewards count from the
middle of their range, which changes no mean, for weights are 1 on average; where its episodes hold several rows, each
episode counts the same. Weights are cut at a limit, so that no value exceeds what is known beforehand.
"""

import math

import numpy as np
from numpy.typing import NDArray

from steersman.maths.intervals import confidence_sequence, empirical_bernstein, lower_sequence
from steersman.stages.evaluate.weigh import Frame, Weighed

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Interval = tuple[float, float]


def certain(shared: Frame, first: Weighed, second: Weighed, *, level: float) -> Interval:
    """Return an interval that holds with the level for sure, for a number of outcomes that was fixed beforehand.

    The whole line where weights have no limit.
    """
    values, bound = _bounded(shared, first, second)
    return empirical_bernstein(values, -bound, bound, level=level) if math.isfinite(bound) else (-math.inf, math.inf)


def anytime(shared: Frame, first: Weighed, second: Weighed, *, level: float) -> Interval:
    """Return an interval that holds with the level however often one looks.

    In a bandit the better of two bounds on each side, which share what may fail: one knows the largest weight, and one needs
    none, for w·(r − lo) + w′·(hi − r) ≥ 0 is on average the difference plus hi − lo.
    """
    order = np.argsort(shared.evidence.decided_at[shared.first], kind="stable")
    half, quarter = (1.0 - (1.0 - level) / part for part in (2.0, 4.0))
    low, high = _sequence(shared, first, second, order, level=level if shared.grid is not None else half)
    if shared.grid is not None:
        return low, high
    reach = shared.evidence.reach
    gained, lost = _crossed(shared, first, second)[order], _crossed(shared, second, first)[order]
    return (
        max(low, float(lower_sequence(gained, scale=reach, level=quarter)[-1]) - reach),
        min(high, reach - float(lower_sequence(lost, scale=reach, level=quarter)[-1])),
    )


def _sequence(shared: Frame, first: Weighed, second: Weighed, order: Ints, *, level: float) -> Interval:
    values, bound = _bounded(shared, first, second)
    if not math.isfinite(bound):
        return -math.inf, math.inf
    lows, highs = confidence_sequence(values[order], -bound, bound, level=level)
    return float(lows[-1]), float(highs[-1])


def _bounded(shared: Frame, first: Weighed, second: Weighed) -> tuple[Floats, float]:
    """Return a value for each unit, and what none of them can exceed in size, for no weight exceeds its limit."""
    evidence = shared.evidence
    if first.model is not None and second.model is not None:
        values = ((first.model.rho - second.model.rho) * first.model.reward) @ shared.discounts
        return values, first.limit * max(abs(evidence.low), abs(evidence.high)) * float(shared.discounts.sum())
    middle = 0.5 * (evidence.low + evidence.high)
    rows = (first.rows - second.rows) * (evidence.reward - middle)
    return _mean_by_unit(shared, rows), 0.5 * first.limit * evidence.reach * (1.0 + 1e-9)


def _crossed(shared: Frame, first: Weighed, second: Weighed) -> Floats:
    """Return w·(r − lo) + w′·(hi − r), which is never below 0."""
    evidence = shared.evidence
    above, below = (np.maximum(each, 0.0) for each in (evidence.reward - evidence.low, evidence.high - evidence.reward))
    return _mean_by_unit(shared, first.raw * above + second.raw * below)


def _mean_by_unit(shared: Frame, rows: Floats) -> Floats:
    return np.asarray(np.bincount(shared.units, rows, shared.count) / np.bincount(shared.units, minlength=shared.count))

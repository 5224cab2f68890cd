"""Sums: all that estimates from rows need, in a value that takes rows one batch at a time and merges with others."""

import math
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from steersman.core.errors import InvalidInput
from steersman.maths.off_policy.weights import importance_weights, of_executed

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

WEIGHT, EARNED, PREDICTED, CORRECTION, SWITCHED = range(5)
"""The columns of `of_rows`: w, w·r, v̂ = Σπq̂, w·(r − q̂), and the last again, 0 where w exceeds the limit of the switch."""
_BLOCK = 16_384
"""Rows at a time: what is worked out of them stays in the processor's cache."""


@dataclass(frozen=True, kw_only=True)
class Sums:
    """Count, means (k,) and products of deviations from the means (k, k) of columns; `merge` in any order is the same.

    Merging follows Chan, Golub & LeVeque (1983): no digits are lost far from zero.
    """

    count: int
    mean: Floats
    scatter: Floats

    @classmethod
    def of(cls, columns: Floats) -> Self:
        """Return the sums of (n, k) columns."""
        mean = columns.mean(axis=0) if len(columns) else np.zeros(columns.shape[1])
        away = columns - mean
        return cls(count=len(columns), mean=mean, scatter=away.T @ away)

    def merge(self, other: Self) -> Self:
        """Return the sums of both sets of rows together. Raises InvalidInput if their columns are not as many."""
        if self.mean.shape != other.mean.shape:
            raise InvalidInput(f"sums: {self.mean.shape} and {other.mean.shape} columns cannot be merged.")
        count = self.count + other.count
        if not count:
            return self
        delta = other.mean - self.mean
        scatter = self.scatter + other.scatter + np.outer(delta, delta) * (self.count * other.count / count)
        return type(self)(count=count, mean=self.mean + delta * (other.count / count), scatter=scatter)

    def average(self, column: int) -> tuple[float, float]:
        """Return the mean of a column and its standard error; the error of fewer than two rows is infinite."""
        if self.count < 2:
            return float(self.mean[column]), math.inf
        return float(self.mean[column]), math.sqrt(self.scatter[column, column] / (self.count - 1) / self.count)

    def total(self, first: int, second: int) -> tuple[float, float]:
        """Return the mean of the sum of two columns and its standard error; that of fewer than two rows is infinite."""
        mean = float(self.mean[first] + self.mean[second])
        if self.count < 2:
            return mean, math.inf
        spread = float(self.scatter[first, first] + 2.0 * self.scatter[first, second] + self.scatter[second, second])
        return mean, math.sqrt(max(spread, 0.0) / (self.count - 1) / self.count)

    def ratio(self, top: int, bottom: int) -> tuple[float, float]:
        """Return R = mean of one column over that of another, with its standard error √(Σ(x − R·y)²/(n(n − 1)))/ȳ.

        The delta method, Cochran (1977), section 6.4. (nan, inf) where the lower mean is 0.
        """
        if self.count < 2 or self.mean[bottom] == 0.0:
            return math.nan, math.inf
        ratio = float(self.mean[top] / self.mean[bottom])
        slopes = np.zeros_like(self.mean)
        slopes[top] += 1.0
        slopes[bottom] -= ratio
        variance = max(float(slopes @ self.scatter @ slopes), 0.0) / (self.count - 1) / self.count
        return ratio, math.sqrt(variance) / abs(float(self.mean[bottom]))

    def effective_size(self, column: int = WEIGHT) -> float:
        """Return (Σw)²/Σw² of a column of weights."""
        squares = float(self.scatter[column, column]) + self.count * float(self.mean[column]) ** 2
        return (self.count * float(self.mean[column])) ** 2 / squares if squares > 0.0 else 0.0


def of_rows(weights: Floats, reward: Floats, predicted: Floats, value: Floats, *, limit: float = math.inf) -> Sums:
    """Return the sums from which all bandit estimates of a policy follow.

    weights: w; predicted: q̂(x, a) of the executed action; value: Σ_a π(a|x)·q̂(x, a); all (n,), as in `bandit`. limit: that
    of the switch.
    """
    correction = weights * (reward - predicted)
    switched = np.where(weights <= limit, correction, 0.0)
    return Sums.of(np.array([weights, weights * reward, value, correction, switched]).T)


def of_log(
    target: Floats,
    action: Ints,
    propensity: Floats,
    reward: Floats,
    *,
    model: Floats | None = None,
    limit: float = math.inf,
) -> Sums:
    """Return the same sums from rows as they are logged, block by block; without a model, those of w and w·r alone.

    target, model: π and q̂, (n, A); action, propensity, reward: (n,), of the executed action. q̂ must not have seen its own
    row. Raises InvalidInput where a propensity is not in (0, 1].
    """
    found = Sums.of(np.zeros((0, 2 if model is None else 5)))
    for start in range(0, len(reward), _BLOCK):
        rows = slice(start, start + _BLOCK)
        weights = importance_weights(target[rows], action[rows], propensity[rows])
        if model is None:
            part = Sums.of(np.array([weights, weights * reward[rows]]).T)
        else:
            value = np.einsum("na,na->n", target[rows], model[rows])
            part = of_rows(weights, reward[rows], of_executed(model[rows], action[rows]), value, limit=limit)
        found = found.merge(part)
    return found


def estimates(sums: Sums) -> dict[str, tuple[float, float]]:
    """Return the value and the standard error by each estimator from the sums of `of_rows` or `of_log`."""
    found = {"ips": sums.average(EARNED), "snips": sums.ratio(EARNED, WEIGHT)}
    if len(sums.mean) > CORRECTION:
        found["direct"] = sums.average(PREDICTED)
        found["doubly robust"] = sums.total(PREDICTED, CORRECTION)
        found["switch"] = sums.total(PREDICTED, SWITCHED)
    return found

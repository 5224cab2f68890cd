"""Forecasts: whether mean rewards foretold from earlier outcomes come true in later, held-out ones.

Time is cut into eleven blocks of as many outcomes. For each group of outcomes, its mean up to a block foretells its mean in
that block, with an interval that knows the noise of both. A world that stays as it is keeps about 95 % of them; what drifts,
or is noisier from block to block than within them, breaks them.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from steersman.maths.statistics import t_quantile
from steersman.stages.evaluate.evidence import Evidence

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

_BLOCKS = 11
_FEWEST = 10
"""Outcomes of a group below which a block of it is neither foretold nor judged."""
_NEEDED = 10
"""Forecasts below which their share says nothing."""
_CHANCE = 0.01
"""Probability of so few forecasts that hold, where nothing is wrong, below which something is."""


@dataclass(frozen=True, kw_only=True)
class Accuracy:
    """How many forecasts were made and how many held; share is None below the number needed."""

    forecasts: int
    inside: int
    needed: int = _NEEDED

    @property
    def share(self) -> float | None:
        """Share of the forecasts that held."""
        return self.inside / self.forecasts if self.forecasts >= self.needed else None

    def by_chance(self, level: float) -> bool:
        """Return whether so few may have held by chance, where each holds with probability `level`."""
        broken = self.forecasts - self.inside
        as_many = (
            math.comb(self.forecasts, each) * (1.0 - level) ** each * level ** (self.forecasts - each)
            for each in range(broken, self.forecasts + 1)
        )
        return math.fsum(as_many) >= _CHANCE


def forecast_accuracy(evidence: Evidence, *, level: float = 0.95) -> Accuracy:
    """Return how many forecasts of mean rewards held.

    A group is a state and an action where these have outcomes enough for each block, and else an action in all other
    states: then what is foretold does not depend on how often the log's policy chose it.
    """
    if not len(evidence):
        return Accuracy(forecasts=0, inside=0)
    order = np.argsort(evidence.decided_at, kind="stable")
    block = np.empty(len(order), dtype=np.int64)
    block[order] = np.arange(len(order)) * _BLOCKS // len(order)
    group = _groups(evidence)
    count, mean, squares = _moments(group * _BLOCKS + block, evidence.reward, (int(group.max()) + 1, _BLOCKS))
    before = _up_to(count, mean, squares)
    return _judged(before, (count[:, 1:], mean[:, 1:], squares[:, 1:]), evidence.reach, level)


def _judged(
    before: tuple[Floats, Floats, Floats], after: tuple[Floats, Floats, Floats], reach: float, level: float
) -> Accuracy:
    """Return which means after lie within m ± t·√(v/n + v′/n′); Welch (1947), with a prior for both variances."""
    fine = (before[0] >= _FEWEST) & (after[0] >= _FEWEST)
    noise = [_variance(count[fine], squares[fine], reach) / count[fine] for count, _, squares in (before, after)]
    quantiles = [t_quantile((1.0 + level) / 2.0, freedom) for freedom in _freedom(before[0][fine], after[0][fine])]
    inside = np.abs(before[1][fine] - after[1][fine]) <= np.array(quantiles) * np.sqrt(noise[0] + noise[1])
    return Accuracy(forecasts=int(fine.sum()), inside=int(inside.sum()))


def _freedom(first: Floats, second: Floats) -> list[float]:
    """Return the smaller number of degrees of freedom, a careful choice; 200 stand for all above."""
    return [float(each) for each in np.minimum(np.minimum(first, second) - 1.0, 200.0)]


def _variance(count: Floats, squares: Floats, reach: float) -> Floats:
    """Return s² as if two more values of the widest variance had been seen; Agresti & Coull (1998) in spirit.

    Without them, ten values that happen to agree would break 15 % of the forecasts of a rate of 0.1.
    """
    return np.asarray((squares + 2.0 * reach * reach / 4.0) / (count - 1.0 + 2.0))


def _groups(evidence: Evidence) -> Ints:
    actions = evidence.candidate.shape[1]
    _, place, count = np.unique(evidence.state * actions + evidence.action, return_inverse=True, return_counts=True)
    enough = count >= 2 * _FEWEST * _BLOCKS
    number = np.where(enough, np.cumsum(enough) - 1, 0)[place]
    return np.asarray(np.where(enough[place], number, int(enough.sum()) + evidence.action))


def _moments(cell: Ints, values: Floats, shape: tuple[int, int]) -> tuple[Floats, Floats, Floats]:
    """Return count, mean and sum of squared deviations of each cell."""
    size = shape[0] * shape[1]
    count = np.bincount(cell, minlength=size).astype(float)
    mean: Floats = np.bincount(cell, values, size) / np.maximum(count, 1.0)
    squares = np.bincount(cell, (values - mean[cell]) ** 2, size).astype(float)
    return count.reshape(shape), mean.reshape(shape), squares.reshape(shape)


def _up_to(count: Floats, mean: Floats, squares: Floats) -> tuple[Floats, Floats, Floats]:
    """Return the same of all blocks before each block but the first; Chan, Golub & LeVeque (1983), one after the other."""
    total, center, spread = count[:, 0], mean[:, 0], squares[:, 0]
    found = [(total, center, spread)]
    for block in range(1, count.shape[1] - 1):
        both = np.maximum(total + count[:, block], 1.0)
        delta = mean[:, block] - center
        spread = spread + squares[:, block] + delta**2 * total * count[:, block] / both
        center = center + delta * count[:, block] / both
        total = total + count[:, block]
        found.append((total, center, spread))
    totals, centers, spreads = (np.column_stack(parts) for parts in zip(*found, strict=True))
    return totals, centers, spreads

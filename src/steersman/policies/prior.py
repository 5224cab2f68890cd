"""Priors: what others have seen, beside what the agent has seen itself, and how the two become one value."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from steersman.core.sections import Learning
from steersman.core.values import Belief
from steersman.policies.tabular import QTable

Floats = NDArray[np.float64]
OWN = "own"
_STEPS = 4_096


class OwnEvidence:
    """Reads from a table what the agent's own outcomes say: an estimate and a count for each slot.

    After n steps of sizes α₁ … αₙ a value is still made of its initial value by the share Π(1 − αₖ). In a flat space that
    share is taken out, so that an estimate is the weighted mean of what was seen: (Q − share·Q₀)/(1 − share), as in Adam
    (Kingma & Ba, 2015). In a factored space slots move together and have no such share: their values stay as they are.
    """

    def __init__(self, learning: Learning) -> None:
        seen = np.arange(_STEPS)
        constant = learning.alpha_schedule == "constant"
        falling = np.maximum(learning.alpha_floor, learning.alpha / (1.0 + seen / learning.alpha_scale))
        steps = np.full(_STEPS, learning.alpha) if constant else falling
        self._left: Floats = np.concatenate([[1.0], np.cumprod(1.0 - steps)])

    def __call__(self, table: QTable, rows: Sequence[int]) -> tuple[Floats, Floats]:
        """Return estimates and visits of table rows, each of shape (rows, width); initial values where nothing was seen."""
        shape = (len(rows), table.estimators, table.width)
        value = table.value[rows].reshape(shape)
        visits = table.visits[rows].reshape(shape)
        total = visits.sum(axis=1).astype(np.float64)
        if table.factored:
            return value.mean(axis=1), total
        left = self._left[np.minimum(visits, _STEPS)]
        gained = (1.0 - left).sum(axis=1)
        moved = (value - left * table.initial_value).sum(axis=1)
        estimate = np.divide(moved, gained, out=np.full(gained.shape, table.initial_value), where=gained > 0.0)
        return estimate, total

    def of(self, table: QTable, row: int | None) -> tuple[Floats, Floats]:
        """Return estimates and visits of one state, each of shape (width,); initial values for no row."""
        if row is None:
            return np.full(table.width, table.initial_value), np.zeros(table.width)
        estimate, visits = self(table, (row,))
        return estimate[0], visits[0]


@dataclass(frozen=True, kw_only=True, slots=True)
class Prior:
    """What others say about one shared state, in the agent's own units.

    They compare choices: `effects` (sources, width) is how far each choice lies from the mean of its dimension, and
    `weights` (sources, width) how many visits that is worth. How high the whole dimension lies differs from agent to
    agent: `level` (dimensions,) is what others would guess, with `level_variance` (dimensions,) around it. `variance`
    (dimensions,) is that of one observation; `dimension` (width,) tells to which dimension a slot belongs.
    """

    sources: tuple[str, ...]
    effects: Floats
    weights: Floats
    level: Floats
    level_variance: Floats
    variance: Floats
    dimension: NDArray[np.intp]

    def beliefs(self, own: Floats, visits: Floats, bounds: tuple[float, float]) -> tuple[Belief, ...]:
        """Return each source's means and weights, lifted to the level on which the agent's own estimates lie.

        The level is the best linear unbiased prediction in the mixed model value = level + effect + deviation (Henderson,
        1975): own estimates less their effects, weighted by 1/(σ²/w + σ²/n), and the others' guess by 1/level_variance.
        Without own visits it is that guess. own, visits: shape (width,).
        """
        worth = self.weights.sum(axis=0)
        both = (worth > 0.0) & (visits > 0.0)
        where, size = self.dimension[both], len(self.level)
        effect = (self.weights * self.effects).sum(axis=0)[both] / worth[both]
        precision = 1.0 / (self.variance[where] * (1.0 / worth[both] + 1.0 / visits[both]))
        found = self.level / self.level_variance + np.bincount(where, precision * (own[both] - effect), size)
        level = found / (1.0 / self.level_variance + np.bincount(where, precision, size))
        means = np.where(self.weights > 0.0, np.clip(level[self.dimension] + self.effects, *bounds), 0.0)
        return tuple(
            Belief(source=source, means=tuple(mean), weights=tuple(weight))
            for source, mean, weight in zip(self.sources, means.tolist(), self.weights.tolist(), strict=True)
        )


def blend(own: Floats, visits: Floats, borrowed: Sequence[Belief]) -> Floats:
    """Return the value of each slot, shape (width,): (n·own + Σ wᵢ·mᵢ)/(n + Σ wᵢ), and `own` where nobody saw anything.

    The mean after conjugate normal updates, with weights as pseudo-counts: the prior's mean at n = 0, the own estimate
    as n grows.
    """
    total, weight = visits * own, visits.copy()
    for each in borrowed:
        counts = np.array(each.weights)
        total += counts * np.array(each.means)
        weight += counts
    return np.divide(total, weight, out=own.copy(), where=weight > 0.0)


def worth(borrowed: Sequence[Belief]) -> float:
    """Return how many visits of its state the priors are worth: the mean over slots of their weights."""
    return sum(sum(each.weights) / len(each.weights) for each in borrowed)

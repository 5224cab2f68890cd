"""Importance weights: how many outcomes of the log speak for a policy, and what cutting the largest weights may cost."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from steersman.core.errors import InvalidInput

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class Clipped:
    """Weights cut at a limit.

    weights: as they came, each at most the limit. mass: the mean weight that was cut off, in probability of the target: of
    its decisions, about that share is not spoken for. `bias` turns it into what an estimate may be off by.
    """

    weights: Floats
    mass: float

    def bias(self, low: float, high: float) -> float:
        """Return the bound (high − low)·mass of the bias of an estimate whose errors lie within the width of a range.

        |E[(w − min(w, c))·(r − b)]| ≤ (high − low)·E[w − min(w, c)] for r and b in [low, high]; Ionides (2008).
        """
        return (high - low) * self.mass


def importance_weights(target: Floats, action: Ints, propensity: Floats) -> Floats:
    """Return w = π(a|x)/p of the executed actions, (n,), from π of shape (n, a) and p of shape (n,).

    Raises InvalidInput where a propensity is not in (0, 1].
    """
    if len(propensity) and not (float(propensity.min()) > 0.0 and float(propensity.max()) <= 1.0):
        raise InvalidInput("importance weights: each propensity must lie in (0, 1]; leave rows without one out.")
    weights = of_executed(target, action)
    weights /= propensity
    return weights


def of_executed(table: Floats, action: Ints) -> Floats:
    """Return the values (n,) of the executed actions from those of all, (n, A)."""
    return table.ravel().take(action + np.arange(0, table.size, table.shape[1]))


def clip(weights: Floats, limit: float) -> Clipped:
    """Return the weights cut at `limit`, with the mean mass that this takes away. Raises InvalidInput for a limit ≤ 0."""
    if not limit > 0.0:
        raise InvalidInput(f"clip: the limit {limit!r} must be above 0; math.inf cuts nothing.")
    if not weights.size or float(weights.max()) <= limit:
        return Clipped(weights=weights, mass=0.0)
    cut = np.minimum(weights, limit)
    return Clipped(weights=cut, mass=float(np.mean(weights - cut)))


def effective_size(weights: Floats) -> float:
    """Return (Σw)²/Σw², the number of outcomes drawn by the policy itself that would tell as much; 0 if all are 0.

    Kish (1965).
    """
    squares = float(weights @ weights)
    return float(weights.sum()) ** 2 / squares if squares > 0.0 else 0.0

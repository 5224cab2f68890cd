"""Linear regression online: a Gaussian belief about each weight, moved by the Kalman filter with a diagonal covariance.

One observation y of x·w with noise σ² moves the belief N(m, diag(v)) by the gain K = v∘x / (σ² + Σ vᵢxᵢ²):

    m ← m + K·(y − x·m)        v ← v ∘ (1 − K∘x)

This is AROW for regression (Crammer, Kulesza & Dredze 2009, "Adaptive regularization of weight vectors"; Vaits & Crammer
2011) and, with the covariance left whole, recursive least squares. The step sizes come from the belief itself: a feature
seen rarely moves far, one seen often hardly, and neither needs a learning rate.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Places = NDArray[np.intp]


@dataclass(frozen=True, kw_only=True, eq=False)
class Belief:
    """What is held of each weight, shape (D,): its mean and its variance. The arrays are changed in place by learning."""

    mean: Floats
    variance: Floats

    @classmethod
    def blank(cls, size: int, variance: float) -> "Belief":
        """Return the belief before any evidence: every mean is 0."""
        return cls(mean=np.zeros(size), variance=np.full(size, variance))


def observe(belief: Belief, places: Places, values: Floats, target: float, *, noise: float) -> float:
    """Move a belief by one observation of the features `values` (F,) at `places` (F,), and return the error before.

    noise: variance of the observation. A place that occurs twice counts as two features.
    """
    error = target - float(belief.mean[places] @ values)
    variance = belief.variance[places]
    spread = variance * values
    gain = spread / (noise + float(spread @ values))
    np.add.at(belief.mean, places, gain * error)
    belief.variance[places] = variance * (1.0 - gain * values)
    return error


def correct(belief: Belief, places: Places, values: Floats, difference: float, *, noise: float) -> None:
    """Move the means by what an observation that was already made differs now; it teaches nothing new about certainty.

    m ← m + K·(y_new − y_old), with the gain of today.
    """
    spread = belief.variance[places] * values
    np.add.at(belief.mean, places, spread * (difference / (noise + float(spread @ values))))

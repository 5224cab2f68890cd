"""Estimators of the value of one decision: what a policy would earn on average, from rows of another one.

Shapes: w, the importance weights (clipped or not), r, the rewards, q̂ of the executed action, and v̂ = Σ_a π(a|x)·q̂(x, a)
are (n,). q̂ must not have seen its own row (see `fitted_q.crossfit`), or the doubly robust ones lose their guarantee.
"""

import numpy as np
from numpy.typing import NDArray

from steersman.maths.off_policy.terms import Terms

Floats = NDArray[np.float64]


def ips(weights: Floats, reward: Floats) -> Terms:
    """Inverse propensity scores: mean(w·r); unbiased where propensities are true; Horvitz & Thompson (1952)."""
    return Terms(numerator=(weights * reward)[:, None])


def snips(weights: Floats, reward: Floats) -> Terms:
    """Self-normalised: Σw·r/Σw, which stays within the range of the rewards; Swaminathan & Joachims (2015)."""
    return Terms(numerator=(weights * reward)[:, None], denominator=weights[:, None])


def direct(value: Floats) -> Terms:
    """Direct method: mean(v̂). Its interval knows nothing of the model's errors; Beygelzimer & Langford (2009)."""
    return Terms(numerator=value[:, None])


def doubly_robust(weights: Floats, reward: Floats, predicted: Floats, value: Floats) -> Terms:
    """Doubly robust: mean(v̂ + w·(r − q̂)); right if the propensities or the model are; Dudík, Langford & Li (2011)."""
    return Terms(numerator=(value + weights * (reward - predicted))[:, None])


def switch_dr(weights: Floats, reward: Floats, predicted: Floats, value: Floats, *, limit: float) -> Terms:
    """Switch: doubly robust where w ≤ limit, the model alone beyond; Wang, Agarwal & Dudík (2017)."""
    kept = np.where(weights <= limit, weights, 0.0)
    return doubly_robust(kept, reward, predicted, value)

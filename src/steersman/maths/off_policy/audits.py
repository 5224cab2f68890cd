"""Audits: whether the log can speak for a policy at all, and whether its propensities are true."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from steersman.core.errors import InvalidInput

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

_RARE = 10
"""Draws below which an action counts as rarely drawn."""


@dataclass(frozen=True, kw_only=True)
class Support:
    """Shares of a policy's decisions, in [0, 1].

    never: on actions that were never drawn, or beside the only one that could be. rarely: on actions drawn one to
    nine times. unseen: on actions not drawn in that very state, which is no lack if they could have been.
    """

    never: float
    rarely: float
    unseen: float


@dataclass(frozen=True, kw_only=True)
class MeanWeight:
    """The mean of importance weights, which is 1 where propensities are true and all that the policy does was possible.

    low, high: 99.9 % interval of its expectation.
    """

    mean: float
    low: float
    high: float

    @property
    def plausible(self) -> bool:
        """Whether 1 lies within the interval."""
        return self.low <= 1.0 <= self.high


@dataclass(frozen=True, kw_only=True)
class Fit:
    """A χ² statistic, its degrees of freedom, and the probability of one as large where all is as claimed."""

    statistic: float
    freedom: int
    probability: float


def unseen_mass(masses: Floats, action: Ints, propensity: Floats) -> float:
    """Return the mean of Σ|m(a)| over the actions of which the log cannot speak, for m of shape (n, A).

    These are the actions that were never drawn, and in rows whose propensity is 1 all but the executed one.
    """
    width = masses.shape[1]
    sizes = np.abs(masses)
    never = sizes @ (np.bincount(action, minlength=width) == 0).astype(float)
    only = np.flatnonzero(propensity >= 1.0)
    never[only] = sizes[only].sum(axis=1) - sizes[only, action[only]]
    return float(np.mean(never))


def support(target: Floats, action: Ints, state: Ints, propensity: Floats) -> Support:
    """Return how much of π (n, A) the executed actions (n,) in states (n,) can speak for."""
    width = target.shape[1]
    drawn = np.bincount(action, minlength=width)
    places, place = np.unique(state, return_inverse=True)
    seen = np.zeros((len(places), width), dtype=np.bool_)
    seen[place, action] = True
    return Support(
        never=unseen_mass(target, action, propensity),
        rarely=float(np.mean(target @ ((drawn > 0) & (drawn < _RARE)).astype(float))),
        unseen=float(np.sum(target, where=~seen[place]) / len(state)),
    )


def mean_weight(weights: Floats) -> MeanWeight:
    """Return the mean of weights (n,) with a 99.9 % interval, m ± 3.291·s/√n widened as if two more were 0 and 2.

    Agresti & Coull (1998) in spirit: a few weights that agree by chance are no proof. Raises InvalidInput without weights.
    """
    if not len(weights):
        raise InvalidInput("mean weight: there are no weights.")
    mean, count = float(weights.mean()), len(weights)
    variance = (float(np.sum((weights - mean) ** 2)) + 2.0) / (count + 1.0)
    reach = 3.291 * math.sqrt(variance / count)
    return MeanWeight(mean=mean, low=mean - reach, high=mean + reach)


def even_weights(allowed: Bools, action: Ints, propensity: Floats) -> Floats:
    """Return the weights (n,) of a policy with even chances for all allowed actions (n, A): 1/(p·number allowed).

    Their mean tells whether propensities are true, whatever the policies that are to be judged.
    """
    return np.asarray(1.0 / (propensity * allowed.sum(axis=1)) * allowed[np.arange(len(action)), action])


def action_fit(logged: Floats, action: Ints) -> Fit:
    """Return whether actions (n,) were drawn with the logged distributions (n, A): χ² over actions.

    d = counts − Σ_i p_i, with covariance C = Σ_i (diag p_i − p_i·p_iᵀ); dᵀC⁺d has the rank of C for degrees of freedom.
    Pearson (1900), for probabilities that differ from row to row.
    """
    off = np.bincount(action, minlength=logged.shape[1]) - logged.sum(axis=0)
    covariance = np.diag(logged.sum(axis=0)) - logged.T @ logged
    values, vectors = np.linalg.eigh(covariance)
    used = values > 1e-9 * max(float(values.max(initial=0.0)), 1e-300)
    freedom = int(used.sum())
    statistic = float(np.sum((vectors[:, used].T @ off) ** 2 / values[used]))
    return Fit(statistic=statistic, freedom=freedom, probability=chi_square_tail(statistic, freedom))


def chi_square_tail(statistic: float, freedom: int) -> float:
    """Return P(χ²_k ≥ x) for whole k ≥ 0 by Q(a + 1, y) = Q(a, y) + y^a·e^−y/Γ(a + 1), y = x/2; DLMF 8.8.6."""
    half = max(statistic, 0.0) / 2.0
    if freedom == 0 or half == 0.0:
        return 1.0 if half == 0.0 or freedom else 0.0
    order, tail = (0.5, math.erfc(math.sqrt(half))) if freedom % 2 else (1.0, math.exp(-half))
    while order < freedom / 2.0:
        tail += math.exp(order * math.log(half) - half - math.lgamma(order + 1.0))
        order += 1.0
    return min(tail, 1.0)

"""Estimators of the value of whole episodes: importance sampling along trajectories, per decision, and doubly robust.

Shapes: everything of a step is (E, T), episodes by steps, padded behind each end: rewards, q̂, v̂ and `tail` with 0, ρ with
its last value. ρ_t is the product of the weights of steps 0 … t. `tail` is γ·v̂ of the state after the last step of an
episode that was cut off (truncated), 0 elsewhere: those that have a model continue with it, and importance sampling alone
values what was seen. γ^t stands in `discounts` (T,).
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from steersman.core.errors import InvalidInput
from steersman.maths.off_policy.terms import Terms

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

_HALF = 0.6745
"""Standard errors around the estimate without model that hold it half of the time."""


@dataclass(frozen=True, kw_only=True)
class Grid:
    """Which row is step t of episode e: row (E, T), −1 behind the end; episodes in the order of their ids."""

    row: Ints

    def fill(self, values: Floats, padding: float = 0.0) -> Floats:
        """Return values (n,) of rows as (E, T)."""
        return np.where(self.row >= 0, values[self.row], padding)

    def products(self, weights: Floats) -> Floats:
        """Return ρ (E, T) from the weights of rows (n,)."""
        return np.asarray(np.cumprod(self.fill(weights, 1.0), axis=1))


def grid(episode: Ints, step: Ints) -> Grid:
    """Return the grid of rows (n,) by episode and step. Raises InvalidInput where an episode has a step twice."""
    order = np.lexsort((step, episode))
    sorted_episode, sorted_step = episode[order], step[order]
    same = np.flatnonzero((np.diff(sorted_episode) == 0) & (np.diff(sorted_step) == 0))
    if len(same):
        raise InvalidInput(
            f"episode {sorted_episode[same[0]]} has step {sorted_step[same[0]]} twice; each may be there once."
        )
    _, start, count = np.unique(sorted_episode, return_index=True, return_counts=True)
    place = np.arange(len(order)) - np.repeat(start, count)
    row = np.full((len(start), int(count.max(initial=0))), -1, dtype=np.int64)
    row[np.repeat(np.arange(len(start)), count), place] = order
    return Grid(row=row)


def importance_sampling(rho: Floats, reward: Floats, discounts: Floats) -> Terms:
    """Trajectory-wise: mean(ρ_T·G); Precup, Sutton & Singh (2000)."""
    return Terms(numerator=(rho[:, -1] * (reward @ discounts))[:, None])


def weighted_sampling(rho: Floats, reward: Floats, discounts: Floats) -> Terms:
    """Trajectory-wise, weighted: Σρ_T·G/Σρ_T; Precup, Sutton & Singh (2000)."""
    return Terms(numerator=(rho[:, -1] * (reward @ discounts))[:, None], denominator=rho[:, -1:])


def per_decision(rho: Floats, reward: Floats, discounts: Floats) -> Terms:
    """Per decision: mean(Σ γ^t·ρ_t·r_t), a reward weighted by the decisions before it alone; Precup et al. (2000)."""
    return Terms(numerator=((rho * reward) @ discounts)[:, None])


def weighted_per_decision(rho: Floats, reward: Floats, discounts: Floats) -> Terms:
    """Per decision, weighted: Σ_t γ^t·(Σ_e ρ_t·r_t / Σ_e ρ_t); Thomas (2015), "Safe reinforcement learning"."""
    return Terms(numerator=rho * reward * discounts, denominator=rho)


@dataclass(frozen=True, kw_only=True)
class Modelled:
    """What the doubly robust estimators need, (E, T) each: ρ, r, q̂ of the executed action, v̂ and tail; discounts (T,)."""

    rho: Floats
    reward: Floats
    predicted: Floats
    value: Floats
    tail: Floats
    discounts: Floats

    @property
    def before(self) -> Floats:
        """ρ_{t−1}, 1 at the first step."""
        return np.hstack([np.ones((len(self.rho), 1)), self.rho[:, :-1]])

    @property
    def corrections(self) -> Floats:
        """γ^t·ρ_t·(r_t + tail_t − q̂_t)."""
        return self.rho * (self.reward + self.tail - self.predicted) * self.discounts

    @property
    def values(self) -> Floats:
        """γ^t·ρ_{t−1}·v̂_t."""
        return self.before * self.value * self.discounts


def direct(given: Modelled) -> Terms:
    """Direct method: mean(v̂_0). Its interval knows nothing of errors of the model."""
    return Terms(numerator=given.value[:, :1])


def doubly_robust(given: Modelled) -> Terms:
    """Sequential doubly robust: mean(Σ γ^t·(ρ_{t−1}·v̂_t + ρ_t·(r_t − q̂_t))); Jiang & Li (2016)."""
    return Terms(numerator=(given.corrections + given.values).sum(axis=1, keepdims=True))


def weighted_doubly_robust(given: Modelled) -> Terms:
    """Sequential doubly robust with ρ_t/Σ_e ρ_t for weights; Thomas & Brunskill (2016), section 5."""
    return Terms(numerator=np.hstack([given.corrections, given.values]), denominator=np.hstack([given.rho, given.before]))


@dataclass(frozen=True, kw_only=True)
class Blend:
    """A weighted mean of estimates that turn to the model after 0, 1, … T steps.

    standard_error: of its noise. bias: how far the model may have moved it. weights: (T + 1,), from the model alone to none.
    """

    value: float
    standard_error: float
    bias: float
    weights: Floats


def magic(given: Modelled) -> Blend:
    """Blend weighted importance sampling with the model so that noise and bias together are least.

    g_j = Σ_{t<j} γ^t·Σ_e w_t·(r − q̂) + Σ_{t≤j} γ^t·Σ_e w_{t−1}·v̂, and x on the simplex minimises xᵀ(Ω + bbᵀ)x: Ω the
    covariance of g, b_j the distance of g_j from a 50 % interval around g_T; Thomas & Brunskill (2016), "Data-efficient
    off-policy policy evaluation", algorithm MAGIC (their interval is a bootstrap, this one normal).
    """
    ratios, moves = weighted_doubly_robust(given).parts()
    steps = given.rho.shape[1]
    returns, noise = _partial(ratios[None, :], steps)[0], _partial(moves, steps)
    covariance = noise.T @ noise / max(len(noise) * (len(noise) - 1), 1)
    reach = _HALF * np.sqrt(covariance[-1, -1])
    bias = np.sign(returns - returns[-1]) * np.maximum(np.abs(returns - returns[-1]) - reach, 0.0)
    weights = _least(covariance + np.outer(bias, bias))
    return Blend(
        value=float(weights @ returns),
        standard_error=math.sqrt(max(float(weights @ covariance @ weights), 0.0)),
        bias=abs(float(weights @ bias)),
        weights=weights,
    )


def _partial(parts: Floats, steps: int) -> Floats:
    """Return the sums (…, T + 1) of the first j corrections and the first j + 1 values, j = 0 … T."""
    corrections = np.cumsum(parts[:, :steps], axis=1)
    values = np.cumsum(parts[:, steps:], axis=1)
    return np.hstack([np.zeros((len(parts), 1)), corrections]) + np.hstack([values, values[:, -1:]])


def _least(matrix: Floats, *, rounds: int = 2000) -> Floats:
    """Return the x ≥ 0 with Σx = 1 at which xᵀMx is least, M positive semi-definite, by pairwise Frank-Wolfe steps.

    Lacoste-Julien & Jaggi (2015): weight moves from the worst entry in use to the best, as far as that lowers xᵀMx.
    """
    weights = np.full(len(matrix), 1.0 / len(matrix))
    for _ in range(rounds):
        slope = matrix @ weights
        best, worst = int(np.argmin(slope)), int(np.argmax(np.where(weights > 0.0, slope, -np.inf)))
        gain = slope[worst] - slope[best]
        curve = matrix[best, best] + matrix[worst, worst] - 2.0 * matrix[best, worst]
        if gain <= 1e-12 * max(abs(slope[worst]), 1e-300):
            break
        move = min(gain / curve, weights[worst]) if curve > 0.0 else weights[worst]
        weights[best] += move
        weights[worst] -= move
    return weights

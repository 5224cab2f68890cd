"""Fitted Q evaluation in a table: the value of an action under a policy, with rows of any other policy.

With γ = 0 it is the reward model of the direct method. Cells with few rows lean on their action's mean, and this on the
mean of all: prior and evidence, as elsewhere.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from steersman.core.errors import InvalidInput

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True)
class Transitions:
    """Rows (n,): state and action in 0 … S − 1 and 0 … A − 1, reward, next state (−1: not known), terminated.

    Nothing is earned after `terminated`; an episode that was only cut off goes on with its next state.
    """

    state: Ints
    action: Ints
    reward: Floats
    next_state: Ints
    terminated: Bools


@dataclass(frozen=True, kw_only=True)
class _Cells:
    """Weight and reward of each cell (S·A,), and the weight of each move from a cell to a state."""

    weight: Floats
    reward: Floats
    moves: tuple[Ints, Ints, Floats]


def fitted_q(
    rows: Transitions,
    policy: Floats,
    *,
    gamma: float = 0.0,
    weights: Floats | None = None,
    prior: float = 1.0,
    tolerance: float = 1e-5,
    sweeps: int = 1000,
) -> Floats:
    """Return Q (S, A): the fixed point of Q(s, a) = mean of r + γ·Σ_b π(b|s′)·Q(s′, b) over the rows of (s, a).

    policy: π, (S, A). weights: (n,), 1 for all by default. prior: the number of rows for which the mean of the action
    (> 0) counts. Stops when no value moves by more than `tolerance` of the largest reward, or after `sweeps`. Fitted Q
    evaluation of Le, Voloshin & Yue (2019), in a table. Raises InvalidInput outside these ranges or without rows.
    """
    if not (0.0 <= gamma <= 1.0 and prior > 0.0) or not len(rows.reward):
        raise InvalidInput(f"fitted Q: need rows, γ in [0, 1] and prior > 0; got {len(rows.reward)}, {gamma!r}, {prior!r}.")
    cells = _cells(rows, policy.shape, weights, follow=gamma > 0.0)
    values = _lean(cells.reward, cells.weight, policy.shape, prior)
    seen = rows.reward if weights is None else rows.reward[weights > 0.0]
    enough = tolerance * max(float(np.abs(seen).max(initial=0.0)), 1e-300)
    for _ in range(sweeps if gamma > 0.0 else 0):
        before, values = values, _sweep(cells, values, policy, gamma=gamma, prior=prior)
        if float(np.abs(values - before).max()) <= enough:
            break
    return values


def crossfit(rows: Transitions, policy: Floats, fold: Ints, *, gamma: float = 0.0, prior: float = 1.0) -> Floats:
    """Return Q (K, S, A), with Q[k] fitted to the rows of which `fold` (n,) is not k; Chernozhukov et al. (2018).

    All rows of an episode must share a fold. Raises InvalidInput where a fold holds all rows.
    """
    count = int(fold.max()) + 1 if len(fold) else 0
    if count < 2:
        raise InvalidInput(f"cross-fitting: needs at least 2 folds of rows, got {count}.")
    return np.stack(
        [fitted_q(rows, policy, gamma=gamma, weights=(fold != k).astype(float), prior=prior) for k in range(count)]
    )


def _cells(rows: Transitions, shape: tuple[int, ...], weights: Floats | None, *, follow: bool) -> _Cells:
    states, actions = shape
    cell = rows.state * actions + rows.action
    given: Floats = np.ones(len(cell)) if weights is None else weights
    goes_on = (~rows.terminated & (rows.next_state >= 0)) if follow else np.zeros(len(cell), dtype=np.bool_)
    keys, place = np.unique(cell[goes_on] * states + rows.next_state[goes_on], return_inverse=True)
    return _Cells(
        weight=_sums(cell, given, states * actions),
        reward=_sums(cell, given * rows.reward, states * actions),
        moves=(keys // states, keys % states, _sums(place, given[goes_on], len(keys))),
    )


def _sweep(cells: _Cells, values: Floats, policy: Floats, *, gamma: float, prior: float) -> Floats:
    cell, after, weight = cells.moves
    ahead = (policy * values).sum(axis=1)
    earned = cells.reward + gamma * _sums(cell, weight * ahead[after], len(cells.weight))
    return _lean(earned, cells.weight, policy.shape, prior)


def _sums(place: Ints, weights: Floats, length: int) -> Floats:
    return np.bincount(place, weights, length).astype(np.float64, copy=False)


def _lean(earned: Floats, weight: Floats, shape: tuple[int, ...], prior: float) -> Floats:
    """Return (Σy + κ·ȳ_a)/(n + κ) for each cell, with ȳ_a = (Σ_a y + κ·ȳ)/(n_a + κ)."""
    sums, counts = earned.reshape(shape), weight.reshape(shape)
    overall = sums.sum() / max(counts.sum(), 1e-300)
    by_action = (sums.sum(axis=0) + prior * overall) / (counts.sum(axis=0) + prior)
    return np.asarray((sums + prior * by_action) / (counts + prior))

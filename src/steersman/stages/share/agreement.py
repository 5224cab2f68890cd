"""Agreement: what several sources have in common about choices, and how far they differ beyond their noise.

The model is value[k, s, r] = level[k, s] + effect[k, r] + deviation + noise, for shared state k, source s and role r, as in
a meta-analysis with random effects. Absent cells have a noise of infinity.
"""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
_SWEEPS = 4
_ROUNDS = 8
_DEGREES = 4.0
_SMALLEST = 1e-9


def effects(value: Floats, precision: Floats) -> tuple[Floats, Floats]:
    """Return (effects (keys, roles), levels (keys, sources)) of cells (keys, sources, roles), by alternating least squares.

    Each source is compared with itself: its level goes away, so that those who are paid more do not make a choice look
    better because they happen to have tried it. Effects of a state are measured from the mean of the roles known there;
    a source that knows a single role cannot compare, and says nothing about effects.
    """
    comparing = precision * (np.count_nonzero(precision, axis=2) > 1)[:, :, None]
    weight = comparing.sum(axis=1)
    known = weight > 0.0
    found = np.zeros(weight.shape)
    for _ in range(_SWEEPS):
        levels = _over((precision * (value - found[:, None, :])).sum(axis=2), precision.sum(axis=2))
        found = _over((comparing * (value - levels[:, :, None])).sum(axis=1), weight)
        found = np.where(known, found - _over(found.sum(axis=1), known.sum(axis=1))[:, None], 0.0)
    levels = _over((precision * (value - found[:, None, :])).sum(axis=2), precision.sum(axis=2))
    return found, levels


def disagreement(value: Floats, noise: Floats, guess: float) -> float:
    """Return τ², the variance of the deviations between sources beyond their noise, over all states together.

    Solves Σ residual²/(τ² + noise) = degrees of freedom (Paule & Mandel, 1982), with `guess` counting as four degrees
    of freedom more. Sources in unrelated worlds have a large τ², whatever each of them is sure of.
    """
    spread = guess
    there = np.isfinite(noise) & (np.count_nonzero(np.isfinite(noise), axis=2) > 1)[:, :, None]
    sources, roles = there.any(axis=2).sum(axis=1), there.any(axis=1).sum(axis=1)
    degrees = float(np.maximum(there.sum(axis=(1, 2)) - sources - roles + 1, 0)[sources > 1].sum())
    if not degrees:
        return guess
    there &= (sources > 1)[:, None, None]
    for _ in range(_ROUNDS):
        precision = np.where(there, 1.0 / (spread + noise), 0.0)
        found, levels = effects(value, precision)
        residual = np.where(there, value - found[:, None, :] - levels[:, :, None], 0.0)
        excess = float((precision * residual * residual).sum()) + _DEGREES * guess / spread
        spread = max(spread * excess / (degrees + _DEGREES), _SMALLEST)
    return spread


def level_spread(levels: Floats, there: NDArray[np.bool_], guess: float) -> tuple[Floats, float]:
    """Return (mean level of each state (keys,), variance of a source's level around it), with a guess for the latter.

    levels, there: shape (keys, sources), the second saying which of them are known.
    """
    count = there.sum(axis=1)
    mean = _over(np.where(there, levels, 0.0).sum(axis=1), count)
    squares = float((np.where(there, levels - mean[:, None], 0.0) ** 2).sum())
    degrees = float(np.maximum(count - 1, 0).sum())
    return mean, (squares + _DEGREES * guess) / (degrees + _DEGREES)


def _over(total: Floats, weight: NDArray[np.float64] | NDArray[np.intp]) -> Floats:
    """Return total/weight, and 0 where there is no weight."""
    return np.divide(total, weight, out=np.zeros(total.shape), where=weight > 0)

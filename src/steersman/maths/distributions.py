"""From action values to the probabilities with which each allowed action is chosen.

Every function takes `values` (A,) and `allowed` (A,), and returns probabilities (A,): 0 where an action is not
allowed, summing to 1. Equal values get equal probability, so that a tie never favours the first action and what is
logged as the propensity is true. All raise InvalidInput where nothing is allowed, or where the highest value of an
allowed action is not finite.
"""

import math
from bisect import bisect_right
from functools import cache
from itertools import accumulate
from typing import NoReturn

import numpy as np
from numpy.typing import NDArray

from steersman.core.errors import InvalidInput

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]

_REACH = 8.0  # standard deviations; Φ(−8) = 6e-16 is below the rounding of a probability
_COARSE, _FINE = 64, 192
_FEW = 24


def greedy(values: Floats, allowed: Mask) -> Floats:
    """Share all probability among the allowed actions of the highest value.

    p(a) = 1[a ∈ argmax Q] / |argmax Q|
    """
    return _add_shared(np.zeros(len(values)), _best(values, allowed), 1.0)


def epsilon_greedy(values: Floats, allowed: Mask, epsilon: float) -> Floats:
    """Choose greedily, except for a share `epsilon` (in [0, 1]) spread evenly over the allowed actions.

    p(a) = (1 − ε)·greedy(a) + ε/|allowed|; Sutton & Barto (2018), section 2.2.
    """
    _check_share(epsilon, "epsilon")
    if len(values) <= _FEW:
        return _epsilon_greedy_of_few(values, allowed, epsilon)
    best = _best(values, allowed)
    explored: Floats = allowed * (epsilon / np.count_nonzero(allowed))
    return _add_shared(explored, best, 1.0 - epsilon)


def _epsilon_greedy_of_few(values: Floats, allowed: Mask, epsilon: float) -> Floats:
    """The same to the bit, without numpy's cost of each call, which for a handful of actions is most of it."""
    chosen: list[bool] = allowed.tolist()
    top, best = -math.inf, list[int]()
    for index, value in enumerate(values.tolist()):
        if chosen[index]:
            if value > top:
                top, best = value, [index]
            elif value == top:
                best.append(index)
            elif math.isnan(value):
                _refuse(values, allowed)
    if not -math.inf < top < math.inf:
        _refuse(values, allowed)
    share, part = epsilon / chosen.count(True), (1.0 - epsilon) / len(best)
    probabilities = [share if each else 0.0 for each in chosen]
    for index in best:
        probabilities[index] += part
    return np.array(probabilities)


def around(best: int, allowed: Mask, epsilon: float) -> Floats:
    """Take one action that is allowed, except for a share `epsilon` (in [0, 1]) spread evenly over all that are.

    p(a) = (1 − ε)·1[a = best] + ε/|allowed|
    """
    _check_share(epsilon, "epsilon")
    chosen = allowed.tolist()
    if True not in chosen:
        raise InvalidInput("no action is allowed; serve the safe action instead.")
    share = epsilon / chosen.count(True)
    probabilities = [share if each else 0.0 for each in chosen]
    probabilities[best] += 1.0 - epsilon
    return np.array(probabilities)


def softmax(values: Floats, allowed: Mask, temperature: float) -> Floats:
    """Weigh each allowed action by the exponential of its value over `temperature` (> 0, in units of the values).

    p(a) ∝ exp((Q(a) − max Q)/τ); Sutton & Barto (2018), equation 2.11. Subtracting the maximum keeps
    it from overflowing.
    """
    if not 0.0 < temperature < math.inf:
        raise InvalidInput(f"temperature: {temperature!r} must be a finite number above 0.")
    masked, top = _masked(values, allowed)
    with np.errstate(over="ignore", under="ignore"):
        weights: Floats = np.exp((masked - top) / temperature)
    probabilities: Floats = weights / weights.sum()
    return probabilities


def ucb(values: Floats, allowed: Mask, visits: NDArray[np.number], total: float, *, width: float) -> Floats:
    """Choose greedily by the upper confidence bound, actions never visited first.

    Q(a) + width·√(2 ln N / n(a)); UCB1 of Auer, Cesa-Bianchi & Fischer (2002), whose rewards lie in [0, 1]: `width` is
    the reward range times the eagerness wanted. `visits` (A,) holds n(a), `total` is N.
    """
    _masked(values, allowed)
    unvisited = allowed & (visits <= 0)
    count = np.count_nonzero(unvisited)
    if count:
        return unvisited / count
    seen = np.where(allowed, visits, 1)
    return greedy(values + width * np.sqrt(2.0 * math.log(max(total, 1.0)) / seen), allowed)


def thompson(means: Floats, deviations: Floats, allowed: Mask) -> Floats:
    """Give each action the probability that it is the largest of independent Gaussians, as Thompson sampling draws it.

    p(a) = ∫ φ_a(x) ∏_{b≠a} Φ_b(x) dx = ∫ (d ln Φ_a / d ln F) dF with F = ∏ Φ_b; Thompson (1933). On each cell of a grid
    the rise of F is shared in proportion to the rises of ln Φ_a, so the sum is 1 on any grid. `deviations` (A,) ≥ 0; an
    action without deviation has exactly its mean. Deterministic; accurate to about 1e-4.
    """
    masked, top = _masked(means, allowed)
    if not bool(((deviations >= 0.0) & (deviations < math.inf) | ~allowed).all()):
        raise InvalidInput(f"deviations: {deviations[allowed]} must be finite and at least 0.")
    reach = np.where(allowed, _REACH * deviations, 0.0)
    low = np.max(masked - reach)
    rivals = np.flatnonzero(masked + reach >= low)
    widest = np.max(deviations[rivals])
    if widest == 0.0:
        return greedy(means, allowed)
    probabilities = np.zeros(len(means))
    spread = np.maximum(deviations[rivals] / widest, 1e-9)
    probabilities[rivals] = _chance_largest((means[rivals] - top) / widest, spread)
    return probabilities


def inverse_gap(values: Floats, allowed: Mask, greed: float) -> Floats:
    """Give each action that is not the best the less probability the further its value lies behind; the best has the rest.

    p(a) = 1/(K + greed·(max Q − Q(a))) with K allowed actions; Abe & Long (1999), and Foster & Rakhlin (2020), "Beyond
    UCB", where `greed` (≥ 0, per unit of the values) grows with the square root of what has been learned. No action's
    probability is ever 0.
    """
    if not 0.0 <= greed < math.inf:
        raise InvalidInput(f"greed: {greed!r} must be a finite number of at least 0.")
    masked, top = _masked(values, allowed)
    best = (masked == top).nonzero()[0]
    probabilities: Floats = np.where(
        allowed, 1.0 / (np.count_nonzero(allowed) + greed * (top - np.where(allowed, values, top))), 0.0
    )
    probabilities[best] = 0.0
    return _add_shared(probabilities, best, 1.0 - float(probabilities.sum()))


def mix(first: Floats, second: Floats, share: float) -> Floats:
    """Follow `second` with probability `share` (in [0, 1]), else `first`.

    p(a) = (1 − share)·first(a) + share·second(a)
    """
    _check_share(share, "share")
    return (1.0 - share) * first + share * second


def draw(probabilities: Floats, u: float) -> int:
    """Return the index of the action that a uniform number u ∈ [0, 1) falls on, by the inverse distribution function.

    The first index whose cumulative probability exceeds u·Σp. An action of probability 0 is never returned: its
    cumulative probability is that of the action before it. Raises InvalidInput for a u outside [0, 1) or when Σp is 0.
    """
    cumulative = list(accumulate(probabilities.tolist()))  # a third of the time of numpy's for a handful of actions
    total = cumulative[-1]
    if not (0.0 <= u < 1.0 and 0.0 < total < math.inf):
        raise InvalidInput(f"draw: u = {u!r} must lie in [0, 1) and the probabilities must sum to 1, not {total!r}.")
    return bisect_right(cumulative, u * total)


def _masked(values: Floats, allowed: Mask) -> tuple[Floats, float]:
    """Return the values, −∞ where not allowed, and the highest of them."""
    masked = np.where(allowed, values, -math.inf)
    top: float = masked.item(masked.argmax()) if len(masked) else -math.inf  # argmax stops at a NaN
    if not -math.inf < top < math.inf:
        _refuse(values, allowed)
    return masked, top


def _best(values: Floats, allowed: Mask) -> NDArray[np.intp]:
    """Return the indices of the allowed actions of the highest value."""
    masked, top = _masked(values, allowed)
    best: NDArray[np.intp] = (masked == top).nonzero()[0]
    return best


def _add_shared(probabilities: Floats, best: NDArray[np.intp], amount: float) -> Floats:
    """Add `amount` to the probabilities of the best actions, in equal parts, in place."""
    if len(best) == 1:
        probabilities[best[0]] += amount  # three times as fast as indexing by an array
    else:
        probabilities[best] += amount / len(best)
    return probabilities


def _refuse(values: Floats, allowed: Mask) -> NoReturn:
    if not allowed.any():
        raise InvalidInput("no action is allowed; serve the safe action instead.")
    at = int(np.flatnonzero(allowed & ~np.isfinite(values))[0])
    raise InvalidInput(f"the value of action {at} is {values[at]}; values of allowed actions must be finite.")


def _check_share(share: float, name: str) -> None:
    if not 0.0 <= share <= 1.0:
        raise InvalidInput(f"{name}: {share!r} must lie in [0, 1].")


def _chance_largest(means: Floats, deviations: Floats) -> Floats:
    """Integrate over a grid laid first where the actions are, then where the largest of them is likely to be."""
    coarse = _coarse_nodes(means, deviations)
    f = np.exp(_log_cdf(coarse, means, deviations).sum(axis=0))
    fine = np.interp(np.linspace(f[0], f[-1], _FINE), f, coarse)
    logs = _log_cdf(np.sort(np.concatenate((coarse, fine))), means, deviations)
    log_f = logs.sum(axis=0)
    rise_log = np.diff(log_f)
    rise = np.diff(np.exp(log_f))
    shares = np.divide(rise, rise_log, out=np.zeros_like(rise), where=rise_log > 0.0)
    chances: Floats = np.diff(logs, axis=1) @ shares
    chances /= chances.sum()
    return chances


def _coarse_nodes(means: Floats, deviations: Floats) -> Floats:
    low = np.max(means - _REACH * deviations)  # the largest lies above, but for rounding
    steps = np.linspace(-_REACH, _REACH, 33)
    nodes = np.sort((means[:, None] + deviations[:, None] * steps).ravel())
    nodes = nodes[nodes.searchsorted(low) :]
    picked = np.linspace(0, len(nodes) - 1, _COARSE).astype(np.intp)
    return np.concatenate(([low], nodes[picked]))


def _log_cdf(nodes: Floats, means: Floats, deviations: Floats) -> Floats:
    """Return ln Φ((x − μ)/σ), shape (actions, nodes), by interpolation in a table."""
    at, table, slope = _log_cdf_table()
    position = (nodes - (means - _REACH * deviations)[:, None]) * (at / deviations)[:, None]
    np.clip(position, 0.0, len(table) - 1.0, out=position)
    cell = position.astype(np.intp)
    position -= cell
    position *= slope[cell]
    position += table[cell]
    return position


@cache
def _log_cdf_table() -> tuple[float, Floats, Floats]:
    """Return nodes for each deviation, ln Φ on [−8, 8] and its rise to the next node."""
    per_deviation = 256.0
    grid = np.linspace(-_REACH, _REACH, int(2 * _REACH * per_deviation) + 1)
    table = np.array([math.log(0.5 * math.erfc(-z / math.sqrt(2.0))) for z in grid])
    table[-1] = 0.0
    return per_deviation, table, np.append(np.diff(table), 0.0)

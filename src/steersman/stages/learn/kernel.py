"""The arithmetic of one update, written once: run as it is for outcomes, compiled by numba for transitions in arrays.

Both give the same numbers to the bit: the operations and their order are the same, and nothing is reassociated.
"""

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


def td_step(
    value: Floats,
    visits: Ints,
    td_variance: Floats,
    reward_mean: Floats,
    reward_m2: Floats,
    row: int,
    slots: Any,
    target: float,
    reward: float,
    alpha: float,
    alpha_scale: float,
    alpha_floor: float,
) -> float:
    """Move the slots of one action toward a target and return the TD error δ = target − Σ value[slot].

    Each slot moves by α·δ, where α falls by visits unless `alpha_scale` is 0: max(floor, alpha / (1 + n / scale)).
    The variance of the target is weighted exponentially (West, 1979), the reward's running mean and squares are
    Welford's (1962). Arrays have shape (rows, slots); `slots` holds the action's columns.
    """
    predicted = 0.0
    for slot in slots:
        predicted += value[row, slot]
    error = target - predicted
    for slot in slots:
        seen = visits[row, slot]
        step = alpha
        if alpha_scale > 0.0:
            step = max(alpha_floor, alpha / (1.0 + seen / alpha_scale))
        value[row, slot] += step * error
        td_variance[row, slot] = (1.0 - step) * (td_variance[row, slot] + step * error * error)
        visits[row, slot] = seen + 1
        delta = reward - reward_mean[row, slot]
        reward_mean[row, slot] += delta / (seen + 1)
        reward_m2[row, slot] += delta * (reward - reward_mean[row, slot])
    return float(error)


def _block(step: Callable[..., float]) -> Callable[..., float]:
    def fold_block(
        value: Floats,
        visits: Ints,
        td_variance: Floats,
        reward_mean: Floats,
        reward_m2: Floats,
        updated_at: Floats,
        slots: Ints,
        rows: Ints,
        actions: Ints,
        rewards: Floats,
        next_rows: Ints,
        at: Floats,
        gamma: float,
        initial_value: float,
        alpha: float,
        alpha_scale: float,
        alpha_floor: float,
    ) -> float:
        """Apply Q-learning to transitions one after the other and return the sum of the TD errors.

        target = r + γ·max Q(s′), where `next_rows` is −1 at the end of an episode (target = r) and −2 for a state
        without a row (initial values). All of `rows`, `actions`, `rewards`, `next_rows`, `at` have shape (n,);
        `slots` has shape (actions, dimensions). With more than one dimension only γ = 0 is defined here.
        """
        total = 0.0
        for i in range(len(rows)):
            target = rewards[i]
            if next_rows[i] != -1 and gamma > 0.0:
                best = initial_value
                if next_rows[i] >= 0:
                    best = value[next_rows[i], 0]
                    for column in range(1, value.shape[1]):
                        best = max(best, value[next_rows[i], column])
                target = rewards[i] + gamma * best
            total += step(
                value,
                visits,
                td_variance,
                reward_mean,
                reward_m2,
                rows[i],
                slots[actions[i]],
                target,
                rewards[i],
                alpha,
                alpha_scale,
                alpha_floor,
            )
            for slot in slots[actions[i]]:
                updated_at[rows[i], slot] = at[i]
        return total

    return fold_block


interpreted = _block(td_step)


@cache
def compiled() -> Callable[..., float] | None:
    """Return the block compiled by numba (extra `fast`), or None where numba is not installed."""
    try:
        import numba
    except ImportError:
        return None
    step = numba.njit(td_step)
    return numba.njit(_block(step))  # type: ignore[no-any-return]

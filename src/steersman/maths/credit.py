"""Credit: what each of several agents, acting at once, has added to what they earned together."""

import math
from collections.abc import Callable, Mapping
from typing import TypeVar

from steersman.core.errors import InvalidInput

A = TypeVar("A")


def difference_rewards(
    utility: Callable[[Mapping[str, A]], float], joint: Mapping[str, A], default: Mapping[str, A]
) -> dict[str, float]:
    """Return D_i = G(z) − G(z with the action of i replaced by i's default), by agent; Wolpert & Tumer (2002).

    utility: G, a pure function of the joint action. joint: z, each agent's action. default: each agent's action that
    stands for having done nothing. What raises D_i raises G, and D_i does not depend on the noise that others make where
    their actions do not meet those of i. Costs one call of G and one for each agent. Raises InvalidInput for an agent
    without a default, and where G is not finite.
    """
    missing = [name for name in joint if name not in default]
    if missing:
        raise InvalidInput(f"difference rewards: no default action for {', '.join(missing)}.")
    whole = _finite(utility(joint), joint)
    rewards = {}
    for name in joint:
        without = {**joint, name: default[name]}
        rewards[name] = whole - _finite(utility(without), without)
    return rewards


def _finite(value: float, joint: Mapping[str, A]) -> float:
    if not math.isfinite(value):
        raise InvalidInput(f"difference rewards: the utility of {dict(joint)!r} is {value}; it must be a finite number.")
    return value

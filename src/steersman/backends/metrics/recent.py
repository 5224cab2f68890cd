"""What a policy did lately: how far apart it held the best actions, and how much its actions differed."""

import math
from collections import Counter, deque
from collections.abc import Mapping, Sequence

from steersman.core.actions import Choice

KEPT = 256


class Recent(deque[tuple[tuple[float, ...], Mapping[str, Choice]]]):
    """The values of the slots, and the executed action, of the last decisions of an agent's champion."""

    def __init__(self) -> None:
        super().__init__(maxlen=KEPT)

    def entropy(self, actions: int) -> float | None:
        """Return -Σ p·ln p of the actions taken, as a share of that of `actions` taken alike; None before any was."""
        taken = Counter(tuple(action.values()) for _, action in list(self))
        total = sum(taken.values())
        if not total or actions < 2:
            return None
        nats = -sum(count / total * math.log(count / total) for count in taken.values())
        return max(0.0, nats / math.log(actions))

    def gap(self, dimensions: Sequence[int]) -> float | None:
        """Return the mean difference between the best and the second best action's value; None where none is known.

        Values of the slots add up, so the second best action differs in one dimension from the best: in that in which it
        costs least. `dimensions` are their sizes, in the order of the slots.
        """
        gaps = [_gap(values, dimensions) for values, _ in list(self) if len(values) == sum(dimensions)]
        return sum(gaps) / len(gaps) if gaps and max(dimensions) > 1 else None


def _gap(values: tuple[float, ...], dimensions: Sequence[int]) -> float:
    least, start = math.inf, 0
    for size in dimensions:
        if size > 1:
            second, best = sorted(values[start : start + size])[-2:]
            least = min(least, best - second)
        start += size
    return least

"""Transition: what learning sees of a decision and its outcome."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, kw_only=True, slots=True)
class Transition:
    """State, executed action, reward, next state; `terminated` ends the world, `truncated` only the watching.

    `reward` is None where nothing is known (expired without a default, or withdrawn): the step counts, but teaches
    nothing. `next_allowed` masks the actions of the next state, shape (actions,); `at` is when the outcome was
    reported (unix seconds). `by_rule` says that the choice was the baseline's or the safe one, not the learned policy's.
    `shaping` is γΦ(s′) − Φ(s) of the agent's potential, 0 without one; it is learned from, and is no reward.
    `source` says who reported the outcome, "" where nobody is named.
    """

    decision_id: str
    episode: str
    step: int
    key: str
    bins: dict[str, int]
    action: int
    reward: float | None
    next_key: str | None
    next_allowed: NDArray[np.bool_] | None
    terminated: bool
    truncated: bool
    epsilon: float
    decided_at: float
    at: float
    by_rule: bool = False
    shaping: float = 0.0
    source: str = ""

    @property
    def signal(self) -> float:
        """What is learned from in one step: the reward, 0 where none is known, and the shaping."""
        return (self.reward or 0.0) + self.shaping

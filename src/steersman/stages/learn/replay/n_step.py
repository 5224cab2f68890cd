"""n-step returns: from single steps to entries that look n steps ahead, never across the end of an episode."""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from steersman.core.errors import InvalidInput


@dataclass(frozen=True, kw_only=True, slots=True)
class Step:
    """One step: where it began, what was done and earned, where it led; `terminated` ends the world."""

    state: Any
    action: Any
    reward: float
    next_state: Any
    terminated: bool = False
    truncated: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class LongStep:
    """A step that looks `steps` ahead: target = reward + discount · V(next_state).

    reward: Σ_{i<k} γ^i·r_i. discount: γ^k, or 0 after a terminated step, where nothing follows.
    """

    state: Any
    action: Any
    reward: float
    next_state: Any
    terminated: bool
    truncated: bool
    discount: float
    steps: int


class NStep:
    """Joins the steps of any number of episodes, which may come in turns. Sutton and Barto (2018), section 7.1.

    Each step comes out once: after n steps, or when its episode terminates, is truncated or is cut; those near the end
    look fewer steps ahead.
    """

    def __init__(self, steps: int, gamma: float) -> None:
        if steps < 1 or not 0.0 <= gamma <= 1.0:
            raise InvalidInput(f"n-step: need steps ≥ 1 and gamma in [0, 1], got {steps!r} and {gamma!r}.")
        self._steps = steps
        self._gamma = gamma
        self._open: dict[str, deque[Step]] = {}

    def push(self, episode: str, step: Step) -> Iterator[LongStep]:
        """Take the next step of an episode and yield what is complete with it, oldest first."""
        waiting = self._open.setdefault(episode, deque())
        waiting.append(step)
        if step.terminated or step.truncated:
            yield from self.cut(episode)
        elif len(waiting) == self._steps:
            yield self._joined(waiting)
            waiting.popleft()

    def cut(self, episode: str) -> Iterator[LongStep]:
        """Yield what still waits of an episode that will not go on here; the last state known stands for what follows."""
        waiting = self._open.pop(episode, deque())
        while waiting:
            yield self._joined(waiting)
            waiting.popleft()

    def _joined(self, waiting: deque[Step]) -> LongStep:
        first, last = waiting[0], waiting[-1]
        reward = 0.0
        for each in reversed(waiting):
            reward = each.reward + self._gamma * reward
        return LongStep(
            state=first.state,
            action=first.action,
            reward=reward,
            next_state=last.next_state,
            terminated=last.terminated,
            truncated=last.truncated,
            discount=0.0 if last.terminated else self._gamma ** len(waiting),
            steps=len(waiting),
        )

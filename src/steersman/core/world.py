"""World: a simulator that a pack or a user supplies, in the terms of the agent that acts in it."""

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from steersman.core.actions import Action
from steersman.core.agent import AgentSpec
from steersman.core.reward import Measurements
from steersman.core.state import StateValues


@dataclass(frozen=True, kw_only=True)
class Step:
    """What followed an action: the next state, and what was measured, for the agent's reward to score.

    terminated: the world has ended, so nothing comes of it any more. truncated: only the watching has.
    """

    state: StateValues
    measurements: Measurements
    terminated: bool = False
    truncated: bool = False


class World(ABC):
    """Where an agent can act without harm. `spec` says what it sees, what it can do and what that is worth.

    One world holds one episode at a time: `reset` begins it, and its generator is that of the whole episode, so the same
    seed and the same actions give the same episode.
    """

    spec: AgentSpec

    @abstractmethod
    def reset(self, rng: np.random.Generator) -> StateValues:
        """Begin an episode and return its first state."""

    @abstractmethod
    def step(self, action: Action) -> Step:
        """Carry an action out and return what followed."""

    def allowed(self, state: StateValues) -> NDArray[np.bool_]:
        """Return which actions may be taken in a checked state, shape (actions,): what the agent's guards do not refuse.

        Where they refuse all, the safe action alone is left, as it is where the agent decides.
        """
        space = self.spec.actions
        allowed = space.allowed(each.where for guard in self.spec.guards for each in guard.refuse(state))
        if not allowed.any():
            allowed[space.index(self.spec.safe_action)] = True
        return allowed

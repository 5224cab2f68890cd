"""What a world allows is what the agent's guards do not refuse, and never nothing."""

from dataclasses import replace

import numpy as np

from steersman.core.actions import Action
from steersman.core.guards import Guard, Refusal
from steersman.core.world import Step, World
from steersman.testing.specs import small_agent

STATE = {"load": 90.0, "backlog": 0.0, "weekend": False}


class Still(World):
    """Where nothing happens."""

    def __init__(self, *guards: Guard) -> None:
        self.spec = replace(small_agent(), guards=guards) if guards else small_agent()

    def reset(self, rng: np.random.Generator) -> dict[str, float | bool]:
        """Begin in the one state."""
        return dict(STATE)

    def step(self, action: Action) -> Step:
        """Stay there."""
        return Step(state=STATE, measurements={"reward": 0.0})


def test_what_guards_refuse_is_not_allowed() -> None:
    assert Still().allowed(STATE).tolist() == [True, True, True, False]
    assert Still().allowed({**STATE, "load": 10.0}).tolist() == [True] * 4


def test_the_safe_action_is_left_where_all_is_refused() -> None:
    everything = Guard(name="shut", refuse=lambda state: [Refusal(where={}, reason="shut")])
    assert Still(everything).allowed(STATE).tolist() == [True, False, False, False]

"""Policies that learn from what happened next, and never let a worse one take over.

Open a store with `Steersman.open()`, ask it for an agent, and call `agent.decide(state)` and
`agent.report(decision, measurements)`.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from steersman.app import Steersman
    from steersman.core.actions import ActionSpace
    from steersman.core.agent import AgentSpec, Guardrail
    from steersman.core.errors import Conflict, InvalidInput, NotFound, SteersmanError
    from steersman.core.guards import Guard, Refusal, limit
    from steersman.core.kinship import Kinship
    from steersman.core.reward import Component, Measurement, Reward
    from steersman.core.state import Category, Flag, Number, StateSchema, StateValues
    from steersman.core.values import Decision, Outcome
    from steersman.loops.agent import Agent
    from steersman.loops.steer import Call
    from steersman.loops.team import Team
    from steersman.stages.learn.replay.buffer import Priorities, ReplayBuffer

__version__ = "0.1.0"

_HOMES = {
    "Agent": "loops.agent",
    "Steersman": "app",
    "ActionSpace": "core.actions",
    "AgentSpec": "core.agent",
    "Conflict": "core.errors",
    "InvalidInput": "core.errors",
    "NotFound": "core.errors",
    "SteersmanError": "core.errors",
    "limit": "core.guards",
    "Decision": "core.values",
    "Outcome": "core.values",
    "StateValues": "core.state",
    "Guard": "core.guards",
    "Guardrail": "core.agent",
    "Refusal": "core.guards",
    "Component": "core.reward",
    "Kinship": "core.kinship",
    "Measurement": "core.reward",
    "Reward": "core.reward",
    "Category": "core.state",
    "Flag": "core.state",
    "Number": "core.state",
    "StateSchema": "core.state",
    "Call": "loops.steer",
    "Team": "loops.team",
    "Priorities": "stages.learn.replay.buffer",
    "ReplayBuffer": "stages.learn.replay.buffer",
}

__all__ = [
    "ActionSpace",
    "Agent",
    "AgentSpec",
    "Call",
    "Category",
    "Component",
    "Conflict",
    "Decision",
    "Flag",
    "Guard",
    "Guardrail",
    "InvalidInput",
    "Kinship",
    "Measurement",
    "NotFound",
    "Number",
    "Outcome",
    "Priorities",
    "Refusal",
    "ReplayBuffer",
    "Reward",
    "StateSchema",
    "StateValues",
    "Steersman",
    "SteersmanError",
    "Team",
    "limit",
]


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used, so that `import steersman` costs next to nothing."""
    if name not in _HOMES:
        raise AttributeError(f"module 'steersman' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"steersman.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

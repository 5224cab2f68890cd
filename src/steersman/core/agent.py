"""An agent's definition: all that a pack or a user says about one kind of decision, in one value."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from steersman.core.actions import Action, ActionSpace, Choice
from steersman.core.errors import InvalidInput
from steersman.core.guards import Guard
from steersman.core.reward import Reward
from steersman.core.state import StateSchema, StateValues

_NAME = re.compile(r"[a-z0-9][a-z0-9_.-]*(/[a-z0-9][a-z0-9_.-]*)?")


@dataclass(frozen=True, kw_only=True)
class AgentSpec:
    """One kind of decision.

    `baseline` is the cheapest sensible rule: it is served while the table is cold, keeps a small permanent share, and
    is what learning has to beat. `safe_action` is served when anything fails or nothing is allowed. `settings` are this
    agent's own defaults, by section (`{"learning": {"gamma": 0.0}}`); the user's settings stand above them.
    """

    name: str
    description: str
    state: StateSchema
    actions: ActionSpace
    reward: Reward
    baseline: Callable[[StateValues], Action | Choice]
    safe_action: Action | Choice
    guards: tuple[Guard, ...] = ()
    settings: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise InvalidInput(f"agent name {self.name!r}: use lower case, as in 'pack/agent'.")
        self.actions.index(self.safe_action)
        names = [guard.name for guard in self.guards]
        if len(set(names)) != len(names):
            raise InvalidInput(f"agent {self.name}: guard names repeat: {names}.")

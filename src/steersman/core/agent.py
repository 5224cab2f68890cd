"""An agent's definition: all that a pack or a user says about one kind of decision, in one value."""

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from steersman.core.actions import Action, ActionSpace, Choice
from steersman.core.errors import InvalidInput, nearest
from steersman.core.guards import PINNED, Guard
from steersman.core.kinship import Kinship
from steersman.core.reward import Reward
from steersman.core.state import StateSchema, StateValues

_NAME = re.compile(r"[a-z0-9][a-z0-9_.-]*(/[a-z0-9][a-z0-9_.-]*)?")


@dataclass(frozen=True, kw_only=True)
class Guardrail:
    """A measurement that a new policy must not make worse by more than `margin`, in its own unit.

    The measurement needs a finite range; `better` says which way is good.
    """

    measurement: str
    margin: float
    better: Literal["higher", "lower"] = "lower"


@dataclass(frozen=True, kw_only=True)
class AgentSpec:
    """One kind of decision.

    `baseline` is the cheapest sensible rule: it is served while the table is cold, keeps a small permanent share, and
    is what learning has to beat. `safe_action` is served when anything fails or nothing is allowed. `settings` are this
    agent's own defaults, by section (`{"learning": {"gamma": 0.0}}`); the user's settings stand above them. `kinship`
    says with which other agents it shares what it has seen; without it, it learns alone. `potential` says how promising a
    state is, in units of reward: it hurries learning and leaves the best policy as it is (Ng, Harada and Russell, 1999).
    After changing what it computes, call `agent.relearn()`.

    An outcome with a reward of at least `success_reward` is a success; None takes the middle of the reward's range.
    `irreversible` names choices that cannot be taken back once carried out; `simulated` says that the agent acts in a
    simulator, where nothing can be harmed by trying. `cost` names the measurement that says what an action cost, and
    `false_block` the one that says whether an action that blocked something was wrong to (above 0: it was). `guardrails`
    are what a release watches beside the reward.
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
    kinship: Kinship | None = None
    potential: Callable[[StateValues], float] | None = None
    success_reward: float | None = None
    irreversible: tuple[Choice, ...] = ()
    simulated: bool = False
    cost: str = ""
    false_block: str = ""
    guardrails: tuple[Guardrail, ...] = ()

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise InvalidInput(f"agent name {self.name!r}: use lower case, as in 'pack/agent'.")
        self.actions.index(self.safe_action)
        names = [guard.name for guard in self.guards]
        if len(set(names)) != len(names) or PINNED in names:
            raise InvalidInput(f"agent {self.name}: guard names repeat, or one is called {PINNED!r}: {names}.")
        if self.kinship is not None:
            self.kinship.check(self.actions)
        self._check_declarations()

    def _check_declarations(self) -> None:
        low, high = self.reward.low, self.reward.high
        if self.success_reward is not None and not low <= self.success_reward <= high:
            raise InvalidInput(f"agent {self.name}: success_reward {self.success_reward} lies outside [{low}, {high}].")
        measured = [each.name for each in self.reward.measurements]
        for role, name in (("cost", self.cost), ("false_block", self.false_block)):
            if name and name not in measured:
                raise InvalidInput(f"agent {self.name}: {role} {name!r} is no measurement.{nearest(name, measured)}")
        for each in self.guardrails:
            self._check_guardrail(each)
        known = [choice for _, choice in self.actions.slot_names]
        unknown = [each for each in self.irreversible if each not in known]
        if unknown:
            raise InvalidInput(
                f"agent {self.name}: irreversible names {unknown[0]!r}.{nearest(str(unknown[0]), map(str, known))}"
            )

    @property
    def reward_range(self) -> tuple[float, float]:
        """The least and the highest reward."""
        return self.reward.low, self.reward.high

    def _check_guardrail(self, rail: Guardrail) -> None:
        found = {each.name: each for each in self.reward.measurements}.get(rail.measurement)
        if found is None:
            known = [each.name for each in self.reward.measurements]
            raise InvalidInput(
                f"agent {self.name}: guardrail {rail.measurement!r} is no measurement.{nearest(rail.measurement, known)}"
            )
        if not (math.isfinite(found.high - found.low) and 0.0 <= rail.margin < found.high - found.low):
            raise InvalidInput(
                f"agent {self.name}: guardrail {rail.measurement!r} needs a finite range and a margin inside it, "
                f"got [{found.low}, {found.high}] and {rail.margin}."
            )

    @property
    def success_from(self) -> float:
        """The reward from which on an outcome counts as a success."""
        return (self.reward.low + self.reward.high) / 2.0 if self.success_reward is None else self.success_reward

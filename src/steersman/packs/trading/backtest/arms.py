"""Arms: who decides in a backtest. What was learned, what explores to learn, and rules, all inside the same guards."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from steersman.core.actions import Action, ActionSpace, Choice
from steersman.core.agent import AgentSpec
from steersman.core.errors import InvalidInput
from steersman.core.state import StateValues
from steersman.core.values import Decision
from steersman.packs.trading.agents import meta_strategy, position_sizing

META, SIZING = meta_strategy.agent.name, position_sizing.agent.name
_HOUR_MS = 3_600_000.0


@dataclass(frozen=True, kw_only=True)
class Chosen:
    """What an arm chose, by an agent's decision where there is one."""

    agent: str
    action: Action
    decision: Decision | None = None


class Arm(Protocol):
    """Who chooses, for either agent, in a state; None where nothing is to be opened. If it learns, it is told what came."""

    learns: bool

    def choose(self, agent: str, state: StateValues) -> Chosen | None:
        """Choose."""

    def settle(self, chosen: Chosen, measurements: Mapping[str, float]) -> None:
        """Hear what came of a choice."""


class Rule:
    """Rules, from the state to an action: by default the agents' own baselines. What a guard refuses is not opened."""

    learns = False

    def __init__(
        self,
        follow: Callable[[StateValues], Action] = meta_strategy.baseline,
        size: Callable[[StateValues], Action] = position_sizing.baseline,
    ) -> None:
        self._rules = {META: (meta_strategy.agent, follow), SIZING: (position_sizing.agent, size)}

    def choose(self, agent: str, state: StateValues) -> Chosen | None:
        """Return the rule's action, unless a guard refuses it."""
        spec, rule = self._rules[agent]
        action = rule(state)
        return None if refused(spec, state, action) else Chosen(agent=agent, action=action)

    def settle(self, chosen: Chosen, measurements: Mapping[str, float]) -> None:
        """A rule learns nothing."""


class Learned:
    """What the agents have learned, taken at its best: nothing is explored, and nothing is learned from what it does.

    What was tested is learned from once the test is over, by `Exploring`.
    """

    learns = False

    def __init__(self, agents: Mapping[str, Any]) -> None:
        self._agents = agents

    def choose(self, agent: str, state: StateValues) -> Chosen | None:
        """Return the agent's decision; None where it has no better answer than its safe action."""
        decision = self._agents[agent].decide(state, arm="champion")
        if decision.arm == "safe":
            return None
        return Chosen(agent=agent, action=decision.executed, decision=decision)

    def settle(self, chosen: Chosen, measurements: Mapping[str, float]) -> None:
        """A test teaches nothing."""


class Exploring(Learned):
    """The agents at practice on bars that are past: a share of actions is drawn from what guards allow, and all teach."""

    learns = True

    def __init__(self, agents: Mapping[str, Any], rng: np.random.Generator, *, share: float) -> None:
        super().__init__(agents)
        self._rng, self._share = rng, share
        self._masks: dict[tuple[str, tuple[tuple[str, Choice], ...]], NDArray[np.bool_]] = {}

    def choose(self, agent: str, state: StateValues) -> Chosen | None:
        """Return the agent's decision, or one that was drawn instead."""
        chosen = super().choose(agent, state)
        if chosen is None or self._rng.random() >= self._share:
            return chosen
        space: ActionSpace = self._agents[agent].spec.actions
        allowed = np.flatnonzero(~self._refused(agent, chosen.decision, space))
        action = space.actions[int(self._rng.choice(allowed))]
        return Chosen(agent=agent, action=action, decision=chosen.decision)

    def settle(self, chosen: Chosen, measurements: Mapping[str, float]) -> None:
        """Report to the agent what came of what was done."""
        if chosen.decision is not None:
            self._agents[chosen.agent].report(chosen.decision, measurements, executed=chosen.action)

    def _refused(self, agent: str, decision: Decision | None, space: ActionSpace) -> NDArray[np.bool_]:
        found = np.zeros(len(space), dtype=np.bool_)
        for each in () if decision is None else decision.refusals:
            key = agent, tuple(each.where.items())
            if key not in self._masks:
                self._masks[key] = space.mask(each.where)
            found |= self._masks[key]
        return found


def agents_of(agent: Callable[[AgentSpec], Any]) -> dict[str, Any]:
    """Return the two agents. Raises InvalidInput unless they are allowed to decide, and take what is best when they do."""
    found = {spec.name: agent(unhurried(spec)) for spec in (meta_strategy.agent, position_sizing.agent)}
    for name, each in found.items():
        settings = each.settings
        if settings.influence.mode != "live" or settings.influence.limited or settings.exploration.policy != "greedy":
            raise InvalidInput(
                f"{name}: a backtest plays what was learned, so it needs influence.mode live without limits, and "
                f"exploration.policy greedy; they are {settings.influence.mode} and {settings.exploration.policy}."
            )
    return found


def unhurried(spec: AgentSpec) -> AgentSpec:
    """Return an agent whose guards have an hour to answer: a busy machine must not decide what a backtest comes to."""
    return replace(spec, guards=tuple(replace(each, deadline_ms=_HOUR_MS) for each in spec.guards))


def fixed(strategy: str, model: str, weight: str) -> Rule:
    """Return the rule that follows one strategy and one model always, and sizes as the baseline does."""
    action = {"strategy": strategy, "model": model, "weight": weight}
    return Rule(follow=lambda _: action)


def refused(spec: AgentSpec, state: StateValues, action: Action) -> bool:
    """Return whether a guard of an agent refuses an action."""
    return any(
        all(action[name] == choice for name, choice in each.where.items())
        for guard in spec.guards
        for each in guard.refuse(state)
    )


def trials(models: Sequence[str]) -> list[tuple[str, str, str]]:
    """Return all that could be followed always: each strategy, model that can run, and weight."""
    dimensions = meta_strategy.ACTIONS.dimensions
    return [
        (str(strategy), model, str(weight))
        for strategy in dimensions["strategy"]
        for model in models
        for weight in dimensions["weight"]
    ]

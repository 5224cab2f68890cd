"""What is computed from agents and their store when somebody wants to see it: the gauges."""

import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol, get_args

from steersman.backends.metrics.bus import Announced, Consumed
from steersman.backends.metrics.recent import Recent
from steersman.backends.metrics.releases import Drifted, Released, Told, release_gauges
from steersman.core.agent import AgentSpec
from steersman.core.errors import SteersmanError
from steersman.core.ports import Log
from steersman.core.values import ControlKind

Sample = tuple[str, Mapping[str, str], float]
VERDICTS = ("not enough data", "still learning", "unsettled", "settled", "converged")
_MEASURES = {
    "values": "steersman_learning_bias_ratio",
    "policy": "steersman_policy_changes_ratio",
    "rewards": "steersman_reward_spread_ratio",
}


class _Measure(Protocol):
    @property
    def name(self) -> str: ...
    @property
    def value(self) -> float: ...


class _Convergence(Protocol):
    @property
    def verdict(self) -> str: ...
    @property
    def measures(self) -> Sequence[_Measure]: ...


class _Diagnosed(Protocol):
    @property
    def epsilon(self) -> float: ...
    @property
    def states_seen(self) -> int: ...
    @property
    def states_possible(self) -> int: ...
    @property
    def episodes_open(self) -> int: ...
    @property
    def convergence(self) -> _Convergence: ...


class _AtWork(Protocol):
    @property
    def spec(self) -> AgentSpec: ...
    def diagnose(self) -> _Diagnosed: ...
    @property
    def release(self) -> Released: ...
    def probe_guards(self) -> Mapping[str, bool]: ...
    def drift(self) -> Sequence[Drifted]: ...
    def signals(self) -> Sequence[Told]: ...


class _Catalog(Protocol):
    def names(self) -> Sequence[str]: ...
    def agent(self, name: str) -> AgentSpec: ...


class Steered(Protocol):
    """All agents on one store."""

    @property
    def catalog(self) -> _Catalog:
        """The definitions."""

    @property
    def log(self) -> Log:
        """The log."""

    @property
    def consumed(self) -> Consumed | None:
        """What a consumer of a bus has done in this process; None if there is none."""

    @property
    def announcer(self) -> Announced | None:
        """Who tells a stream what happens; None if nobody does."""

    def agent(self, agent: str) -> _AtWork:
        """Return an agent."""


def gauges(steersman: Steered, recent: Mapping[str, Recent]) -> Iterator[Sample]:
    """Yield (metric, labels, value) for all that can be said now.

    What cannot be known is left out rather than given as 0. An agent that cannot tell keeps what it said last.
    """
    yield "steersman_log_writing", {}, float(not steersman.log.health())
    try:
        known = {*steersman.catalog.names()}
        at_work = sorted({*steersman.log.agents(), *recent})
        controls = steersman.log.controls()
    except SteersmanError:
        return  # the store cannot be read: what was said last stands, and log_writing tells why
    now = time.time()
    for name in at_work:
        for kind in get_args(ControlKind):
            held = any(each.kind == kind and each.holds(name, now) for each in controls)
            yield "steersman_controls_active", {"agent": name, "kind": kind}, float(held)
        if name not in known:  # its definition is elsewhere, or it ranks actions that come with each request
            continue
        try:
            agent = steersman.agent(name)
            told, released = agent.diagnose(), [*release_gauges(name, agent)]
        except SteersmanError:
            continue
        yield from _of_definition(agent.spec)
        yield from _of_learning(name, told)
        yield from _of_guards(name, agent)
        yield from released
        if name in recent:
            yield from _of_choices(agent.spec, recent[name])


def _of_definition(spec: AgentSpec) -> Iterator[Sample]:
    labels = {"agent": spec.name}
    yield "steersman_reward_low", labels, spec.reward.low
    yield "steersman_reward_high", labels, spec.reward.high


def _of_learning(name: str, told: _Diagnosed) -> Iterator[Sample]:
    labels = {"agent": name}
    yield "steersman_exploration_ratio", labels, told.epsilon
    yield "steersman_states_seen", labels, told.states_seen
    yield "steersman_states_possible", labels, told.states_possible
    yield "steersman_open_episodes", labels, told.episodes_open
    for verdict in VERDICTS:
        yield "steersman_learning_state", {**labels, "verdict": verdict}, float(told.convergence.verdict == verdict)
    for measure in told.convergence.measures:
        if measure.name in _MEASURES:
            yield _MEASURES[measure.name], labels, measure.value


def _of_guards(name: str, agent: _AtWork) -> Iterator[Sample]:
    for guard, alive in agent.probe_guards().items():
        yield "steersman_guard_alive", {"agent": name, "guard": guard}, float(alive)


def _of_choices(spec: AgentSpec, recent: Recent) -> Iterator[Sample]:
    entropy = recent.entropy(len(spec.actions))
    gap = recent.gap([len(each) for each in spec.actions.dimensions.values()])
    if entropy is not None:
        yield "steersman_action_entropy_ratio", {"agent": spec.name}, entropy
    if gap is not None:
        yield "steersman_value_gap_ratio", {"agent": spec.name}, gap / (spec.reward.high - spec.reward.low)

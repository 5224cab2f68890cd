"""Bugs to plant, so that a simulation shows that it can fail: each takes the place of one part of the product."""

import dataclasses
import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from msgspec.structs import replace

from steersman.backends.memory.log import MemoryReceipt
from steersman.core.agent import AgentSpec
from steersman.core.ports import Receipt, Row
from steersman.core.reward import Measurements, Reward, Score
from steersman.core.state import finite
from steersman.core.values import Control, Decision, Learned
from steersman.loops.agent import Agent
from steersman.loops.learn import learn
from steersman.stages.decide.choose import Situation
from steersman.testing.simulation.agents import MAX_STEPS, WAIT_S
from steersman.testing.simulation.parts import Parts
from steersman.testing.simulation.store import Append, SimulatedLog


class _Hasty(MemoryReceipt):
    """A receipt that does not wait for the disk."""

    def done(self) -> bool:
        """Return that all is well."""
        return True

    def settled(self) -> bool:
        """Return that all is well."""
        return True


class _HastyLog(SimulatedLog):
    """Acknowledges before the commit."""

    def append(self, rows: Sequence[Row], learned: Learned | None = None) -> MemoryReceipt:
        super().append(rows, learned)
        return _Hasty(self, 0)


class _LeakyLog(SimulatedLog):
    """Believes the disk when it says that it is done: the last append is still in its cache when the process dies."""

    def survivors(self, torn: int) -> Sequence[Append]:
        return super().survivors(torn)[:-1]


class _TwoTransactions(SimulatedLog):
    """Writes what was learned after the rows, so that a crash may fall between the two."""

    def survivors(self, torn: int) -> Sequence[Append]:
        *before, last = super().survivors(torn) or [Append(())]
        return [*before, last._replace(learned=None)]


class _SwitchInMemory(SimulatedLog):
    """Keeps kill switches in memory alone."""

    def survivors(self, torn: int) -> Sequence[Append]:
        kept = super().survivors(torn)
        return [each._replace(rows=tuple(row for row in each.rows if not isinstance(row, Control))) for each in kept]


class _Prefixes(SimulatedLog):
    """Finds a decision by the beginning of its id."""

    def decision(self, decision_id: str) -> Decision | None:
        exact = super().decision(decision_id)
        if exact is not None:
            return exact
        alike = (each for each in self.rows() if isinstance(each, Decision) and each.id[:-1] == decision_id[:-1])
        return next(alike, None)


class _Credulous(Reward):
    """Takes any finite number for a reward."""

    def check(self, measurements: Mapping[str, object]) -> dict[str, float]:
        return {name: finite(value, name=name) for name, value in measurements.items()}

    def score(self, measurements: Measurements) -> Score:
        return Score(reward=measurements["reward"], components={})


def _credulous(spec: AgentSpec) -> AgentSpec:
    fields = {each.name: getattr(spec.reward, each.name) for each in dataclasses.fields(spec.reward)}
    return dataclasses.replace(spec, reward=_Credulous(**fields))


def _learn_again(agent: Agent) -> None:
    """Learn a repetition as if it were news."""
    original, runtime = agent.report, agent._runtime

    def report(name: str, *arguments: Any, **named: Any) -> Receipt:
        known = runtime.log.outcomes(name)
        receipt = original(name, *arguments, **named)
        decision = runtime.log.decision(name)
        if decision is not None and known and len(runtime.log.outcomes(name)) == len(known):
            return runtime.log.append((), learn(runtime, decision, known[-1]))
        return receipt

    setattr(agent, "report", report)  # noqa: B010 - a method is replaced, which a type checker rightly refuses


def _choosing(change: Callable[[Situation], Situation], after: Callable[[Any], Any]) -> Callable[[Agent], None]:
    """Return what changes a situation before, and a choice after, it was made."""

    def opened(agent: Agent) -> None:
        chooser: Any = agent._runtime.chooser
        original = chooser.choose
        chooser.choose = lambda table, now, *more: after(original(table, change(now), *more))

    return opened


def _unmasked(now: Situation) -> Situation:
    return replace(now, allowed=np.ones_like(now.allowed))


def _sure(choice: Any) -> Any:
    return choice if choice.propensity is None else replace(choice, propensity=1.0)


def _random_id() -> str:
    return str(uuid.uuid4())


class _Rewriting(SimulatedLog):
    """Forgets an append in the middle, where a page was torn."""

    def survivors(self, torn: int) -> Sequence[Append]:
        kept = list(super().survivors(torn))
        place = len(kept) // 2
        if kept:
            kept[place] = kept[place]._replace(rows=(), learned=_nothing_new(kept[place].learned))
        known = {row.id for each in kept for row in each.rows if isinstance(row, Decision)}
        return [each for each in kept if all(isinstance(row, Decision) or _id_of(row) in known | {""} for row in each.rows)]


def _nothing_new(learned: Learned | None) -> Learned | None:
    return None if learned is None else replace(learned, entries={})


def _id_of(row: Row) -> str:
    return str(getattr(row, "decision_id", ""))


_any_time = {"episodes": {"max_steps": MAX_STEPS, "reward_wait_s": WAIT_S, "accept_until_s": 1e9}}

BUGS: dict[str, Parts] = {
    "acknowledge before it is durable": Parts(log=_HastyLog),
    "lose the last commit in a crash": Parts(log=_LeakyLog),
    "lose a row in the middle": Parts(log=_Rewriting),
    "learn outside the transaction": Parts(log=_TwoTransactions),
    "learn twice from a repetition": Parts(opened=_learn_again),
    "choose without the mask": Parts(opened=_choosing(_unmasked, lambda choice: choice)),
    "log a propensity of 1": Parts(opened=_choosing(lambda now: now, _sure)),
    "forget the kill switch on a restart": Parts(log=_SwitchInMemory),
    "accept a forged id": Parts(log=_Prefixes),
    "accept a reward out of range": Parts(spec=_credulous),
    "accept outcomes at any time": Parts(overrides=_any_time),
    "draw ids outside the seed": Parts(ids=_random_id),
}
"""What to plant, by name. The last one breaks no promise to a client: it is caught because two runs differ."""

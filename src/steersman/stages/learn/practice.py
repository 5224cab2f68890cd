"""Practice: what is learned again without anything new having happened, from replayed transitions or from a model.

It moves values with half the step size and counts no evidence: visits, variances, reward statistics and the number of
updates stay as they are. It depends on the transitions so far and on their count alone, so that a refold practises the
same, and it never adds an entry to the table.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from steersman.core.agent import AgentSpec
from steersman.core.settings import Settings
from steersman.core.transition import Transition
from steersman.maths.randomness import BLOCK, key_for, uniforms
from steersman.policies.exploration import Explorer
from steersman.policies.tabular import QTable
from steersman.stages.learn.kernel import Floats, Ints
from steersman.stages.learn.methods import Method, Trajectory, Update, method
from steersman.stages.learn.planning import Model
from steersman.stages.learn.replay.buffer import Priorities, ReplayBuffer

Learn = Callable[[Update, float], float | None]
"""Moves an entry toward an update's target by a share of half the step size; returns the TD error, None if unknown."""


class Practice(Protocol):
    """Something to practise with."""

    def after(self, transition: Transition, count: int, learn: Learn) -> None:
        """Take note of a transition that was learned, the `count`-th of all, and practise."""
        ...

    def forget(self, key: str) -> None:
        """Take note that a state has left the table."""
        ...


@dataclass(frozen=True, kw_only=True)
class Replayed:
    """What a replay holds: outcomes of those it may keep, how it draws them, how many after each outcome, and its β."""

    size: int
    capacity: int
    sampling: str
    updates: int
    beta: float


def practices(spec: AgentSpec, settings: Settings, table: QTable, explorer: Explorer) -> tuple[Practice, ...]:
    """Return what the settings ask for; most often nothing."""
    rule = one_step(settings, explorer)
    chosen: list[Practice] = []
    if settings.replay.updates:
        chosen.append(Replay(settings, table, rule, spec.name))
    if settings.learning.planning_steps:
        chosen.append(Planning(settings, table, rule, spec.name))
    return tuple(chosen)


def one_step(settings: Settings, explorer: Explorer) -> Method:
    """Return the rule for single transitions: the agent's own, or Expected SARSA for rules that wait for later steps.

    Later steps of an old episode followed an old policy; the expected value of the next state stands in their place.
    """
    own = method(settings.learning, explorer)
    if not own.needs_trajectory:
        return own
    return method(settings.with_values({"learning": {"method": "expected_sarsa"}}, "practice").learning, explorer)


class Replay:
    """Learns from earlier transitions again: evenly drawn ones, or those with large TD errors more often."""

    def __init__(self, settings: Settings, table: QTable, rule: Method, agent: str) -> None:
        chosen = settings.replay
        self._updates = chosen.updates
        self._sampling = chosen.sampling
        self._table = table
        self._rule = rule
        self._key = key_for(0, f"{agent}/replay")
        by_error = Priorities(alpha=chosen.alpha, beta=chosen.beta, beta_step=chosen.beta_step)
        self._buffer = ReplayBuffer(
            chosen.capacity,
            {"transition": ((), object)},
            priorities=by_error if chosen.sampling == "prioritised" else None,
            retention_s=chosen.retention_s,
            dedupe=True,
        )

    def __len__(self) -> int:
        return len(self._buffer)

    def made_up(self) -> Replayed:
        """Return what it holds."""
        return Replayed(
            size=len(self),
            capacity=self._buffer.capacity,
            sampling=self._sampling,
            updates=self._updates,
            beta=self._buffer.beta,
        )

    def after(self, transition: Transition, count: int, learn: Learn) -> None:
        """Keep the transition, unless its decision is there already, and learn from some that are kept."""
        self._buffer.add({"transition": transition}, name=transition.decision_id, at=transition.at)
        draws = _uniforms(self._key, count, 2 * self._updates)
        batch = self._buffer.draw(draws[: self._updates])
        errors = np.zeros(self._updates)
        known = np.zeros(self._updates, dtype=np.bool_)
        for i, each in enumerate(batch.values["transition"]):
            for update in self._rule.updates(self._table, each, Trajectory(), float(draws[self._updates + i])):
                error = learn(update, float(batch.weights[i]))
                if error is not None:
                    errors[i], known[i] = error, True
        self._buffer.update(batch.indices[known], errors[known])

    def forget(self, key: str) -> None:
        """Keep what was seen: it is learned from again should the state come back."""


class Planning:
    """Dyna-Q: learns from what a model of the world says would follow. Sutton and Barto (2018), section 8.2."""

    def __init__(self, settings: Settings, table: QTable, rule: Method, agent: str) -> None:
        self._steps = settings.learning.planning_steps
        self._table = table
        self._rule = rule
        self._key = key_for(0, f"{agent}/planning")
        self.model = Model()

    def after(self, transition: Transition, count: int, learn: Learn) -> None:
        """Add the transition to the model and plan from pairs of state and action that were seen, evenly drawn."""
        if transition.key in self._table.rows:
            self.model.see(transition)
        if not len(self.model):
            return
        draws = _uniforms(self._key, count, 2 * self._steps)
        for share, coin in zip(draws[: self._steps], draws[self._steps :], strict=True):
            learn(self.model.expected(float(share), self._rule, self._table, float(coin)), 1.0)

    def forget(self, key: str) -> None:
        """Let the state leave the model."""
        self.model.forget(key)


def half_step(
    value: Floats,
    visits: Ints,
    row: int,
    slots: list[int],
    target: float,
    share: float,
    alpha: float,
    alpha_scale: float,
    alpha_floor: float,
) -> float | None:
    """Move the slots of one action toward a target by share·α/2 and return the TD error δ = target − Σ value[slot].

    α falls by visits as for what is seen; nothing but `value` changes. None, and no move, where a slot has no visits.
    """
    if not all(visits[row, slot] for slot in slots):
        return None
    error = target - sum([float(value[row, slot]) for slot in slots])
    for slot in slots:
        step = alpha
        if alpha_scale > 0.0:
            step = max(alpha_floor, alpha / (1.0 + float(visits[row, slot]) / alpha_scale))
        value[row, slot] += 0.5 * share * step * error
    return error


def _uniforms(key: tuple[int, int], count: int, needed: int) -> NDArray[np.float64]:
    """Return uniforms that belong to a count of transitions alone, shape (needed,)."""
    return uniforms(key, count * -(-needed // BLOCK), needed)

"""The policy as a readable table: in this situation it does this, because."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from steersman.core.actions import Choice
from steersman.loops.runtime import Runtime
from steersman.maths.schedules import effective_count
from steersman.maths.statistics import confidence
from steersman.policies.encoding import describe
from steersman.policies.exploration import Explorer
from steersman.policies.prior import OwnEvidence, blend, worth
from steersman.stages.learn.practice import Replayed
from steersman.stages.monitor.performance import entropy, lead

Floats = NDArray[np.float64]
_NAMED = 3
"""Choices that were never tried are named, up to so many."""
_SURE = 2.0
"""Standard errors by which a choice must lead to be called better."""


@dataclass(frozen=True, kw_only=True)
class Option:
    """A choice as one situation values it.

    error: standard error of the value. probability: with which the learned policy takes it, exploring included.
    """

    choice: Choice
    value: float
    visits: int
    error: float
    confidence: float
    probability: float


@dataclass(frozen=True, kw_only=True)
class Ruling:
    """What is done in one dimension, why, the next best of what was tried, and all options, best first."""

    dimension: str
    best: Option
    runner_up: Option | None
    because: str
    options: tuple[Option, ...]


@dataclass(frozen=True, kw_only=True)
class Row:
    """One situation: in words and in bins, how often it was learned from, and the ruling in each dimension.

    learned: whether the table decides; else too little is known and the baseline rule does. entropy: of the policy there,
    in [0, 1]. updated_at: unix seconds.
    """

    situation: dict[str, str]
    bins: dict[str, int]
    visits: int
    learned: bool
    rulings: tuple[Ruling, ...]
    entropy: float
    updated_at: float


@dataclass(frozen=True, kw_only=True)
class Policy:
    """What an agent would do where guards allow it, the situations seen most often first.

    stability: how far the best choice leads the second best, mean over situations by visits, in reward ranges.
    entropy: of the policy, confidence: of the best choices, both means over the rows shown, by visits. replayed: what is
    learned from again.
    """

    agent: str
    policy: str
    dimensions: dict[str, tuple[Choice, ...]]
    epsilon: float
    states_seen: int
    states_possible: int
    stability: float
    entropy: float
    confidence: float
    rows: tuple[Row, ...]
    replayed: Replayed | None


def policy_table(agent: Runtime, limit: int = 50) -> Policy:
    """Return the readable table of the `limit` situations that were seen most often. Guards are not asked."""
    with agent.lock:
        table = agent.fold.table
        places, visits = dict(table.rows), table.visits.sum(axis=1)
        replayed = agent.fold.replayed
    reader = _Reader(agent)
    rows = tuple(row for key in _most(places, visits, limit) if (row := reader.row(key)) is not None)
    return Policy(
        agent=agent.spec.name,
        policy=agent.policy,
        dimensions=agent.spec.actions.dimensions,
        epsilon=agent.fold.epsilon,
        states_seen=len(places),
        states_possible=agent.spec.state.cells,
        stability=_mean([(row.visits, _lead(agent, row)) for row in rows]),
        entropy=_mean([(row.visits, row.entropy) for row in rows]),
        confidence=_mean([(row.visits, min(each.best.confidence for each in row.rulings)) for row in rows]),
        rows=rows,
        replayed=replayed,
    )


def _most(places: dict[str, int], visits: NDArray[np.int64], limit: int) -> list[str]:
    """Return the keys of the states that were seen most often, of those seen equally often the older first."""
    keys, rows = list(places), np.fromiter(places.values(), dtype=np.intp, count=len(places))
    return [keys[index] for index in np.argsort(-visits[rows], kind="stable")[:limit].tolist()]


class _Reader:
    """Reads situations out of a table at work, holding the agent's lock for one at a time."""

    def __init__(self, agent: Runtime) -> None:
        self._agent = agent
        self._scale = agent.spec.reward.high - agent.spec.reward.low
        self._own = OwnEvidence(agent.settings.learning)
        self._explorer = Explorer(agent.settings.exploration, self._scale)

    def row(self, key: str) -> Row | None:
        """Return one situation, or None where it was pruned meanwhile."""
        agent = self._agent
        with agent.lock:
            table = agent.fold.table
            row = table.rows.get(key)
            if row is None:
                return None
            bins = dict(table.bins[key])
            priors = () if agent.kin is None else agent.kin.borrowed(bins, table, row)
            values = blend(*self._own.of(table, row), priors) if priors else table.slot_values(row).copy()
            evidence = [table.evidence(row, slot) for slot in range(table.width)]
            visits = table.state_visits(row)
            learned = visits + (worth(priors) if priors else 0.0) >= agent.settings.serving.cold_visits
            probabilities = self._probabilities(row, values) if learned else None
            updated_at = float(table.updated_at[row].max())
        return Row(
            situation=describe(agent.spec.state, bins),
            bins=bins,
            visits=visits,
            learned=learned,
            rulings=tuple(self._rulings(values, evidence, probabilities, visits)),
            entropy=0.0 if probabilities is None else entropy(probabilities.tolist()),
            updated_at=updated_at,
        )

    def _probabilities(self, row: int, values: Floats) -> Floats:
        """Return with which probability the learned policy takes each action where all of them are allowed."""
        table, everything = self._agent.fold.table, np.ones(len(self._agent.spec.actions), dtype=np.bool_)
        return self._explorer.distribution(table, row, table.action_values(values), everything, self._agent.fold.epsilon)

    def _rulings(
        self, values: Floats, evidence: list[tuple[int, float]], probabilities: Floats | None, visits: int
    ) -> Iterator[Ruling]:
        space, first = self._agent.spec.actions, 0
        for place, (dimension, choices) in enumerate(space.dimensions.items()):
            options = []
            for slot, choice in enumerate(choices, start=first):
                taken = 0.0 if probabilities is None else float(probabilities[space.slots[:, place] == slot].sum())
                options.append(self._option(choice, float(values[slot]), evidence[slot], taken))
            options.sort(key=lambda each: (-each.value, -each.visits))
            yield self._ruling(dimension, tuple(options), visits, learned=probabilities is not None)
            first += len(choices)

    def _option(self, choice: Choice, value: float, evidence: tuple[int, float], taken: float) -> Option:
        visits, variance = evidence
        learning = self._agent.settings.learning
        last = learning.alpha if learning.alpha_schedule == "constant" else learning.alpha_floor
        error = math.sqrt(variance / max(effective_count(visits, max(last, 1e-6)), 1.0))
        sure = confidence(visits, error, self._scale)
        return Option(choice=choice, value=value, visits=visits, error=error, confidence=sure, probability=taken)

    def _ruling(self, dimension: str, options: tuple[Option, ...], visits: int, *, learned: bool) -> Ruling:
        best, others = options[0], options[1:]
        runner_up = next((each for each in others if each.visits), others[0] if others else None)
        if not learned:
            needed = self._agent.settings.serving.cold_visits
            because = f"seen {visits} of the {needed} times it takes, so the baseline rule decides"
        elif runner_up is None:
            because = "there is no other choice"
        else:
            because = _because(best, runner_up) + _untried(others)
        return Ruling(dimension=dimension, best=best, runner_up=runner_up, because=because, options=options)


def _because(best: Option, runner_up: Option) -> str:
    ahead, error = best.value - runner_up.value, math.hypot(best.error, runner_up.error)
    if not runner_up.visits and not best.visits:
        return "nothing was tried here yet"
    if not runner_up.visits:
        return f"worth {best.value:.3g}"
    if ahead > _SURE * error:
        return f"worth {best.value:.3g}, {ahead:.2g} more than {runner_up.choice}"
    return f"worth {best.value:.3g}, not surely more than {runner_up.choice}"


def _untried(others: tuple[Option, ...]) -> str:
    untried = [str(each.choice) for each in others if not each.visits]
    return f"; not tried: {', '.join(untried)}" if untried and len(untried) <= _NAMED else ""


def _lead(agent: Runtime, row: Row) -> float:
    scale = agent.spec.reward.high - agent.spec.reward.low
    return min(lead([each.value for each in ruling.options], scale) for ruling in row.rulings)


def _mean(weighted: list[tuple[int, float]]) -> float:
    total = sum(weight for weight, _ in weighted)
    return sum(weight * value for weight, value in weighted) / total if total else 0.0

"""Evidence: the newest outcomes of the log, and what each of three policies would have done in their place."""

from array import array
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from steersman.core.errors import InvalidInput
from steersman.core.guards import PINNED
from steersman.core.transition import Transition
from steersman.core.values import Decision, Outcome, Refused
from steersman.core.versions import BASELINE, LEARNING
from steersman.loops import outcomes
from steersman.loops.cut import production
from steersman.loops.learn import transition
from steersman.loops.runtime import Runtime
from steersman.loops.serving import Served
from steersman.stages.decide.choose import Situation
from steersman.stages.evaluate.evidence import Evidence

Floats = NDArray[np.float64]
Pair = tuple[Decision, Outcome]
ALONE = "of the rule alone, which tries nothing else"
"""Why outcomes are left out while the rule decided by itself."""
_ANOTHER = "made under another definition"
_NOTHING_DRAWN = np.zeros(4)


@dataclass(frozen=True, kw_only=True)
class Gathered:
    """Evidence, with what a gate asks beside it.

    unmasked_best: (n,), the candidate's best action by value alone. guarded: (n, A), what guards allowed, whatever people
    pinned. since: the position in the log behind which its rows lie. position: of the last one in it.
    """

    evidence: Evidence
    unmasked_best: NDArray[np.int64]
    guarded: NDArray[np.bool_]
    since: int
    position: int


@dataclass(kw_only=True)
class _Row:
    decision: Decision
    made: Transition
    guarded: NDArray[np.bool_]
    allowed: NDArray[np.bool_]
    baseline: int


def gather(agent: Runtime, candidate: str, incumbent: str) -> Gathered:
    """Return the evidence on two versions from the agent's newest outcomes. Raises NotFound, StoreError or InvalidInput.

    Only outcomes count that neither has learned from: a policy that is judged by what it was fitted to looks better than it
    is.
    Left out, and counted: rows of another definition, without a reward, or whose action was not drawn with a known
    probability or was exchanged for another after it was drawn; and those of the rule alone, see `_telling`.
    """
    left_out: Counter[str] = Counter()
    since = max(learned_until(agent, candidate), learned_until(agent, incumbent))
    position, pairs = _behind(agent, since, _tries)
    pairs = _telling(agent, pairs, left_out)
    rows = [row for decision, outcome in pairs for row in _row(agent, decision, outcome, left_out)]
    policies = {"candidate": candidate, "incumbent": incumbent, "baseline": BASELINE}
    chances = {name: _chances(agent, agent.serving.policy(version), rows) for name, version in policies.items()}
    numbers: dict[str, int] = {}
    episodes: dict[str, int] = {}
    evidence = Evidence(
        reward=np.array([row.made.reward or 0.0 for row in rows]),
        propensity=np.array([row.decision.action_probability or 0.0 for row in rows]),
        action=_whole([row.made.action for row in rows]),
        state=_whole([numbers.setdefault(row.made.key, len(numbers)) for row in rows]),
        allowed=_table(agent, [row.allowed for row in rows]),
        episode=_whole([episodes.setdefault(row.made.episode, len(episodes)) for row in rows]),
        step=_whole([row.made.step for row in rows]),
        next_state=_whole([_next(numbers, row.made) for row in rows]),
        terminated=np.array([row.made.terminated for row in rows], dtype=np.bool_),
        decided_at=np.array([row.made.decided_at for row in rows]),
        left_out=dict(left_out),
        low=agent.spec.reward.low,
        high=agent.spec.reward.high,
        gamma=agent.settings.learning.gamma,
        **chances,
    )
    guarded = _table(agent, [row.guarded for row in rows])
    best = _unmasked(agent, agent.serving.policy(candidate), rows)
    return Gathered(evidence=evidence, unmasked_best=best, guarded=guarded, since=since, position=position)


def learned_until(agent: Runtime, version: str) -> int:
    """Return the position in the log up to which a version has learned; 0 for the rule, which learns nothing."""
    if version == BASELINE:
        return 0
    return agent.position if version == LEARNING else production(agent).registry.version(agent.spec.name, version).position


def holdout(agent: Runtime, share: float, *, after: int = 0) -> int:
    """Return the position in the log behind which a share of the outcomes lies that evaluation can use; 0 for too few.

    after: the position behind which outcomes are looked at. An outcome counts as it was first reported. As in `gather`,
    those of the rule alone count only where others are too few.
    """
    fit, tried = array("q"), array("q")
    for position, decision, outcome in agent.log.history(agent.spec.name, after=after, durable=True):
        if outcome.revision == 0 and not _unusable(agent, decision, outcome):
            fit.append(position)
            if _tries(decision):
                tried.append(position)
    counted = tried if round(share * len(tried)) >= agent.settings.evaluation.min_outcomes else fit
    learned = len(counted) - round(share * len(counted))
    return counted[learned - 1] if learned else 0


def newest(agent: Runtime, since: int = 0) -> tuple[int, list[Pair]]:
    """Return the newest outcomes behind a position with their last revisions, oldest first, and where the last one lies."""
    position, pairs = _behind(agent, since, lambda _: True)
    return position, pairs[-agent.settings.evaluation.rows :]


def _behind(agent: Runtime, since: int, counts: Callable[[Decision], bool]) -> tuple[int, list[Pair]]:
    """Return outcomes as `newest` does, from so far back that enough of them count, or all."""
    position, found = outcomes.newest(agent, agent.settings.evaluation.rows, since=since, counts=counts)
    return position, [(each.decision, each.outcome) for each in found]


def _tries(decision: Decision) -> bool:
    """Return whether another action than the rule's might have been taken, by who decided.

    Not by the decision's probability: where guards refuse the rule's action even the rule draws another one, and where the
    gate of influence refuses it is certain in live mode too; to keep only the others would tell of situations that are not
    as frequent as that.
    """
    return decision.version != BASELINE and decision.mode == "live"


def _telling(agent: Runtime, pairs: list[Pair], left_out: Counter[str]) -> list[Pair]:
    """Return the newest outcomes, without those of the rule alone where enough others are there.

    While the rule decides by itself nothing supports another policy, and weights average less than 1. Who decided does not
    depend on the situation, so that what is left stands for the same situations. With too few others all stay: a version
    that does the same as the rule is supported by them, and of any other one evaluation says what is lacking.
    """
    limits = agent.settings.evaluation
    telling = [pair for pair in pairs if _tries(pair[0])]
    if limits.min_outcomes <= len(telling) < len(pairs):
        left_out[ALONE] += len(pairs) - len(telling)
        pairs = telling
    return pairs[-limits.rows :]


def _row(agent: Runtime, decision: Decision, outcome: Outcome, left_out: Counter[str]) -> Iterator[_Row]:
    why = _unusable(agent, decision, outcome)
    if not why:
        try:
            made = transition(agent, decision, outcome)
        except InvalidInput:
            why = _ANOTHER
    if why:
        left_out[why] += 1
        return
    guarded = agent.guards.allowed([each.where for each in _guards(decision)])
    yield _Row(
        decision=decision,
        made=made,
        guarded=guarded,
        allowed=agent.guards.allowed([each.where for each in decision.refusals]),
        baseline=agent.spec.actions.index(agent.spec.baseline(decision.state)),
    )


def _unusable(agent: Runtime, decision: Decision, outcome: Outcome) -> str:
    """Return why an outcome is no evidence for another policy; "" where it is."""
    if decision.schema != agent.spec.state.id:
        return _ANOTHER
    if decision.action_probability is None:
        return "without a propensity"
    if outcome.executed is not None and outcome.executed != decision.executed:
        return "with another action than was drawn"
    if outcome.reward is None or outcome.kind != "reported":
        return "without a reward"
    return "of a version in quarantine" if decision.version in agent.quarantined else ""


def _guards(decision: Decision) -> tuple[Refused, ...]:
    return tuple(each for each in decision.refusals if each.guard != PINNED)


def _next(numbers: dict[str, int], made: Transition) -> int:
    return -1 if made.next_key is None else numbers.setdefault(made.next_key, len(numbers))


def _chances(agent: Runtime, served: Served, rows: list[_Row]) -> Floats:
    """Return a policy's probability of each action, shape (n, A). Equal situations are asked about once."""
    known: dict[tuple[object, ...], Floats] = {}
    table = served.table
    found = np.zeros((len(rows), len(agent.spec.actions)))
    for index, row in enumerate(rows):
        epsilon = row.decision.epsilon if served.epsilon is None else served.epsilon
        at = table.place(row.made.key, row.decision.state)
        place = (at, row.allowed.tobytes(), row.baseline, epsilon)
        if place not in known:
            now = Situation(row=at, allowed=row.allowed, baseline=row.baseline, epsilon=epsilon, uniforms=_NOTHING_DRAWN)
            known[place], _ = served.chooser.probabilities(table, now, table.slot_values(at))
        found[index] = known[place]
    return found


def _unmasked(agent: Runtime, candidate: Served, rows: list[_Row]) -> NDArray[np.int64]:
    """Return what the candidate holds for best where no guard would stand in its way; the rule's action where it is cold."""
    known: dict[tuple[object, int], int] = {}
    everything = np.ones(len(agent.spec.actions), dtype=np.bool_)
    table = candidate.table
    places = [(table.place(row.made.key, row.decision.state), row.baseline) for row in rows]
    for row, (at, baseline) in zip(rows, places, strict=True):
        if (at, baseline) not in known:
            now = Situation(
                row=at, allowed=everything, baseline=row.baseline, epsilon=0.0, uniforms=_NOTHING_DRAWN, may_explore=False
            )
            chances, _ = candidate.chooser.probabilities(table, now, table.slot_values(at))
            known[at, baseline] = int(np.argmax(chances))
    return _whole([known[each] for each in places])


def _whole(values: list[int]) -> NDArray[np.int64]:
    return np.array(values, dtype=np.int64)


def _table(agent: Runtime, rows: list[NDArray[np.bool_]]) -> NDArray[np.bool_]:
    return np.array(rows, dtype=np.bool_).reshape(len(rows), len(agent.spec.actions))

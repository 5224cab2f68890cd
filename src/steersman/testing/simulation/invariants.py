"""What must be true of a log and of what was learned from it, whatever happened. Each check yields what is not."""

import math
from collections import defaultdict
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import msgspec

from steersman.core.ports import Log
from steersman.core.values import Decision, Outcome
from steersman.loops.agent import Agent
from steersman.loops.learn import refold
from steersman.stages.learn.fold import Fold
from steersman.testing.simulation.agents import ACCEPT_S, WAIT_S, Values
from steersman.testing.simulation.messages import Ledger


def broken_rows(log: Log, ledger: Ledger) -> Iterator[str]:
    """Rows come in order, once, with numbers that can be true, and say only what somebody said."""
    decisions: dict[str, Decision] = {}
    revisions: dict[str, list[Outcome]] = defaultdict(list)
    rows = list(log.rows())
    if log.position != len(rows):
        yield f"position {log.position} after {len(rows)} rows"
    for place, row in enumerate(rows, start=1):
        if isinstance(row, Decision):
            yield from _broken_decision(row, place, known=row.id in decisions)
            decisions[row.id] = row
        else:
            yield from _broken_outcome(row, decisions.get(row.decision_id), revisions[row.decision_id], ledger)
            revisions[row.decision_id].append(row)
    yield from _broken_order([row for row in rows if isinstance(row, Decision)])
    yield from _broken_ends(rows, decisions)


def _broken_decision(row: Decision, place: int, *, known: bool) -> Iterator[str]:
    if known:
        yield f"decision {row.id} is in the log twice"
    if row.table_position >= place:
        yield f"decision {row.id} at {place} knew the log up to {row.table_position}"
    if row.arm == "safe":
        if row.executed != {"action": "rest"} or row.propensity is not None or row.action_probability is not None:
            yield f"safe decision {row.id} executed {row.executed} with propensity {row.propensity}"
        return
    within, whole = row.propensity or 0.0, row.action_probability or 0.0
    if not (0 < within <= 1 and 0 < whole <= 1 + 1e-12 and 0 < row.arm_probability <= 1):
        yield f"decision {row.id}: propensity {within}, of the arm {row.arm_probability}, of the action {whole}"
    if whole < within * row.arm_probability - 1e-12 or row.proposed != row.executed:
        yield f"decision {row.id}: its action has {whole}, its arm alone {within * row.arm_probability}"


def _broken_outcome(row: Outcome, decision: Decision | None, before: list[Outcome], ledger: Ledger) -> Iterator[str]:
    name = row.decision_id
    if decision is None or row.agent != decision.agent or name in ledger.forged:
        yield f"an outcome of {name}, which {row.agent} had not decided"
        return
    if row.revision != len(before):
        yield f"outcome of {name}: revision {row.revision} after {len(before)}"
    if before and (row.kind, row.measurements) == (before[-1].kind, before[-1].measurements):
        yield f"outcome of {name} is in the log twice"
    if row.reward is not None and not -1 <= row.reward <= 1:  # NaN as well
        yield f"outcome of {name}: reward {row.reward}"
    if row.kind == "reported" and row.measurements.get("reward") not in ledger.said.get(name, ()):
        yield f"outcome of {name}: nobody said {row.measurements}"
    age_s = row.reported_at - decision.decided_at
    if (row.kind != "expired" and age_s > ACCEPT_S) or (row.kind == "expired" and age_s < WAIT_S):
        yield f"outcome of {name}: {row.kind} after {age_s} s"


def _broken_order(decisions: list[Decision]) -> Iterator[str]:
    """Steps of an episode follow each other, and no draw is used twice."""
    steps: dict[tuple[str, str], int] = defaultdict(int)
    draws: set[tuple[str, int]] = set()
    for each in decisions:
        if each.step != steps[each.agent, each.episode]:
            yield f"step {each.step} of episode {each.episode} stands at {steps[each.agent, each.episode]}"
        steps[each.agent, each.episode] += 1
        if (each.agent, each.draw) in draws:
            yield f"draw {each.draw} of {each.agent} was used twice"
        if each.draw >= 0:
            draws.add((each.agent, each.draw))


def _broken_ends(rows: list[Decision | Outcome], decisions: dict[str, Decision]) -> Iterator[str]:
    """Nothing is decided in an episode after its end was reported."""
    over: set[tuple[str, str]] = set()
    for row in rows:
        if isinstance(row, Decision):
            if (row.agent, row.episode) in over:
                yield f"decision {row.id} came after the end of episode {row.episode}"
        elif (row.terminated or row.truncated) and row.decision_id in decisions:
            decision = decisions[row.decision_id]
            over.add((decision.agent, decision.episode))


def lost(log: Log, ledger: Ledger) -> Iterator[str]:
    """Everything that was acknowledged is there."""
    for name in sorted(ledger.decided):
        if log.decision(name) is None:
            yield f"decision {name} was acknowledged and is lost"
    kinds = {"report": "reported", "withdraw": "withdrawn"}
    for name, verb, reward in ledger.acknowledged:
        rows = [each for each in log.outcomes(name) if each.kind == kinds[verb]]
        if not any(verb == "withdraw" or each.measurements == {"reward": reward} for each in rows):
            yield f"{verb} {reward} of {name} was acknowledged and is lost"


def unlike_replay(agent: Agent) -> Iterator[str]:
    """The table equals, to the bit, a replay of the log by one thread from the beginning."""
    live, again = snapshot(agent._runtime.fold), snapshot(refold(agent._runtime))
    for part, value in live.items():
        if value != again[part]:
            yield f"{agent.spec.name}: {part} {_difference(value, again[part])}"


def snapshot(fold: Fold) -> dict[str, Any]:
    """Return all that a fold knows, without disturbing it."""
    table = fold.table
    return {
        "entries": {
            (key, slot): table.column(row, slot)
            for key, row in table.rows.items()
            for slot in table.visits[row].nonzero()[0].tolist()
        },
        "states": dict(table.bins),
        "carry": msgspec.to_builtins(fold.carry),
        "open episodes": {name: each.record for name, each in fold.episodes.items()},
    }


def _difference(live: Any, again: Any) -> str:
    """Return the first place where two parts differ, by key."""
    place = next((key for key in {**live, **again} if live.get(key) != again.get(key)), None)
    return f"differ at {place}: live {live.get(place)}, replay {again.get(place)}"


def out_of_bounds(agent: Agent) -> Iterator[str]:
    """Values lie within what rewards in [-1, 1] can sum to."""
    table, most = agent._runtime.fold.table, 1.0 / (1.0 - agent.settings.learning.gamma) + 1e-9
    for key, row in table.rows.items():
        if not all(-most <= value <= most for value in table.value[row].tolist()):
            yield f"{agent.spec.name}: values of {key} are {table.value[row].tolist()}"


def unlike_bandit(agent: Agent, log: Log, settings: Values) -> Iterator[str]:
    """A bandit's values follow from the last word about each decision, by a model that shares no code with the product."""
    if settings["learning"] != {"gamma": 0.0} or settings["table"]:
        return
    last = {
        each.decision_id: each for each in log.rows(agent.spec.name) if isinstance(each, Outcome)
    }  # in order of the first
    expected: dict[tuple[int, int, bool, str], tuple[float, int]] = {}
    for name, outcome in last.items():
        decision = log.decision(name)
        if decision is None or outcome.kind == "withdrawn" or outcome.reward is None:
            continue
        state, action = decision.state, str((outcome.executed or decision.executed)["action"])
        load, backlog = float(state["load"]), float(state["backlog"])
        place = (sum(load >= edge for edge in (20, 50, 80)), sum(backlog >= edge for edge in (10, 100)))
        key = (*place, bool(state["weekend"]), action)
        value, visits = expected.get(key, (0.0, 0))
        expected[key] = (value + 0.1 * (outcome.reward - value), visits + 1)
    yield from _unlike(agent, expected)


def _unlike(agent: Agent, expected: dict[tuple[int, int, bool, str], tuple[float, int]]) -> Iterator[str]:
    table, found = agent._runtime.fold.table, 0
    for name, row in table.rows.items():
        bins = table.bins[name]
        for slot, (_, action) in enumerate(agent.spec.actions.slot_names):
            if visits := int(table.visits[row, slot]):
                found += 1
                due = expected.get((bins["load"], bins["backlog"], bool(bins["weekend"]), str(action)), (math.nan, 0))
                if visits != due[1] or not math.isclose(float(table.value[row, slot]), due[0], abs_tol=1e-12):
                    yield f"{agent.spec.name}: {bins} {action} is {table.value[row, slot]} of {visits}, not {due}"
    if found != len(expected):
        yield f"{agent.spec.name}: {found} values learned, {len(expected)} expected"


def unlike_itself(agent: Agent, log: Log, most: int) -> Iterator[str]:
    """Decisions come out the same when they are made again from the log; the last ones are tried."""
    for each in log.recent(agent.spec.name, most):
        if not any("guard failed" in refusal.reason for refusal in each.refusals):
            again = agent.replay(each.id)
            if not again.identical:
                yield f"decision {each.id} comes out another: {again.differences}"


def falling(numbers: list[int]) -> bool:
    """Return whether numbers do not rise strictly."""
    return any(after <= before for before, after in pairwise(numbers))

"""Explain and replay: what was known when a decision was made, and whether the same code still makes it."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np

from steersman.core.errors import InvalidInput, StoreError
from steersman.core.guards import PINNED
from steersman.core.influence import withheld_by
from steersman.core.settings import Settings
from steersman.core.values import Arm, AuditEvent, Decision, Outcome
from steersman.core.versions import LEARNING
from steersman.loops import influence
from steersman.loops.learn import refold
from steersman.loops.runtime import Runtime, draw_key
from steersman.loops.serving import Served
from steersman.maths.randomness import uniforms
from steersman.policies.encoding import describe
from steersman.stages.decide.choose import Situation
from steersman.stages.release.assignment import to_challenger

_SETTINGS = "settings in force"
_AUDIT_EVENTS = 10_000
_MOVES = 1_000


@dataclass(frozen=True, kw_only=True)
class Explanation:
    """A decision in plain values: the situation in words, each choice's value, what was refused and why.

    `shares` says, by dimension and choice, what part of the value comes from whom: "own", "category/…", "fleet",
    "transfer/…". It is empty where the table alone decided.
    """

    decision: Decision
    situation: dict[str, str]
    values: dict[str, dict[str, float]]
    best: dict[str, Any] | None
    shares: dict[str, dict[str, dict[str, float]]]
    outcomes: list[Outcome]


@dataclass(frozen=True, kw_only=True)
class Replay:
    """Whether a decision comes out the same again, and where it differs."""

    decision_id: str
    identical: bool
    differences: list[str]
    learned_from: int


def explain(agent: Runtime, decision: Decision) -> Explanation:
    """Return what is known about a decision of the agent."""
    space = agent.spec.actions
    bins = agent.encoder.named(agent.encoder.bins(decision.state))
    values: dict[str, dict[str, float]] = {}
    for (dimension, choice), value in zip(space.slot_names, decision.values, strict=False):
        values.setdefault(dimension, {})[str(choice)] = value
    best = None
    if decision.values:
        allowed = agent.guards.allowed([each.where for each in decision.refusals])
        ranked = np.where(allowed, agent.fold.table.action_values(np.array(decision.values)), -np.inf)
        top = ranked.max()
        best = space.actions[int(ranked.argmax())] if np.isfinite(top) and (ranked[allowed] < top).any() else None
    return Explanation(
        decision=decision,
        situation=describe(agent.spec.state, bins),
        values=values,
        best=best,
        shares=_shares(agent, decision),
        outcomes=agent.log.outcomes(decision.id),
    )


def _shares(agent: Runtime, decision: Decision) -> dict[str, dict[str, dict[str, float]]]:
    """Return what part of each choice's value each source has; choices that nobody has seen anything of are left out."""
    shares: dict[str, dict[str, dict[str, float]]] = {}
    for slot, (dimension, choice) in enumerate(agent.spec.actions.slot_names if decision.priors else ()):
        weights = {each.source: each.weights[slot] for each in decision.priors if slot < len(each.weights)}
        total = sum(weights.values())
        if total > 0.0:
            parts = {source: weight / total for source, weight in weights.items() if weight > 0.0}
            shares.setdefault(dimension, {})[str(choice)] = parts
    return shares


def replay(agent: Runtime, decision: Decision) -> Replay:
    """Make the decision again from the log alone, and compare action, propensity, values and refusals to the bit."""
    differences: list[str] = []
    if decision.settings_hash != agent.settings_hash:
        old = _settings_of(agent, decision.settings_hash)
        if old is not None:
            return replay(Runtime(agent.spec, old, agent.world, agent.guard_list), decision)
        differences.append(f"settings: made under {decision.settings_hash}, which this store does not know")
    base = agent.log.base(agent.spec.name)
    if base is not None and decision.version == LEARNING and decision.table_position < (base.position or 0):
        differences.append("learned from: rows that retention has cut since, so that it cannot be made again")
    else:
        differences += _differences(agent, decision)
    return Replay(
        decision_id=decision.id, identical=not differences, differences=differences, learned_from=decision.table_position
    )


def _differences(agent: Runtime, decision: Decision) -> list[str]:
    """Return where the decision, made again, is not the same."""
    if decision.arm == "safe":
        same = decision.executed == agent.safe_action
        return [] if same else [f"safe action: {decision.executed} then, {agent.safe_action} now"]
    if decision.schema != agent.spec.state.id:
        return [f"state: {decision.schema} then, {agent.spec.state.id} now; the definition was changed"]
    first: list[str] = []
    try:
        for served in _served(agent, decision):
            found = _compared(agent, decision, served)
            if not found:
                return []
            first = first or found
    except InvalidInput as error:
        return [f"the definition was changed: {error}"]
    return first


def _compared(agent: Runtime, decision: Decision, served: Served) -> list[str]:
    """Return where the decision differs from what a policy decides. Raises InvalidInput for an earlier definition's."""
    now = _situation(agent, decision, served)
    ruled = withheld_by(decision.reason) is not None or (decision.arm == "baseline" and decision.arm_probability == 1.0)
    again = served.chooser.choose(served.table, influence.ruled(agent, now, decision.reason) if ruled else now)
    refusals = agent.guards.narrow(decision.state).refusals
    guarded = [each for each in decision.refusals if each.guard != PINNED]  # pins are a person's, and stay as logged
    action = None if again.action is None else agent.spec.actions.actions[again.action]
    pairs = (
        ("refusals", [(each.guard, each.where) for each in guarded], [(e.guard, e.where) for e in refusals]),
        ("action", decision.proposed, action),
        ("propensity", decision.propensity, again.propensity),
        ("action probability", decision.action_probability, again.probability),
        ("arm", decision.arm, again.arm),
        ("arm probability", decision.arm_probability, again.arm_probability),
        ("values", decision.values, again.values),
        ("confidence", decision.confidence, again.confidence),
        ("priors", decision.priors, again.priors),
        *_advice(agent, decision, served, now),
    )
    return [f"{name}: {then} then, {now} now" for name, then, now in pairs if then != now]


def _advice(agent: Runtime, decision: Decision, served: Served, now: Situation) -> Iterator[tuple[str, object, object]]:
    """Yield what the learned policy would have done, then and now, where it was only asked."""
    if decision.mode not in ("shadow", "advisory") or decision.shadow is None:
        return
    action = agent.spec.actions.index(decision.executed)
    shadow, probability = served.chooser.beside(served.table, influence.asked(decision.mode, now), action)
    yield "shadow", decision.shadow, agent.spec.actions.actions[shadow]
    yield "shadow probability", decision.shadow_probability, probability


def _served(agent: Runtime, decision: Decision) -> Iterator[Served]:
    """Yield what may have decided: the version that did, or the table as the log gives it up to the decision's position.

    A process decides by the table that it had until it has noted a new quarantine, and has learned the log anew.
    """
    if decision.version:
        yield agent.serving.load(decision.version)
        return
    for left_out in _left_out(agent, decision):
        yield _as_learned(agent, decision, left_out)


def _left_out(agent: Runtime, decision: Decision) -> Iterator[frozenset[str]]:
    """Yield what may have been left out of learning when a decision was made: what was in quarantine, then what had been."""
    place, name = agent.world.production, agent.spec.name
    now = None if place is None else place.releases.at(name, decision.decided_at)
    then = frozenset() if now is None else frozenset(now.quarantined)
    yield then
    if place is not None and now is not None:
        moves = place.releases.moves(name, _MOVES)
        earlier = (frozenset(each.quarantined) for each in moves if each.number < now.number)
        before = next((each for each in earlier if each != then), frozenset[str]())
        yield from () if before == then else (before,)


def _situation(agent: Runtime, decision: Decision, served: Served) -> Situation:
    """Return the situation of a decision, as a policy meets it."""
    arm, assigned = _assignment(decision)
    return Situation(
        row=served.table.place(agent.encoder.key(agent.encoder.bins(decision.state)), decision.state),
        allowed=agent.guards.allowed([each.where for each in decision.refusals]),
        baseline=agent.spec.actions.index(agent.spec.baseline(decision.state)),
        epsilon=decision.epsilon,
        uniforms=uniforms(draw_key(decision.seed, decision.agent, decision.stream), decision.draw),
        arm=decision.arm if decision.arm_probability == 1.0 else None,
        priors=decision.priors[1:],
        may_explore=decision.may_explore,
        learned=arm,
        assigned=assigned,
    )


def _assignment(decision: Decision) -> tuple[Arm, float]:
    """Return which learned arm the subject fell to, and how probable that was."""
    share = decision.challenger_share
    if decision.release and to_challenger(decision.release, decision.subject, share):
        return "challenger", share
    return "champion", 1.0 - share


def _as_learned(agent: Runtime, decision: Decision, left_out: frozenset[str]) -> Served:
    """Return the working table of then, without what some versions did."""
    then = Runtime(agent.spec, agent.settings, agent.world, agent.guard_list)
    then.fold = refold(then, decision.table_position, left_out=left_out)
    return then.learning()


def note_settings(agent: Runtime) -> None:
    """Keep the settings in the audit trail, once for each hash, so that decisions made under them can be replayed."""
    if _settings_of(agent, agent.settings_hash) is not None:
        return
    event = AuditEvent(
        at=agent.world.clock(),
        actor="steersman",
        event=_SETTINGS,
        subject=f"{agent.spec.name} {agent.settings_hash}",
        detail=msgspec.json.encode(agent.settings.plain()).decode(),
    )
    with contextlib.suppress(StoreError):  # a store that is only read takes no notes
        agent.log.append((event,))


def _settings_of(agent: Runtime, settings_hash: str) -> Settings | None:
    subject = f"{agent.spec.name} {settings_hash}"
    for event in agent.log.audit(_AUDIT_EVENTS):
        if event.event == _SETTINGS and event.subject == subject:
            return Settings().with_values(msgspec.json.decode(event.detail), "audit trail")
    return None

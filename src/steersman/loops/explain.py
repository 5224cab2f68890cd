"""Explain and replay: what was known when a decision was made, and whether the same code still makes it."""

import contextlib
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np

from steersman.core.errors import StoreError
from steersman.core.settings import Settings
from steersman.core.values import AuditEvent, Decision, Outcome
from steersman.loops.learn import refold
from steersman.loops.runtime import Runtime
from steersman.maths.randomness import key_for, uniforms
from steersman.policies.encoding import describe
from steersman.stages.decide.choose import Situation

_SETTINGS = "settings in force"
_AUDIT_EVENTS = 10_000


@dataclass(frozen=True, kw_only=True)
class Explanation:
    """A decision in plain values: the situation in words, each choice's value, what was refused and why."""

    decision: Decision
    situation: dict[str, str]
    values: dict[str, dict[str, float]]
    best: dict[str, Any] | None
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
        outcomes=agent.log.outcomes(decision.id),
    )


def replay(agent: Runtime, decision: Decision) -> Replay:
    """Make the decision again from the log alone, and compare action, propensity, values and refusals to the bit."""
    differences: list[str] = []
    if decision.settings_hash != agent.settings_hash:
        old = _settings_of(agent, decision.settings_hash)
        if old is not None:
            return replay(Runtime(agent.spec, old, agent.world), decision)
        differences.append(f"settings: made under {decision.settings_hash}, which this store does not know")
    if decision.arm == "safe":
        if decision.executed != agent.safe_action:
            differences.append(f"safe action: {decision.executed} then, {agent.safe_action} now")
        return Replay(
            decision_id=decision.id,
            identical=not differences,
            differences=differences,
            learned_from=decision.table_position,
        )
    refusals = agent.guards.narrow(decision.state).refusals
    if refusals != decision.refusals:
        differences.append(f"refusals: {len(decision.refusals)} then, {len(refusals)} now")
    fold = refold(agent, decision.table_position)
    key = agent.encoder.key(agent.encoder.bins(decision.state))
    now = Situation(
        row=fold.table.rows.get(key),
        allowed=agent.guards.allowed([each.where for each in decision.refusals]),
        baseline=agent.spec.actions.index(agent.spec.baseline(decision.state)),
        epsilon=decision.epsilon,
        uniforms=uniforms(key_for(decision.seed, decision.agent), decision.draw),
        arm=decision.arm if decision.arm_probability == 1.0 else None,
    )
    again = agent.chooser.choose(fold.table, now)
    action = None if again.action is None else agent.spec.actions.actions[again.action]
    for name, then, value in (
        ("action", decision.proposed, action),
        ("propensity", decision.propensity, again.propensity),
        ("arm", decision.arm, again.arm),
        ("arm probability", decision.arm_probability, again.arm_probability),
        ("values", decision.values, again.values),
        ("confidence", decision.confidence, again.confidence),
    ):
        if then != value:
            differences.append(f"{name}: {then} then, {value} now")
    return Replay(
        decision_id=decision.id,
        identical=not differences,
        differences=differences,
        learned_from=decision.table_position,
    )


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

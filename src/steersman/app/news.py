"""News: what Steersman tells a stream of itself, as events whose ids are the same whenever the same is told."""

import msgspec

from steersman.core.events import DriftFound, Event, KillSwitched, PolicyPromoted, PolicyRolledBack, made
from steersman.core.values import AuditEvent, Decision, Outcome
from steersman.core.versions import Deployment
from steersman.loops import answers
from steersman.stages.monitor.signals import Signal

KILLS = {"kill switch on": True, "kill switch off": False}
"""What the audit trail calls it."""
MOVES: dict[str, tuple[str, type[PolicyPromoted] | type[PolicyRolledBack]]] = {
    "begun": ("policy.promoted", PolicyPromoted),
    "promoted": ("policy.promoted", PolicyPromoted),
    "rolled back": ("policy.rolled_back", PolicyRolledBack),
}


def of_decision(decision: Decision) -> Event:
    """Return the news of a decision."""
    return _event("decision.made", answers.made(decision), f"{decision.id}:made", decision.decided_at, decision.subject)


def of_outcome(subject: str, outcome: Outcome) -> Event:
    """Return the news of an outcome of a decision about a subject."""
    name = f"{outcome.decision_id}:outcome:{outcome.revision}"
    return _event("outcome.recorded", answers.recorded(outcome), name, outcome.reported_at, subject)


def of_kill(event: AuditEvent) -> Event:
    """Return the news of a kill switch, from the audit trail."""
    active = KILLS[event.event]
    told = KillSwitched(scope=event.subject, active=active, actor=event.actor, reason=event.detail)
    return _event("kill.switched", told, f"kill:{event.subject}:{event.at:.6f}:{active:d}", event.at, event.subject)


def of_move(move: Deployment) -> Event:
    """Return the news of a promotion or a rollback."""
    name, payload = MOVES[move.move]
    told = payload(
        agent=move.agent,
        version=move.champion,
        previous=move.previous,
        number=move.number,
        actor=move.actor,
        reason=move.reason,
    )
    return _event(name, told, f"move:{move.agent}:{move.number}", move.at, move.agent)


def of_signal(signal: Signal, now: float) -> Event:
    """Return the news of a signal that was seen (unix seconds) and did not hold before."""
    told = DriftFound(
        agent=signal.agent,
        signal=signal.kind,
        feature=signal.subject,
        figure=signal.figure,
        threshold=signal.threshold,
        sentence=signal.sentence,
        what_to_do=signal.what_to_do,
    )
    since = now if signal.since is None else signal.since
    name = f"signal:{signal.agent}:{signal.kind}:{signal.subject}:{signal.level}:{since:.3f}"
    return _event("drift.found", told, name, since, signal.agent)


def _event(name: str, payload: msgspec.Struct, id: str, at: float, subject: str) -> Event:
    return made(name, payload, id=id, at=at, source=answers.SOURCE, subject=subject)

"""Answers: what is told on a bus of a decision or an outcome, always the same for the same event."""

from collections.abc import Mapping
from typing import Any

import msgspec

from steersman.core.events import DecisionMade, Event, OutcomeRecorded, answer_id
from steersman.core.routes import Route, values
from steersman.core.values import Decision, Outcome

SOURCE = "steersman"


def answer(route: Route, event: Event, decision: Decision, outcome: Outcome | None) -> Event:
    """Return the event that answers another one: that a decision was made, or, with an outcome, that it was recorded.

    Raises InvalidInput where the route names something that is not there.
    """
    data: dict[str, Any]
    if route.out:
        beside = {"decision": msgspec.to_builtins(decision), "outcome": msgspec.to_builtins(outcome)}
        data = values(route.out, event, beside)
    else:
        data = msgspec.to_builtins(made(decision, event.id) if outcome is None else recorded(outcome, event.id))
    return _emitted(route, event, decision.decided_at if outcome is None else outcome.reported_at, data)


def noted(route: Route, event: Event, data: Mapping[str, Any]) -> Event:
    """Return the event that a plug answers mere news with."""
    return _emitted(route, event, event.at, dict(data))


def _emitted(route: Route, event: Event, at: float, data: dict[str, Any]) -> Event:
    name, _, version = route.emit.partition("@")
    return Event(
        id=answer_id(route.key(event.id), name),
        type=name,
        version=int(version or 1),
        at=at,
        source=SOURCE,
        subject=event.subject,
        data=data,
    )


def made(decision: Decision, cause: str = "") -> DecisionMade:
    """Return what is told of a decision."""
    return DecisionMade(
        decision_id=decision.id,
        agent=decision.agent,
        episode=decision.episode,
        action=decision.executed,
        arm=decision.arm,
        confidence=decision.confidence,
        reason=decision.reason,
        policy=decision.policy,
        mode=decision.mode,
        shadow=decision.shadow,
        cause=cause,
    )


def recorded(outcome: Outcome, cause: str = "") -> OutcomeRecorded:
    """Return what is told of an outcome."""
    return OutcomeRecorded(
        decision_id=outcome.decision_id,
        agent=outcome.agent,
        revision=outcome.revision,
        kind=outcome.kind,
        reward=outcome.reward,
        components=outcome.components,
        terminated=outcome.terminated,
        cause=cause,
    )

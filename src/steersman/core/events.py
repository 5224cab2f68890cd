"""Events on a bus: the envelope, the payloads that Steersman itself sends, and the register of all payloads.

On the wire an event is JSON. NaN and infinity are refused in both directions.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from steersman.core.actions import Choice
from steersman.core.catalog import load
from steersman.core.errors import InvalidInput, NotFound, nearest
from steersman.core.state import check_text
from steersman.core.values import Arm, OutcomeKind

Name = Annotated[str, Meta(min_length=1, max_length=300)]


class Event(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Something that happened.

    id: names it for good, so that the same event twice is seen to be the same. type, version: which payload `data` is,
    such as "signal.generated", 1. at: when (unix seconds). source: who says it. subject: what it is about, such as a
    symbol; events of one subject keep their order.
    """

    id: Name
    type: Name
    at: float
    data: dict[str, Any]
    version: Annotated[int, Meta(ge=1)] = 1
    source: str = ""
    subject: Annotated[str, Meta(max_length=300)] = ""

    @property
    def kind(self) -> str:
        """Its type and version as one name, such as "signal.generated@1"."""
        return f"{self.type}@{self.version}"


class DecisionMade(msgspec.Struct, frozen=True, kw_only=True):
    """An agent decided. cause: the event that asked for it; "" if none did. action: what is to be carried out."""

    decision_id: str
    agent: str
    episode: str
    action: dict[str, Choice]
    arm: Arm
    confidence: float
    reason: str
    policy: str
    mode: Literal["off", "shadow", "advisory", "live"] = "live"
    shadow: dict[str, Choice] | None = None
    cause: str = ""


class OutcomeRecorded(msgspec.Struct, frozen=True, kw_only=True):
    """What came of a decision is in the log, as one revision. cause: the event that told it; "" if none did."""

    decision_id: str
    agent: str
    revision: int
    kind: OutcomeKind
    reward: float | None
    components: dict[str, float]
    terminated: bool
    cause: str = ""


class PolicyPromoted(msgspec.Struct, frozen=True, kw_only=True):
    """Another version decides for everybody. number: of the move. previous: what decided before."""

    agent: str
    version: str
    previous: str
    number: int
    actor: str
    reason: str


class PolicyRolledBack(msgspec.Struct, frozen=True, kw_only=True):
    """A version was taken back. version: what decides now. previous: what was taken back. number: of the move."""

    agent: str
    version: str
    previous: str
    number: int
    actor: str
    reason: str


class DriftFound(msgspec.Struct, frozen=True, kw_only=True):
    """Monitoring has something to tell of an agent. feature: the field, action or metric. figure, threshold: as measured."""

    agent: str
    signal: str
    feature: str
    figure: float
    threshold: float
    sentence: str
    what_to_do: str


class KillSwitched(msgspec.Struct, frozen=True, kw_only=True):
    """Learned actions of a scope were stopped (`active`), or let go on."""

    scope: str
    active: bool
    actor: str
    reason: str


Payload = str | type[msgspec.Struct]
OWN: Mapping[str, Payload] = {
    "decision.made@1": DecisionMade,
    "outcome.recorded@1": OutcomeRecorded,
    "policy.promoted@1": PolicyPromoted,
    "policy.rolled_back@1": PolicyRolledBack,
    "drift.found@1": DriftFound,
    "kill.switched@1": KillSwitched,
}


def made(
    type: str,
    payload: msgspec.Struct,
    *,
    id: str,
    at: float,
    version: int = 1,
    source: str = "",
    subject: str = "",
) -> Event:
    """Return an event with a payload as its data."""
    data: dict[str, Any] = msgspec.to_builtins(payload)
    return Event(id=id, type=type, at=at, data=data, version=version, source=source, subject=subject)


def answer_id(event_id: str, type: str) -> str:
    """Return the id of the event of a type that answers another one: always the same, however often it is sent."""
    return f"{event_id}:{type}"


def encode(event: Event) -> bytes:
    """Return an event as JSON. Raises InvalidInput for one that would not read back the same: NaN, or a wrong type."""
    try:
        body = msgspec.json.encode(event)
        same = decode(body) == event
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise InvalidInput(f"event {event.id!r} cannot be sent: {error}. Use plain, finite numbers and text.") from error
    if not same:
        raise InvalidInput(f"event {event.id!r} holds NaN or infinity, or would not read back the same: {event.data}.")
    return body


def decode(body: bytes | str) -> Event:
    """Return the event that a message holds. Raises InvalidInput where it is none, saying what is wrong with it."""
    try:
        event = msgspec.json.decode(body, type=Event)
    except (ValueError, RecursionError) as error:
        raise InvalidInput(
            f"not an event: {error}. Send JSON with id, type, at and data, and perhaps version, source and subject."
        ) from error
    for name in ("id", "type", "source", "subject"):
        check_text(name, getattr(event, name))
    return event


class EventTypes:
    """The payloads that are known, by kind ("type@version"): Steersman's own, and those that packs name."""

    def __init__(self, others: Mapping[str, Payload] | None = None) -> None:
        """others: structs, or where each is loaded from ("module:attribute") when the first event of its kind comes."""
        self._kinds = {**OWN, **(others or {})}

    @property
    def names(self) -> list[str]:
        """The kinds, sorted."""
        return sorted(self._kinds)

    def payload(self, event: Event) -> Any:
        """Return an event's payload as its struct. Raises InvalidInput for an unknown kind, or data that does not fit."""
        found = self._struct(event.kind)
        try:
            return msgspec.convert(event.data, type=found)
        except (msgspec.ValidationError, OverflowError) as error:
            raise InvalidInput(f"event {event.id!r}: the data is no {event.kind}: {error}.") from error

    def _struct(self, kind: str) -> type[msgspec.Struct]:
        """Return the struct of a kind, loaded at its first use."""
        if kind not in self._kinds:
            raise InvalidInput(
                f"no event {kind!r} is known.{nearest(kind, self._kinds)} A pack names its own in Pack.events."
            )
        target = self._kinds[kind]
        found = load(target) if isinstance(target, str) else target
        if not (isinstance(found, type) and issubclass(found, msgspec.Struct)):
            raise NotFound(f"{kind}: {target} is no msgspec.Struct. Mend Pack.events.")
        self._kinds[kind] = found
        return found

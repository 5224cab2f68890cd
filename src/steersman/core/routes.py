"""Routes: what an event on a bus means to an agent: a question to decide on, the outcome of a decision, or mere news.

Values are written as paths into the event's data (`signal.confidence`, `bids.0.price`); as `@` and what stands beside the
data (`@subject`, `@at`, `@id`, `@source`, `@type`, and in what goes out `@decision.…` and `@outcome.…`); as `=text` for text
that is meant as it stands; or as a number, true or false.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, Protocol

import msgspec

from steersman.core.agent import AgentSpec
from steersman.core.errors import InvalidInput, nearest
from steersman.core.events import Event
from steersman.core.values import Decision, Outcome

Said = str | int | float | bool
Do = Literal["decide", "report", "note"]
_ENVELOPE = ("id", "type", "at", "source", "subject")


class Prepare(Protocol):
    """A plug of a pack that computes states, or measurements, where paths into one event do not suffice.

    It is made without arguments, once for each consumer, whatever number of routes name it, and may remember what it saw.
    """

    def __call__(self, event: Event, agent: str) -> Mapping[str, Any]:
        """Return state fields, or measurements, for an agent; for mere news (agent "") the data to emit, {} for nothing.

        The same event may come again: then it has to say the same, and remember it once. Raises InvalidInput for an event
        that cannot be used; that goes to the dead letters with the reason.
        """

    def restore(self, rows: Iterable[Decision | Outcome]) -> None:
        """Remember what the log holds of the agents of its routes, in log order; called once, before the first event."""


class Route(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to do about the events of one type.

    on, version: of the event. do: "decide", "report", or "note" (tell `prepare`, and emit what it answers). name: tells the
    routes of a type apart; by default what is done and by whom.
    prepare: "module:attribute" of a `Prepare`. state, measurements: by field; they stand above what `prepare` says.
    subject, episode: of the decision. decision: its id, or decision_of: the id of the event that it was made on.
    terminated: whether the episode is over. executed: what was really done, a choice, or choices by dimension.
    emit: the type of the event that goes out ("size.chosen", "size.chosen@2"), "" for none; out: its data, by default those
    of `DecisionMade` or `OutcomeRecorded`.
    """

    on: str
    do: Do
    agent: str = ""
    version: int = 1
    name: str = ""
    prepare: str = ""
    state: dict[str, Said] = {}
    measurements: dict[str, Said] = {}
    subject: Said = "@subject"
    episode: Said | None = None
    decision: str = ""
    decision_of: str = ""
    terminated: Said | None = None
    executed: Said | dict[str, Said] | None = None
    emit: str = ""
    out: dict[str, Said] = {}

    def __post_init__(self) -> None:
        needed: dict[str, object] = {}
        if self.do == "note":
            needed = {"prepare": self.prepare}
        elif self.do == "decide":
            needed = {"agent": self.agent, "state or prepare": self.state or self.prepare}
        elif self.do == "report":
            needed = {
                "agent": self.agent,
                "measurements or prepare": self.measurements or self.prepare,
                "either decision or decision_of": bool(self.decision) != bool(self.decision_of),
            }
        if self.emit and not (self.emit.partition("@")[2] or "1").isdecimal():
            raise InvalidInput(f"route on {self.on!r}: emit {self.emit!r} is a type, or a type and its version: type@2.")
        missing = [name for name, value in needed.items() if not value]
        if missing:
            raise InvalidInput(f"route on {self.on!r}: to {self.do}, it has to name {', '.join(missing)}.")

    @property
    def kind(self) -> str:
        """Type and version of its events, as one name."""
        return f"{self.on}@{self.version}"

    @property
    def label(self) -> str:
        """What tells it from other routes of the kind."""
        return self.name or f"{self.do} {self.agent}".rstrip()

    def key(self, event_id: str) -> str:
        """Return under which name the log remembers that this route took an event."""
        return f"{event_id}:{self.label}"

    def check(self, spec: AgentSpec) -> None:
        """Raise InvalidInput where it names what the agent does not know, or leaves out what the agent needs."""
        if self.do == "decide":
            known, said = [each.name for each in spec.state.fields], self.state
            due = known
        else:
            known, said = [each.name for each in spec.reward.measurements], self.measurements
            due = [each.name for each in spec.reward.measurements if not each.optional]
        for name in said:
            if name not in known:
                raise InvalidInput(f"route on {self.on!r}: {self.agent} knows no {name!r}.{nearest(name, known)}")
        missing = [] if self.prepare else [name for name in due if name not in said]
        if missing:
            raise InvalidInput(f"route on {self.on!r}: {self.agent} needs {', '.join(missing)} as well.")


def read(tables: object, where: str) -> tuple[Route, ...]:
    """Return the routes of a settings file's [[bus.routes]]. Raises InvalidInput, saying which is wrong, and how."""
    if not isinstance(tables, list):
        raise InvalidInput(f"{where}: [[bus.routes]] is a list of tables, got {tables!r}.")
    known = Route.__struct_fields__
    found = []
    for number, table in enumerate(tables, start=1):
        unknown = next((name for name in table if name not in known), None) if isinstance(table, dict) else None
        if unknown is not None:
            raise InvalidInput(f"{where}: route {number}: unknown key {unknown!r}.{nearest(unknown, known)}")
        try:
            found.append(msgspec.convert(table, Route))
        except msgspec.ValidationError as error:
            raise InvalidInput(f"{where}: route {number}: {error}.") from error
    return tuple(found)


def by_kind(routes: Sequence[Route]) -> dict[str, list[Route]]:
    """Return routes by the kind of their events. Raises InvalidInput where two of a kind cannot be told apart."""
    found: dict[str, list[Route]] = {}
    for each in routes:
        others = found.setdefault(each.kind, [])
        if any(each.label == other.label for other in others):
            raise InvalidInput(f"two routes on {each.kind!r} are called {each.label!r}. Give one of them another name.")
        others.append(each)
    return found


def value(said: Said, event: Event, beside: Mapping[str, Any] | None = None) -> Any:
    """Return what a route says of an event. Raises InvalidInput, naming the nearest, where the event has no such thing.

    beside: what can be named with `@`, beyond the envelope.
    """
    if not isinstance(said, str):
        return said
    if said.startswith("="):
        return said[1:]
    if said.startswith("@"):
        return _follow(said[1:], {**{name: getattr(event, name) for name in _ENVELOPE}, **(beside or {})}, event, said)
    return _follow(said, event.data, event, said)


def values(said: Mapping[str, Said], event: Event, beside: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Return what a route says of an event, by name. Raises as `value`."""
    return {name: value(each, event, beside) for name, each in said.items()}


def text(said: Said, event: Event) -> str:
    """Return what a route says of an event as the name of something. Raises as `value`, and for what is no text."""
    found = value(said, event)
    if not isinstance(found, str) or not found:
        raise InvalidInput(f"event {event.id!r}: {said!r} is to name something, got {found!r}.")
    return found


def _follow(path: str, data: object, event: Event, said: str) -> Any:
    for step in path.split("."):
        if isinstance(data, Mapping):
            if step not in data:
                raise InvalidInput(f"event {event.id!r} ({event.kind}) has no {said!r}.{nearest(step, map(str, data))}")
            data = data[step]
        elif isinstance(data, list) and step.isdecimal() and int(step) < len(data):
            data = data[int(step)]
        else:
            raise InvalidInput(f"event {event.id!r} ({event.kind}) has no {said!r}: {step!r} leads nowhere.")
    return data

"""Intake: what the entries of a bus mean, and what is done about each: decide, report, or only take note."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

import msgspec
from msgspec.structs import replace

from steersman.core.errors import Conflict, DeadlineExceeded, InvalidInput, NotFound, SteersmanError, StoreError
from steersman.core.events import Event, EventTypes, decode
from steersman.core.ports import Delivery, Log, Receipt
from steersman.core.routes import Prepare, Route, text, value, values
from steersman.core.values import Taken
from steersman.loops.agent import Agent

Fault = Literal["unreadable", "unknown", "misfit", "refused", "unmatched", "failed", "unanswered"]
"""Why an event is a dead letter: no event; of an unknown kind; data that is not of its kind; refused by the agent or the
log; an outcome whose decision did not come; a fault in a plug; an answer that cannot be sent."""
Result = Literal["done", "again", "ignored", "later", "dead"]
"""What became of an event: done; done before and answered again; no route is for it; not yet; put among the dead letters."""


class Host(Protocol):
    """Whose agents they are."""

    @property
    def log(self) -> Log:
        """The log."""

    def agent(self, agent: str) -> Agent:
        """Return an agent by name."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What a consumer does.

    routes: by the kind of their events. plugs: the instances behind `Route.prepare`. types: the payloads that are known.
    streams: where decisions may have been asked for. out: into which stream answers go. batch: deliveries that are worked
    off together. attempts: deliveries after which an outcome without its decision is given up.
    """

    routes: Mapping[str, Sequence[Route]]
    types: EventTypes
    streams: Sequence[str]
    out: str = ""
    plugs: Mapping[str, Prepare] = field(default_factory=dict)
    batch: int = 200
    attempts: int = 10

    def asked_by(self, agent: str) -> list[Route]:
        """Return the routes by which an agent is asked to decide."""
        return [each for routes in self.routes.values() for each in routes if each.do == "decide" and each.agent == agent]


class _Later(Exception):
    """What is needed for an event is not there yet."""


@dataclass(kw_only=True, slots=True)
class Part:
    """What one route makes of one event.

    receipt: of a report. noted: what a plug said of mere news. before: it was done at an earlier delivery. known: what the
    log has of it. later: why it has to wait.
    """

    route: Route
    event: Event
    delivery: Delivery
    receipt: Receipt | None = None
    noted: Mapping[str, Any] = field(default_factory=dict)
    before: bool = False
    known: Taken | None = None
    later: str = ""
    fault: Fault | None = None
    reason: str = ""

    @property
    def key(self) -> str:
        """Under which name the log remembers it."""
        return self.route.key(self.event.id)

    @property
    def stream(self) -> str:
        """Where its event came from."""
        return self.delivery.stream

    def refuse(self, fault: Fault, error: BaseException) -> None:
        """Say that it cannot be done, and why."""
        self.fault, self.reason = fault, f"{self.route.label}: {error}"


@dataclass(kw_only=True, slots=True)
class Work:
    """A delivery, and what becomes of it."""

    delivery: Delivery
    event: Event | None = None
    parts: list[Part] = field(default_factory=list)
    fault: Fault | None = None
    reason: str = ""

    def refuse(self, fault: Fault, reason: str) -> None:
        """Say that nobody can work it off, and why."""
        self.fault, self.reason = fault, reason

    @property
    def result(self) -> Result:
        """What became of it."""
        if self.fault is not None:
            return "dead"
        if any(each.later for each in self.parts):
            return "later"
        if not self.parts:
            return "ignored"
        return "again" if all(each.before for each in self.parts) else "done"


class Intake:
    """Does what the routes of a plan say, with the agents of a host."""

    def __init__(self, host: Host, plan: Plan) -> None:
        self._host = host
        self._plan = plan

    def work_off(self, deliveries: Sequence[Delivery]) -> list[Work]:
        """Do what routes say, in order; what came too early for something in the same batch is tried once more."""
        acted: set[tuple[str, str]] = set()
        works = [self._read(each) for each in deliveries]
        parts = [part for work in works for part in work.parts]
        for part in parts:
            self._do(part, acted)
        for part in parts:
            if part.later:
                self._do(part, acted)
        return works

    def _read(self, delivery: Delivery) -> Work:
        work = Work(delivery=delivery)
        try:
            event = work.event = decode(delivery.body)
        except InvalidInput as error:
            work.refuse("unreadable", str(error))
            return work
        routes = self._plan.routes.get(event.kind, ())
        if event.kind in self._plan.types.names:
            try:
                payload = self._plan.types.payload(event)
                event = replace(event, data=msgspec.to_builtins(payload))  # with what was left out of it
            except InvalidInput as error:
                work.refuse("misfit", str(error))
                return work
        elif not routes:
            work.refuse("unknown", f"no event {event.kind!r} is known here, and no route is for it.")
        work.parts = [Part(route=each, event=event, delivery=delivery) for each in routes]
        return work

    def _do(self, part: Part, acted: set[tuple[str, str]]) -> None:
        """Decide, report or note, unless that was done already. What fails is the event's own fault, unless the store's."""
        place = (part.stream, part.key)
        part.later = ""
        try:
            part.before = self._host.log.taken(*place) is not None
            if not part.before and place not in acted:
                self._act(part)
                acted.add(place)
        except (StoreError, DeadlineExceeded):
            raise
        except _Later as error:
            part.later = str(error)
        except SteersmanError as error:
            part.refuse("refused", error)
        except Exception as error:  # noqa: BLE001 - one event that breaks a plug must not stop the others
            part.refuse("failed", RuntimeError(f"{type(error).__name__}: {error}"))

    def _act(self, part: Part) -> None:
        route, event = part.route, part.event
        prepared = self._plan.plugs[route.prepare](event, route.agent) if route.prepare else {}
        taken = Taken(stream=part.stream, event=part.key, position=part.delivery.position)
        if route.do == "decide":
            self._decide(route, event, prepared, taken)
        elif route.do == "report":
            part.receipt = self._report(route, event, prepared, taken)
        else:
            part.noted = prepared

    def _decide(self, route: Route, event: Event, prepared: Mapping[str, Any], taken: Taken) -> None:
        agent, episode = self._host.agent(route.agent), None if route.episode is None else text(route.episode, event)
        try:
            agent.decide(
                {**prepared, **values(route.state, event)},
                subject=value(route.subject, event) or None,
                episode=episode,
                observed_at=event.at,
                taken=taken,
            )
        except Conflict as error:
            if episode is None or agent.settings.episodes.max_steps > 1:
                raise
            name = route.episode
            raise Conflict(f"{name} {episode!r} was decided on before, and each is once. Use another {name}.") from error

    def _report(self, route: Route, event: Event, prepared: Mapping[str, Any], taken: Taken) -> Receipt:
        done, name = route.executed, self._decision_id(route, event)
        try:
            return self._host.agent(route.agent).report(
                name,
                {**prepared, **values(route.measurements, event)},
                terminated=None if route.terminated is None else value(route.terminated, event),
                executed=None if done is None else values(done, event) if isinstance(done, dict) else value(done, event),
                source=event.source,
                taken=taken,
            )
        except NotFound as error:
            raise _Later(str(error)) from error

    def _decision_id(self, route: Route, event: Event) -> str:
        """Return the decision that an event tells the outcome of, by its id or by the event that asked for it."""
        if route.decision:
            return text(route.decision, event)
        asked = text(route.decision_of, event)
        for stream in self._plan.streams:
            for each in self._plan.asked_by(route.agent):
                found = self._host.log.taken(stream, each.key(asked))
                if found is not None:
                    return found.decision_id
        raise _Later(f"{route.agent} has decided nothing on event {asked!r} yet.")

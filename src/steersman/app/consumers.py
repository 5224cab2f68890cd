"""Consumers: from settings and packs to a consumer on a bus, and what its dead letters say."""

import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

from steersman.app.buses import check_set_up, missing, open_bus
from steersman.app.steersman import Steersman
from steersman.core.catalog import Catalog, load
from steersman.core.errors import InvalidInput, NotFound, SteersmanError, StoreError, nearest
from steersman.core.events import EventTypes, decode
from steersman.core.ports import Bus, Delivery
from steersman.core.routes import Route, by_kind
from steersman.core.sections import Bus as Settings
from steersman.core.settings import SettingsFile
from steersman.core.streams import dead_letters
from steersman.loops.consume import Consumer
from steersman.loops.intake import Plan

_PUT_ASIDE_S = 600.0
_CHUNK = 200


@dataclass(frozen=True, kw_only=True)
class Letter:
    """An entry that nobody could work off. fault: in a word; reason: in a sentence. body: as far as it is text.

    at: of its event, in unix seconds; None where it is no event.
    """

    stream: str
    at: float | None
    id: str
    type: str
    subject: str
    fault: str
    reason: str
    body: str


@dataclass(frozen=True, kw_only=True)
class Status:
    """How a bus stands. waiting, dead: entries by stream. faults: of the dead letters that were looked at.

    missing: the streams that are not there, as far as that can be told.
    """

    url: str
    group: str
    waiting: dict[str, int]
    dead: dict[str, int]
    faults: dict[str, int] = field(default_factory=dict)
    letters: list[Letter] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)


def bus_settings(file: SettingsFile, given: Mapping[str, Any]) -> Settings:
    """Return the settings of the bus, those that were given above the others. Raises InvalidInput where any is missing."""
    bus = file.settings("", {}, {"bus": {name: value for name, value in given.items() if value}}).bus
    for name, value, example in (("url", bus.url, "redis://localhost:6379/0"), ("streams", bus.streams, "signals")):
        if not value:
            raise InvalidInput(f"bus.{name} is not set. Say it in [bus] of steersman.toml, or with --{name} {example}.")
    return bus


def streams_of(bus: Settings) -> list[str]:
    """Return the streams that are taken from."""
    return [each.strip() for each in bus.streams.split(",") if each.strip()]


def routes_of(catalog: Catalog, packs: Sequence[str], own: Sequence[Route]) -> tuple[Route, ...]:
    """Return the routes of packs, and one's own. Raises NotFound, InvalidInput where there are none, or one does not fit."""
    found = [*own]
    for name in packs:
        if name not in catalog.packs:
            raise NotFound(f"no pack {name!r}.{nearest(name, catalog.packs)}")
        found += [load(target) for target in catalog.packs[name].routes.values()]
    if not found:
        raise InvalidInput(
            "nothing says what events mean. Name a pack with --pack, or write [[bus.routes]] in steersman.toml."
        )
    for each in found:
        if each.agent:
            each.check(catalog.agent(each.agent))
    return tuple(found)


def open_consumer(
    steersman: Steersman, settings: Settings, packs: Sequence[str], *, say: Callable[[str], None]
) -> tuple[Consumer, Bus]:
    """Return a consumer that is ready to run, and its bus, to be closed after it.

    Raises InvalidInput or NotFound, and StoreError for a bus that answers, and will not do however long one waits.
    """
    routes = routes_of(steersman.catalog, packs, steersman.settings_file.routes)
    emitting = next((each for each in routes if each.emit), None)
    if emitting is not None and not settings.out:
        raise InvalidInput(f"bus.out is not set, and the route on {emitting.on!r} emits {emitting.emit!r}: --out STREAM.")
    streams = streams_of(settings)
    if settings.out in streams:
        raise InvalidInput(f"it would take its own answers: {settings.out!r} is taken from, too. Name another --out STREAM.")
    plan = Plan(
        routes=by_kind(routes),
        types=EventTypes(steersman.catalog.events()),
        streams=streams,
        out=settings.out,
        plugs={name: load(name)() for name in sorted({each.prepare for each in routes} - {""})},
        batch=settings.batch,
        attempts=settings.attempts,
    )
    bus = open_bus(settings.url, streams, group=settings.group, idle_s=settings.idle_s)
    try:
        check_set_up(bus)
        consumer = Consumer(bus, steersman, plan, say=say)
        consumer.restore()
    except BaseException:
        bus.close()
        raise
    steersman.consumed = consumer.tally
    return consumer, bus


def status(settings: Settings, limit: int) -> Status:
    """Return how many entries wait, and what is wrong with the dead letters, up to a number. Raises StoreError."""
    names = streams_of(settings)
    letters, absent = dead(settings, limit), missing(settings.url, names)
    return Status(
        url=_shown(settings.url),
        group=settings.group,
        waiting={name: _waiting(settings, name) for name in names},
        dead={name: _waiting(settings, dead_letters(name)) for name in names},
        faults=dict(Counter(each.fault for each in letters).most_common()),
        letters=letters,
        missing=absent,
    )


def dead(settings: Settings, limit: int) -> list[Letter]:
    """Return dead letters of the streams, by the time of their events; what is no event comes last. Raises StoreError.

    limit: of each stream. They stay where they are.
    """
    found: list[Letter] = []
    for stream in streams_of(settings):
        with closing(_put_aside(settings, stream)) as bus:
            found += [_letter(stream, each) for each in _taken(bus, limit)]
    return sorted(found, key=lambda each: math.inf if each.at is None else each.at)


def retry(settings: Settings, limit: int) -> int:
    """Put dead letters back into their streams, as new entries, and return how many. Raises StoreError."""
    count = 0
    for stream in streams_of(settings):
        with closing(_put_aside(settings, stream)) as bus:
            for each in _taken(bus, limit - count):
                bus.publish(stream, [(each.key, each.body)])
                bus.done([each])
                count += 1
    return count


def _taken(bus: Bus, limit: int) -> Iterator[Delivery]:
    while limit > 0 and (found := bus.take(min(limit, _CHUNK), 1.0)):
        yield from found
        limit -= len(found)
    if why := bus.health():
        raise StoreError(f"the bus cannot be reached: {why.rstrip('.')}. Start it, or name another one with --url.")


def _put_aside(settings: Settings, stream: str) -> Bus:
    return open_bus(settings.url, [dead_letters(stream)], group=settings.group, idle_s=_PUT_ASIDE_S)


def _waiting(settings: Settings, stream: str) -> int:
    with closing(open_bus(settings.url, [stream], group=settings.group)) as bus:
        return bus.waiting()


def _letter(stream: str, delivery: Delivery) -> Letter:
    fault, _, reason = delivery.reason.partition(": ")
    try:
        event = decode(delivery.body)
        about = (event.id, event.type, event.subject)
        at: float | None = event.at
    except SteersmanError:
        about, at = ("", "", ""), None
    return Letter(
        stream=stream,
        at=at,
        id=about[0],
        type=about[1],
        subject=about[2],
        fault=fault,
        reason=reason,
        body=delivery.body.decode(errors="backslashreplace"),
    )


def _shown(url: str) -> str:
    """Return a URL without user and password."""
    scheme, _, rest = url.partition("://")
    return f"{scheme}://{rest.rpartition('@')[2]}" if rest else url

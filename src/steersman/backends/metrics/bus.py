"""What is told of an event bus: what its consumer did with events, and what Steersman itself announced."""

from collections.abc import Iterator, Mapping
from typing import Any, Protocol

from steersman.backends.metrics.instruments import Instruments

_Series = tuple[str, tuple[tuple[str, str], ...]]


class Consumed(Protocol):
    """What a consumer did since it began."""

    events: Any
    dead: Any
    redelivered: int
    working: bool
    waiting: int | None


class Announced(Protocol):
    """How many news were told, and how many dropped."""

    sent: int
    dropped: int


class BusMeter:
    """Moves what was counted elsewhere into the instruments: counters go up by what is new."""

    def __init__(self, instruments: Instruments) -> None:
        self._instruments = instruments
        self._told: dict[_Series, int] = {}

    def tell(self, consumed: Consumed | None, announced: Announced | None) -> None:
        """Tell what is new; None for what is not at work in this process."""
        for name, labels, count in (*_consumed(consumed), *_announced(announced)):
            series = (name, tuple(labels.items()))
            self._instruments.counter(name, labels).inc(count - self._told.get(series, 0))
            self._told[series] = count
        if consumed is not None:
            self._instruments.gauge("steersman_bus_working", {}).set(consumed.working)
            if consumed.waiting is not None:
                self._instruments.gauge("steersman_bus_waiting", {}).set(consumed.waiting)


def _consumed(tally: Consumed | None) -> Iterator[tuple[str, Mapping[str, str], int]]:
    if tally is None:
        return
    for (kind, result), count in list(tally.events.items()):
        yield "steersman_bus_events_total", {"type": kind, "result": result}, count
    for fault, count in list(tally.dead.items()):
        yield "steersman_bus_dead_letters_total", {"fault": fault}, count
    yield "steersman_bus_redelivered_total", {}, tally.redelivered


def _announced(news: Announced | None) -> Iterator[tuple[str, Mapping[str, str], int]]:
    if news is not None:
        yield "steersman_announced_events_total", {"result": "sent"}, news.sent
        yield "steersman_announced_events_total", {"result": "dropped"}, news.dropped

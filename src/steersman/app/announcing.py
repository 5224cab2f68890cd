"""Announcing: Steersman tells a stream what happens in it: decisions, outcomes, moves of policies, kill switches, signals.

Nobody waits for it. Decisions and outcomes wait in a queue that has an end: what does not fit is dropped, oldest first, and
counted. Moves and kill switches are read from the store, which notes what was told (`Taken`): none is lost, and after a
crash one may be told twice, with the same id.
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import Protocol

from steersman.app import news
from steersman.core.errors import InvalidInput
from steersman.core.events import Event, encode
from steersman.core.ports import Bus, Clock, Log
from steersman.core.sections import Bus as Settings
from steersman.core.streams import check_stream
from steersman.core.values import Decision, Outcome, Taken
from steersman.loops.serving import Production
from steersman.stages.monitor.signals import Signal

_EVERY_S = 0.25
_KEPT_EVERY_S = 1.0
_SIGNALS_EVERY_S = 5.0
_LONGEST_PAUSE_S = 5.0
_AT_ONCE = 500
_WAIT_S = 5.0
_JOIN_S = 10.0
_RECENT = 10_000
_CHUNK = 1_000
_MOST_MOVES = 100
_News = Decision | tuple[str, Outcome]


class Watched(Protocol):
    """An agent at work."""

    def signals(self) -> tuple[Signal, ...]:
        """Return what monitoring has to tell."""


class Host(Protocol):
    """Of whom is told."""

    @property
    def log(self) -> Log:
        """The log."""

    @property
    def production(self) -> Production | None:
        """What is in production."""

    def opened(self) -> Sequence[Watched]:
        """Return the agents at work."""


def open_announcer(bus: Settings, keep_s: float) -> "Announcer | None":
    """Return who tells the stream that settings name; None where they name none. Raises InvalidInput without a bus.

    keep_s: for how long the store knows what was told.
    """
    if not bus.announce:
        return None
    if not bus.url:
        raise InvalidInput("bus.announce names a stream; say in bus.url where the bus is, such as redis://localhost:6379/0.")
    from steersman.app.buses import open_bus

    return Announcer(partial(open_bus, bus.url), check_stream(bus.announce), queue=bus.queue, keep_s=keep_s)


class Announcer:
    """A `Meter` that tells a stream; `begin` starts its thread, and `end` tells what is left.

    sent, dropped: how many events, since it began. trouble: what keeps it from telling, "" if nothing does.
    """

    def __init__(
        self, open_bus: Callable[[], Bus], stream: str, *, queue: int, keep_s: float, clock: Clock = time.time
    ) -> None:
        """open_bus: is called from the thread. keep_s: see `open_announcer`."""
        self._open_bus = open_bus
        self._stream = stream
        self._keep_s = keep_s
        self._clock = clock
        self._queue: deque[_News] = deque(maxlen=queue)
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._thread: threading.Thread | None = None
        self._bus: Bus | None = None
        self._batch: list[Event] = []
        self._kept: dict[str, Event] = {}
        self._moved: dict[str, int] = {}
        self._trail: int | None = None
        self._held: set[tuple[str, ...]] = set()
        self._kept_at = self._signals_at = float("-inf")
        self.sent = 0
        self.dropped = 0
        self.trouble = ""

    def decided(self, decision: Decision) -> None:
        """Queue the news of a decision."""
        self._put(decision)

    def recorded(self, decision: Decision, outcome: Outcome) -> None:
        """Queue the news of an outcome, or of a revision."""
        self._put((decision.subject, outcome))

    def learned(self, decision: Decision, outcome: Outcome) -> None:
        """Nothing is told of it."""

    def _put(self, each: _News) -> None:
        with self._lock:
            self.dropped += len(self._queue) == self._queue.maxlen
            self._queue.append(each)

    def begin(self, host: Host) -> None:
        """Begin to tell, in a thread of its own."""
        self._thread = threading.Thread(target=self._run, args=(host,), daemon=True, name="steersman_announce")
        self._thread.start()

    def end(self) -> None:
        """Tell what is left, if the bus is there, and end."""
        self._closing.set()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(_JOIN_S)

    def _run(self, host: Host) -> None:
        pause_s = _EVERY_S
        while not self._closing.wait(pause_s):
            pause_s = _EVERY_S if self._try(host) else min(2.0 * pause_s, _LONGEST_PAUSE_S)
        self._try(host, last=True)
        if self._bus is not None:
            self._bus.close()

    def _try(self, host: Host, *, last: bool = False) -> bool:
        """Tell what is new; return whether that worked."""
        try:
            self._bus = self._bus or self._open_bus()
            self.tell(host, self._bus, last=last)
        except Exception as error:  # noqa: BLE001 - whoever decides must not notice; it is tried again
            self.trouble = f"{type(error).__name__}: {error}"
            return False
        self.trouble = ""
        return True

    def tell(self, host: Host, bus: Bus, *, last: bool = False) -> None:
        """Tell what is new: what is durable of the queue, and now and then what the store and the monitors say.

        Raises StoreError, DeadlineExceeded and Overloaded: what was not told yet is told the next time.
        """
        now = time.monotonic()
        if last or now - self._kept_at >= _KEPT_EVERY_S:
            self._kept_at = now
            self._keep(self._kills(host.log))
            self._keep(self._moves(host.production))
        if now - self._signals_at >= _SIGNALS_EVERY_S:
            self._signals_at = now
            self._keep(self._signals(host))
        self._tell_kept(host.log, bus)
        while self._fill():
            host.log.append(()).wait(_WAIT_S)  # only what the store has is told
            self._publish(bus, self._batch)
            self._batch = []

    def _keep(self, events: Iterable[Event]) -> None:
        """Keep what is to be told until it is, one by one: of what was found before a failure nothing is lost."""
        for each in events:
            self._kept[each.id] = each

    def _fill(self) -> bool:
        """Take the next news out of the queue, unless some could not be told yet; return whether there are any."""
        with self._lock:
            count = 0 if self._batch else min(_AT_ONCE, len(self._queue))
            taken = [self._queue.popleft() for _ in range(count)]
        self._batch += [news.of_decision(each) if isinstance(each, Decision) else news.of_outcome(*each) for each in taken]
        return bool(self._batch)

    def _publish(self, bus: Bus, events: Sequence[Event]) -> None:
        if events:
            bus.publish(self._stream, [(each.subject, encode(each)) for each in events])
            self.sent += len(events)

    def _tell_kept(self, log: Log, bus: Bus) -> None:
        """Tell what the store does not know as told, and note it there."""
        new = [each for each in self._kept.values() if log.taken(self._stream, each.id) is None]
        self._publish(bus, new)
        self._kept = {}
        if new:
            at = self._clock()
            log.append([Taken(stream=self._stream, event=each.id, position="", at=at) for each in new])

    def _kills(self, log: Log) -> Iterator[Event]:
        """Yield the kill switches that are new in the audit trail; at the start, those that may not have been told."""
        since = self._clock() - self._keep_s
        if self._trail is None:
            numbers = [each.number for each in log.audit(_RECENT) if each.number]
            self._trail = min(numbers, default=1) - 1
        while found := log.trail(self._trail, _CHUNK):
            yield from (news.of_kill(each) for each in found if each.event in news.KILLS and each.at >= since)
            self._trail = found[-1].number

    def _moves(self, production: Production | None) -> Iterator[Event]:
        """Yield the moves of policies that are new; at the start, those that may not have been told."""
        since = self._clock() - self._keep_s
        for now in () if production is None else production.releases.current():
            told = self._moved.get(now.agent, 0)
            moves = production.releases.moves(now.agent, _MOST_MOVES) if production and now.number > told else []
            new = [each for each in reversed(moves) if each.number > told and each.at >= since]
            yield from (news.of_move(each) for each in new if each.move in news.MOVES)
            self._moved[now.agent] = now.number

    def _signals(self, host: Host) -> Iterator[Event]:
        """Yield each signal that did not hold when it was last looked."""
        held: set[tuple[str, ...]] = set()
        for agent in host.opened():
            for each in agent.signals():
                name = (each.agent, each.kind, each.subject, each.level)
                held.add(name)
                if name not in self._held:
                    yield news.of_signal(each, self._clock())
        self._held = held

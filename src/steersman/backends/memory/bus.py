"""`MemoryBus`: the bus as plainly as it can be written. What the other backends must do, read here."""

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import count

from steersman.core.errors import StoreError
from steersman.core.ports import Delivery
from steersman.core.streams import check_entries, check_stream, dead_letters

_numbers = count()


@dataclass(kw_only=True, slots=True)
class _Entry:
    """An entry of a stream; reason: why it was rejected, among dead letters."""

    key: str
    body: bytes
    reason: str = ""


@dataclass(kw_only=True, slots=True)
class _Taken:
    """Who has an entry, since when (monotonic seconds), and for the how many-th time."""

    consumer: str
    at: float
    attempt: int


@dataclass(kw_only=True, slots=True)
class _Group:
    """How far a group is in one stream: all before `first` is acknowledged, and of what follows, `done`."""

    first: int = 0
    done: set[int] = field(default_factory=set)
    taken: dict[int, _Taken] = field(default_factory=dict)

    def acknowledge(self, place: int) -> None:
        """Take note that an entry is done with."""
        self.taken.pop(place, None)
        if place >= self.first:
            self.done.add(place)
        while self.first in self.done:
            self.done.remove(self.first)
            self.first += 1


class MemoryBroker:
    """The streams, for any number of `MemoryBus` in one process. `stall` makes it unreachable, until `resume`."""

    def __init__(self) -> None:
        self.changed = threading.Condition()
        self.stalled = ""
        self._streams: dict[str, list[_Entry]] = {}
        self._groups: dict[tuple[str, str], _Group] = {}

    def stall(self, reason: str) -> None:
        """Be unreachable from now on."""
        self.stalled = reason

    def resume(self) -> None:
        """Be reachable again."""
        self.stalled = ""

    def entries(self, stream: str) -> list[_Entry]:
        """Return a stream's entries, to read or to append to."""
        return self._streams.setdefault(stream, [])

    def group(self, group: str, stream: str) -> _Group:
        """Return how far a group is in a stream."""
        return self._groups.setdefault((group, stream), _Group())


class MemoryBus:
    """The `Bus` port without a server: one consumer of a group, on a broker that others may share."""

    def __init__(
        self,
        streams: Sequence[str] = (),
        *,
        broker: MemoryBroker | None = None,
        group: str = "steersman",
        consumer: str = "",
        idle_s: float = 60.0,
    ) -> None:
        """streams: to take from. consumer: its name; "" for one of its own.

        idle_s: after how long without an acknowledgement an entry comes again.
        """
        self.broker = broker or MemoryBroker()
        self._streams = [check_stream(each) for each in streams]
        self._group = group
        self._consumer = consumer or f"consumer {next(_numbers)}"
        self._idle_s = idle_s

    def publish(self, stream: str, entries: Sequence[tuple[str, bytes]]) -> None:
        """Put entries into a stream. Raises StoreError while stalled, InvalidInput for what does not fit."""
        check_entries(stream, entries)
        with self.broker.changed:
            self._reach()
            self.broker.entries(stream).extend(_Entry(key=key, body=body) for key, body in entries)
            self.broker.changed.notify_all()

    def take(self, limit: int, wait_s: float) -> list[Delivery]:
        """Return up to `limit` entries that are new, or that nobody acknowledged in time."""
        until = time.monotonic() + wait_s
        with self.broker.changed:
            while not (found := self._take(limit)) and (left := until - time.monotonic()) > 0.0:
                self.broker.changed.wait(min(left, self._idle_s / 4))
        return found

    def done(self, deliveries: Sequence[Delivery]) -> None:
        """Acknowledge entries. Raises StoreError while stalled."""
        with self.broker.changed:
            self._reach()
            for each in deliveries:
                self._of(each.stream).acknowledge(int(each.position))
            self.broker.changed.notify_all()

    def reject(self, delivery: Delivery, reason: str) -> None:
        """Put an entry into the dead letters and acknowledge it. Raises StoreError while stalled."""
        with self.broker.changed:
            self._reach()
            letter = _Entry(key=delivery.key, body=delivery.body, reason=reason)
            self.broker.entries(dead_letters(delivery.stream)).append(letter)
            self.done([delivery])

    def waiting(self) -> int:
        """Return how many entries are not acknowledged. Raises StoreError while stalled."""
        with self.broker.changed:
            self._reach()
            left = [(len(self.broker.entries(each)), self._of(each)) for each in self._streams]
            return sum(length - group.first - len(group.done) for length, group in left)

    def health(self) -> str:
        """Return "" while the broker is not stalled, else why it is."""
        return self.broker.stalled

    def close(self) -> None:
        """Let go of what was taken and not acknowledged."""
        with self.broker.changed:
            for each in self._streams:
                for taken in self._of(each).taken.values():
                    if taken.consumer == self._consumer:
                        taken.consumer, taken.at = "", float("-inf")
            self.broker.changed.notify_all()

    def _reach(self) -> None:
        if self.broker.stalled:
            raise StoreError(f"the bus cannot be reached: {self.broker.stalled}. Publish again later.")

    def _of(self, stream: str) -> _Group:
        return self.broker.group(self._group, stream)

    def _take(self, limit: int) -> list[Delivery]:
        found: list[Delivery] = []
        if not self.broker.stalled:
            for stream in self._streams:
                found += self._take_of(stream, limit - len(found))
        return found

    def _take_of(self, stream: str, limit: int) -> list[Delivery]:
        """Take entries of one stream, oldest first. What waits at another consumer holds up the rest of its key."""
        group, now, entries = self._of(stream), time.monotonic(), self.broker.entries(stream)
        found: list[Delivery] = []
        held: set[str] = set()
        for place in range(group.first, len(entries)):
            if len(found) >= limit:
                break
            entry, taken = entries[place], group.taken.get(place)
            if place in group.done or entry.key in held:
                continue
            if taken is None or now - taken.at >= self._idle_s:
                attempt = 1 if taken is None else taken.attempt + 1
                group.taken[place] = _Taken(consumer=self._consumer, at=now, attempt=attempt)
                found.append(_delivery(stream, place, entry, attempt))
            elif entry.key and taken.consumer != self._consumer:
                held.add(entry.key)
        return found


def _delivery(stream: str, place: int, entry: _Entry, attempt: int) -> Delivery:
    return Delivery(
        stream=stream,
        position=str(place),
        body=entry.body,
        key=entry.key,
        attempt=attempt,
        reason=entry.reason,
    )

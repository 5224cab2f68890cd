"""`RedisBus`: the bus on Redis Streams, by plain commands: XADD, XREADGROUP, XAUTOCLAIM, XACK.

A stream has partitions, and a key always falls to the same one. Partition 0 is the key of the stream's own name, so that
others may XADD a field `body` there; the next is `<stream>:1`. What all groups of a partition have acknowledged is trimmed.
"""

import json
import os
import socket
import time
import uuid
import zlib
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from redis import exceptions

from steersman.backends.streams.redis_server import Server
from steersman.backends.streams.redis_shares import Shares
from steersman.core.errors import InvalidInput, StoreError
from steersman.core.ports import Delivery
from steersman.core.streams import check_entries, check_stream, dead_letters

_LOOK_S = 0.5  # how often leases are renewed, and old entries looked for
_TRIM_S = 5.0
_BEGINNING = "0-0"
_MOST_COUNTED = 100_000


@dataclass(kw_only=True)
class _Stream:
    """A stream that this consumer takes from, by its partitions.

    owned: those that are leased to it. inherited: how far it is with what the last consumer of a partition left; nothing new
    is read there before that is worked off. taken: what it has been given, and when.
    """

    name: str
    shares: Shares
    owned: set[int] = field(default_factory=set)
    inherited: dict[int, str] = field(default_factory=dict)
    taken: dict[int, dict[str, float]] = field(default_factory=dict)

    def claim(self, client: Any, idle_s: float) -> None:
        """Renew leases, give up those that others have a right to, and take up free ones."""
        now = time.monotonic()
        busy = {number for number, taken in self.taken.items() if any(now - at < idle_s for at in taken.values())}
        before, self.owned = self.owned, self.shares.claim(client, busy)
        self.inherited = {number: at for number, at in self.inherited.items() if number in self.owned}
        self.inherited |= dict.fromkeys(self.owned - before, _BEGINNING)
        self.taken = {number: taken for number, taken in self.taken.items() if number in self.owned}


class RedisBus:
    """The `Bus` port on Redis: one consumer of a group. Raises InvalidInput for a URL that cannot be read.

    streams: to take from. idle_s: after how long without an acknowledgement an entry comes again, and a consumer that was
    not heard of is dead. partitions: of a stream that is new; each is read by one consumer at a time. durable: refuse a
    server that could lose what it has acknowledged. Nothing is connected before the first use.
    """

    def __init__(
        self,
        url: str,
        streams: Sequence[str] = (),
        *,
        group: str = "steersman",
        consumer: str = "",
        idle_s: float = 30.0,
        partitions: int = 4,
        durable: bool = True,
    ) -> None:
        self._server = Server(url, keeps=durable)
        self._names = [check_stream(each) for each in streams]
        self._group = check_stream(group)
        self._me = consumer or f"{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex[:8]}"
        self._idle_s = idle_s
        self._look_s = min(_LOOK_S, idle_s / 4)
        self._partitions = partitions
        self._known: dict[str, int] = {}
        self._streams: list[_Stream] = []
        self._ahead: list[Delivery] = []
        self._looked_at = self._trimmed_at = float("-inf")

    def publish(self, stream: str, entries: Sequence[tuple[str, bytes]]) -> None:
        """Put entries into a stream, all in one transaction. Raises StoreError, Overloaded or InvalidInput."""
        check_entries(stream, entries)
        self._add(stream, [(key, {"key": key, "body": body}) for key, body in entries])

    def take(self, limit: int, wait_s: float) -> list[Delivery]:
        """Return up to `limit` entries, new or not acknowledged in time; none while the server cannot be reached."""
        if self._ahead:
            found, self._ahead = self._ahead[:limit], self._ahead[limit:]
            return found
        until = time.monotonic() + wait_s
        while True:
            found = []
            left = until - time.monotonic()
            try:
                with self._server.reach() as client:
                    found = self._take(client, limit, left)
            except StoreError as error:
                if not isinstance(error.__cause__, (exceptions.ConnectionError, exceptions.TimeoutError)):
                    raise
                self._forget()
                time.sleep(max(0.0, min(left, 0.1)))
            if found or time.monotonic() >= until:
                return found

    def done(self, deliveries: Sequence[Delivery]) -> None:
        """Acknowledge entries. Raises StoreError; then they come again."""
        if not deliveries:
            return
        with self._server.reach() as client, client.pipeline(transaction=False) as commands:
            for each in deliveries:
                number, name = _place(each.position)
                commands.xack(_key(each.stream, number), self._group, name)
            commands.execute()
            for each in deliveries:
                self._let_go(each)
            if time.monotonic() - self._trimmed_at >= _TRIM_S:
                self._trim(client)

    def reject(self, delivery: Delivery, reason: str) -> None:
        """Put an entry into the dead letters, then acknowledge it. Raises StoreError."""
        fields = {"key": delivery.key, "body": delivery.body, "reason": reason, "position": delivery.position}
        self._add(dead_letters(delivery.stream), [(delivery.key, fields)])
        self.done([delivery])

    def waiting(self) -> int:
        """Return how many entries are not acknowledged yet. Raises StoreError."""
        with self._server.reach() as client:
            return sum(
                self._unread(client, _key(name, number)) for name in self._names for number in self._numbers(client, name)
            )

    def health(self) -> str:
        """Return "" while the server can be reached, as far as is known, else what keeps it from being."""
        return self._server.trouble

    def close(self) -> None:
        """Leave the group and close all connections; what was not acknowledged goes to others at once."""
        with suppress(StoreError), self._server.reach() as client:
            for each in self._streams:
                each.shares.leave(client)
        self._server.close()

    # publishing

    def _add(self, stream: str, entries: Sequence[tuple[str, dict[str, Any]]]) -> None:
        with self._server.reach() as client, client.pipeline(transaction=True) as commands:
            count = len(self._numbers(client, stream))
            for key, fields in entries:
                commands.xadd(_key(stream, zlib.crc32(key.encode()) % count), fields)
            commands.execute()

    def _numbers(self, client: Any, stream: str) -> range:
        """Return a stream's partitions; how many it has was said by the first who used it."""
        if stream not in self._known:
            client.set(f"{stream}:partitions", self._partitions, nx=True)
            self._known[stream] = int(client.get(f"{stream}:partitions"))
        return range(self._known[stream])

    # taking

    def _take(self, client: Any, limit: int, wait_s: float) -> list[Delivery]:
        if time.monotonic() - self._looked_at >= self._look_s:
            again = self._look(client, limit)
            if again:
                return again
            self._looked_at = time.monotonic()
        keys = [(each.name, number) for each in self._streams for number in sorted(each.owned - each.inherited.keys())]
        if not keys:
            time.sleep(max(0.0, min(wait_s, self._look_s)))
            return []
        block_ms = int(min(wait_s, self._look_s) * 1_000)
        asked = {_key(*each): ">" for each in keys}
        try:
            answer = client.xreadgroup(
                self._group, self._me, asked, count=-(-limit // len(keys)), block=block_ms if block_ms > 0 else None
            )
        except exceptions.ResponseError as error:
            if not str(error).startswith("NOGROUP"):
                raise
            self._forget()  # someone removed the stream; it is made anew
            return []
        place = {_key(*each): each for each in keys}
        found = [
            self._delivery(*place[name.decode()], position, fields, 1)
            for name, entries in answer or ()
            for position, fields in entries
        ]
        self._ahead = found[limit:]  # each partition gave its share, rounded up
        return found[:limit]

    def _look(self, client: Any, limit: int) -> list[Delivery]:
        """Renew leases, and return what was left by others, or was not acknowledged for too long."""
        if not self._streams:
            self._streams = [self._open(client, name) for name in self._names]
        found: list[Delivery] = []
        for each in self._streams:
            each.claim(client, self._idle_s)
            for number in sorted(each.owned):
                if len(found) < limit:
                    found += self._reclaim(client, each, number, limit - len(found))
        return found

    def _open(self, client: Any, name: str) -> _Stream:
        """Begin to take from a stream: its groups are made, from the first entry on, where there are none."""
        numbers = self._numbers(client, name)
        for number in numbers:
            try:
                client.xgroup_create(_key(name, number), self._group, id="0", mkstream=True)
            except exceptions.ResponseError as error:
                if not str(error).startswith("BUSYGROUP"):
                    raise
        lease_ms = int(self._idle_s * 1_000)
        shares = Shares(name, self._group, self._me, partitions=len(numbers), lease_ms=lease_ms)
        return _Stream(name=name, shares=shares)

    def _reclaim(self, client: Any, stream: _Stream, number: int, limit: int) -> list[Delivery]:
        """Take over entries of a partition, oldest first: all that were left by others, or those of a certain age."""
        key, start = _key(stream.name, number), stream.inherited.get(number, _BEGINNING)
        idle_ms = 0 if number in stream.inherited else int(self._idle_s * 1_000)
        then, entries, *_ = client.xautoclaim(key, self._group, self._me, idle_ms, start, count=limit)
        if number in stream.inherited:
            stream.inherited[number] = then.decode()
            if stream.inherited[number] == _BEGINNING:
                del stream.inherited[number]
        kept = [(position, fields) for position, fields in entries if fields is not None]
        if not kept:
            return []
        with client.pipeline(transaction=False) as commands:
            for position, _ in kept:
                commands.xpending_range(key, self._group, position, position, 1)
            pending = commands.execute()
        attempts = [each[0]["times_delivered"] if each else 1 for each in pending]
        return [
            self._delivery(stream.name, number, position, fields, attempt)
            for (position, fields), attempt in zip(kept, attempts, strict=True)
        ]

    def _delivery(self, stream: str, number: int, position: bytes, fields: dict[bytes, bytes], attempt: int) -> Delivery:
        place = f"{number}/{position.decode()}"
        for each in self._streams:
            if each.name == stream:
                each.taken.setdefault(number, {})[place] = time.monotonic()
        return Delivery(
            stream=stream,
            position=place,
            body=fields[b"body"] if b"body" in fields else _as_json(fields),
            key=fields.get(b"key", b"").decode(errors="replace"),
            attempt=attempt,
            reason=fields.get(b"reason", b"").decode(errors="replace"),
        )

    def _let_go(self, delivery: Delivery) -> None:
        for each in self._streams:
            if each.name == delivery.stream:
                each.taken.get(_place(delivery.position)[0], {}).pop(delivery.position, None)

    def _forget(self) -> None:
        """After an outage, look at everything anew."""
        self._streams, self._known, self._ahead, self._looked_at = [], {}, [], float("-inf")

    # counting and trimming

    def _unread(self, client: Any, key: str) -> int:
        """Return how many entries of a partition the group has not acknowledged."""
        group = next((each for each in _groups(client, key) if each["name"].decode() == self._group), None)
        if group is None:
            return int(client.xlen(key))
        lag = group.get("lag")
        if lag is None:  # an older server, or one that lost count
            last = group["last-delivered-id"].decode()
            lag = len(client.xrange(key, f"({last}", count=_MOST_COUNTED))
        return int(lag) + int(group["pending"])

    def _trim(self, client: Any) -> None:
        """Remove what all groups have acknowledged."""
        self._trimmed_at = time.monotonic()
        for each in self._streams:
            for number in each.owned:
                key = _key(each.name, number)
                first = min((_first_needed(client, key, group) for group in _groups(client, key)), default=(0, 0))
                client.xtrim(key, minid=f"{first[0]}-{first[1]}", approximate=False)


def _key(stream: str, number: int) -> str:
    return stream if number == 0 else f"{stream}:{number}"


def _place(position: str) -> tuple[int, str]:
    """Return the partition and the id in it. Raises InvalidInput for a position of another bus."""
    number, found, name = position.partition("/")
    if not found:
        raise InvalidInput(f"{position!r} is no position in a Redis stream.")
    return int(number), name


def _groups(client: Any, key: str) -> list[dict[str, Any]]:
    try:
        return list(client.xinfo_groups(key))
    except exceptions.ResponseError as error:
        if "no such key" in str(error).lower():
            return []
        raise


def _first_needed(client: Any, key: str, group: dict[str, Any]) -> tuple[int, int]:
    """Return the id of the first entry that a group has not acknowledged."""
    if group["pending"]:
        found = client.xpending(key, group["name"].decode())["min"]
        return _number(found)
    time_ms, place = _number(group["last-delivered-id"])
    return time_ms, place + 1


def _number(name: bytes) -> tuple[int, int]:
    time_ms, _, place = name.decode().partition("-")
    return int(time_ms), int(place)


def _as_json(fields: dict[bytes, bytes]) -> bytes:
    """Return an entry that has no body, as somebody else wrote it, so that a dead letter shows what was there."""
    shown = {key.decode(errors="replace"): value.decode(errors="replace") for key, value in fields.items()}
    return json.dumps(shown, ensure_ascii=False).encode()

"""Identifiers that sort by time: UUID version 7 (RFC 9562), counted, so that one process never repeats or reorders."""

import os
import threading
import time
from collections.abc import Callable

IdSource = Callable[[], str]

_COUNTER_BITS = 12
_RANDOM_BYTES = 8 * 512


class TimeOrderedIds:
    """A source of UUIDv7 strings, strictly increasing within the process.

    Each id carries 48 bits of milliseconds, a 12-bit counter within the millisecond and 62 random bits from the
    operating system, so that an id cannot be guessed from its neighbours.
    """

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._last = 0
        self._pool = b""
        self._process = 0

    def __call__(self) -> str:
        """Return the next id as 36 characters."""
        with self._lock:
            now = int(self._clock() * 1000) << _COUNTER_BITS
            self._last = now if now > self._last else self._last + 1
            stamp = self._last
            if len(self._pool) < 8 or self._process != os.getpid():
                self._pool, self._process = os.urandom(_RANDOM_BYTES), os.getpid()
            tail, self._pool = self._pool[:8], self._pool[8:]
        variant = 0x8000 | int.from_bytes(tail[:2], "big") & 0x3FFF
        return f"{stamp >> 28:08x}-{stamp >> 12 & 0xFFFF:04x}-7{stamp & 0xFFF:03x}-{variant:04x}-{tail[2:].hex()}"

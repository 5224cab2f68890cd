"""Identifiers that sort by time: UUID version 7 (RFC 9562), counted, so that one process never repeats or reorders."""

import os
import struct
import threading
import time
from collections.abc import Callable

IdSource = Callable[[], str]

_COUNTER_BITS = 12
_NUMBERS = struct.Struct("512Q")


class TimeOrderedIds:
    """A source of UUIDv7 strings, strictly increasing within the process.

    Each id carries 48 bits of milliseconds, a 12-bit counter within the millisecond and 62 random bits from the
    operating system, so that an id cannot be guessed from its neighbours.
    """

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._last = 0
        self._pool: list[int] = []
        self._process = 0

    def __call__(self) -> str:
        """Return the next id as 36 characters."""
        with self._lock:
            now = int(self._clock() * 1000) << _COUNTER_BITS
            self._last = now if now > self._last else self._last + 1
            stamp = self._last
            if not self._pool or self._process != os.getpid():
                self._pool, self._process = list(_NUMBERS.unpack(os.urandom(_NUMBERS.size))), os.getpid()
            tail = self._pool.pop()
        whole = (stamp >> _COUNTER_BITS) << 80 | 0x7 << 76 | (stamp & 0xFFF) << 64 | 0b10 << 62 | tail >> 2
        text = f"{whole:032x}"
        return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"

"""Limits: how much one key may ask for, so that none takes the place of the others."""

import time
from collections import Counter
from collections.abc import Callable

from steersman.service.problems import Throttled


class Rates:
    """A bucket of tokens for each key: `burst` at once, `per_s` come back each second. 0 a second sets no limit."""

    def __init__(self, *, per_s: float, burst: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._per_s = per_s
        self._burst = float(burst)
        self._clock = clock
        self._buckets: dict[str, tuple[float, float]] = {}

    def take(self, key_id: str, count: int = 1) -> None:
        """Take tokens. Raises Throttled where there are none left, saying when there will be.

        Who has no key has no limit: that is somebody on this machine, or is asked for one. What a
        batch takes may be more than there is: then the next request waits for it.
        """
        if not (key_id and self._per_s and count):
            return
        now = self._clock()
        tokens, at = self._buckets.get(key_id, (self._burst, now))
        tokens = min(self._burst, tokens + (now - at) * self._per_s)
        if tokens < 1.0:
            raise Throttled(
                f"this key sends more than its {self._per_s:g} requests a second (setting service.rate_per_s).",
                (1.0 - tokens) / self._per_s,
            )
        self._buckets[key_id] = (tokens - count, now)


class Crumbs:
    """Which events of one source go into the audit trail: some at once, then one each second, so that nobody floods it."""

    def __init__(self, *, per_s: float = 1.0, burst: int = 20, clock: Callable[[], float] = time.monotonic) -> None:
        self._rates = Rates(per_s=per_s, burst=burst, clock=clock)
        self._left_out: Counter[str] = Counter()

    def take(self, name: str) -> int | None:
        """Return how many of a source were left out since the last one that was taken, or None to leave this one out."""
        try:
            self._rates.take(name)
        except Throttled:
            self._left_out[name] += 1
            return None
        return self._left_out.pop(name, 0)

"""Time and ids in a simulation: what is due next, clocks that are set wrong, and ids from a seed."""

import heapq
from collections.abc import Callable

import numpy as np

_START = 1_700_000_000.0


class SimulatedClock:
    """True time moves with the events, in seconds; the wall clock drifts against it and is set forward and back."""

    def __init__(self) -> None:
        self.now = 0.0
        self._since = 0.0
        self._wall = _START
        self._rate = 1.0

    def timer(self) -> float:
        """Return seconds that only rise, as `time.perf_counter` does."""
        return self.now

    def wall(self) -> float:
        """Return unix seconds as the service's machine believes them."""
        return self._wall + (self.now - self._since) * self._rate

    def drift(self, rate: float) -> None:
        """Let the wall clock run at a rate from now on; 1 is right."""
        self._wall, self._since, self._rate = self.wall(), self.now, rate

    def step(self, by_s: float) -> None:
        """Set the wall clock forward, or back."""
        self._wall += by_s

    def pass_by(self, seconds: float) -> None:
        """Let true time pass while something is being done."""
        self.now += seconds


class Events:
    """What is to happen, in the order of time; two things due at once happen in the order in which they were planned."""

    def __init__(self, clock: SimulatedClock) -> None:
        self._clock = clock
        self._due: list[tuple[float, int, Callable[[], None]]] = []
        self._planned = 0
        self.happened = 0

    def after(self, seconds: float, action: Callable[[], None]) -> None:
        """Plan an action for that many seconds from now."""
        self._planned += 1
        heapq.heappush(self._due, (self._clock.now + seconds, self._planned, action))

    def run(self, most: int) -> None:
        """Do what is due until nothing is, or until that many things have happened in all."""
        while self._due and self.happened < most:
            at, _, action = heapq.heappop(self._due)
            self._clock.now = max(self._clock.now, at)
            self.happened += 1
            action()


class SeededIds:
    """Ids in the form of UUID version 7 from a clock and a generator, so that a seed gives the same ones again."""

    def __init__(self, clock: Callable[[], float], rng: np.random.Generator) -> None:
        self._clock = clock
        self._rng = rng

    def __call__(self) -> str:
        """Return the next id as 36 characters."""
        stamp, tail = int(self._clock() * 1000), self._rng.bytes(10).hex()
        return f"{stamp >> 16:08x}-{stamp & 0xFFFF:04x}-7{tail[:3]}-8{tail[3:6]}-{tail[6:18]}"

"""Tallies: what was counted since the instruments were last told, at a fraction of what telling them each time costs."""

from bisect import bisect_left
from collections import defaultdict

from steersman.backends.metrics.instruments import Instruments
from steersman.backends.metrics.recent import Recent
from steersman.backends.metrics.table import BY_NAME

_REWARD = "steersman_reward_ratio"
_MOST_WAITING = 10_000


class Spread:
    """How values fall into a histogram's buckets, and their sum."""

    __slots__ = ("_bounds", "counts", "total")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self._bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def add(self, value: float) -> None:
        """Count a value in the first bucket whose upper bound it does not exceed."""
        self.counts[bisect_left(self._bounds, value)] += 1
        self.total += value


class Tally:
    """What the decisions of one agent, version, stage and arm amount to. Not safe by itself: its meter holds a lock.

    recent: what the champion did lately. Rewards wait until their range is known.
    """

    __slots__ = ("_labels", "_low", "_spreads", "_sums", "_waiting", "_width", "recent")

    def __init__(self, labels: dict[str, str], recent: Recent) -> None:
        self._labels = labels
        self._sums: defaultdict[str, float] = defaultdict(float)
        self._spreads: dict[str, Spread] = {}
        self._waiting: list[float] = []
        self._low = self._width = 0.0
        self.recent = recent

    def scale(self, low: float, high: float) -> None:
        """Say what range rewards lie in."""
        self._low, self._width = low, high - low
        waiting, self._waiting = self._waiting, []
        for each in waiting:
            self.reward(each)

    def reward(self, reward: float) -> None:
        """Add a reward as its share of the range."""
        if self._width:
            self.observe(_REWARD, min(max((reward - self._low) / self._width, 0.0), 1.0))
        elif len(self._waiting) < _MOST_WAITING:
            self._waiting.append(reward)

    def count(self, key: str, amount: float = 1.0) -> None:
        """Add to a counter. Its key is the metric's name, with a space and the value of its label `kind` if it has that."""
        self._sums[key] += amount

    def observe(self, name: str, value: float) -> None:
        """Add a value to a histogram."""
        spread = self._spreads.get(name)
        if spread is None:
            spread = self._spreads[name] = Spread(BY_NAME[name].buckets)
        spread.add(value)

    def take(self) -> "Tally | None":
        """Return what was counted and begin anew; None if nothing was."""
        if not self._sums and not self._spreads:
            return None
        taken = Tally(self._labels, self.recent)
        taken._sums, self._sums = self._sums, defaultdict(float)
        taken._spreads, self._spreads = self._spreads, {}
        return taken

    def move(self, instruments: Instruments) -> None:
        """Add everything to the instruments."""
        for key, amount in self._sums.items():
            name, _, kind = key.partition(" ")
            instruments.counter(name, {**self._labels, "kind": kind}).inc(amount)
        for name, spread in self._spreads.items():
            instruments.histogram(name, self._labels).add(spread.counts, spread.total)

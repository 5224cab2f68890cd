"""A world for several agents with a known answer: guests choose the same nights, and each makes it fuller for the others."""

import itertools
import math
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from steersman.stages.learn.deep.collector import Greedy
from steersman.stages.learn.deep.multi_agent import Moment, Utility

Floats = NDArray[np.float32]


class Nights:
    """Guests stay at home (action 0) or go out on one of the nights; after Wolpert & Tumer (2002), with weather.

    A night with room for c and x guests gives each of them e^(−x/c), so the guests together G = Σ x·e^(−x/c). Whoever comes
    has something of it, so everybody does, and all have little: a commons. The weather, which all see, says how much room
    there is on which night, and is drawn anew each time.
    """

    def __init__(self, *, guests: int, rooms: Sequence[float], copies: int, seed: int) -> None:
        self.agents = tuple(f"guest{each}" for each in range(guests))
        self.copies = copies
        self.default = dict.fromkeys(self.agents, 0)
        self.rooms = np.array([np.roll(rooms, shift) for shift in range(len(rooms))])
        self._rng = np.random.default_rng(seed)
        self._weather = self._rng.integers(len(self.rooms), size=copies)

    @property
    def actions(self) -> int:
        """How many actions each guest has."""
        return int(self.rooms.shape[1]) + 1

    @property
    def features(self) -> int:
        """How many numbers each guest sees."""
        return len(self.rooms)

    def states(self) -> Floats:
        """Return the weather, one-hot, (guests, copies, kinds of weather)."""
        seen = np.eye(len(self.rooms), dtype=np.float32)[self._weather]
        return np.broadcast_to(seen, (len(self.agents), *seen.shape))

    def utility(self, copy: int) -> Utility:
        """Return what a joint action gives in a copy's weather."""
        rooms = self.rooms[self._weather[copy]]
        return lambda joint: joy(_crowds(joint.values(), len(rooms)), rooms)

    def step(self, actions: NDArray[np.int32]) -> Moment:
        """Return what each guest has of it; each moment is an episode of its own."""
        rooms = self.rooms[self._weather]
        crowds = np.array([_crowds(column, self.rooms.shape[1]) for column in actions.T])
        each = np.pad(np.exp(-crowds / rooms), ((0, 0), (1, 0)))
        rewards = np.take_along_axis(each, actions.T, axis=1).T.astype(np.float32)
        seen, over = self.states(), np.ones(self.copies, bool)
        self._weather = self._rng.integers(len(self.rooms), size=self.copies)
        return Moment(rewards=rewards, states=seen, terminated=over, ended=over)

    def best(self) -> float:
        """Return the most that guests can have together, the mean over all weather, by trying all crowds."""
        guests = range(len(self.agents) + 1)
        crowds = [each for each in itertools.product(guests, repeat=self.rooms.shape[1]) if sum(each) < len(guests)]
        return float(np.mean([max(joy(each, rooms) for each in crowds) for rooms in self.rooms]))

    def score(self, guests: Sequence[Greedy]) -> float:
        """Return what guests have together without exploration, the mean over all weather."""
        seen = np.eye(len(self.rooms), dtype=np.float32)
        actions = np.array([guest.values(seen).argmax(axis=1) for guest in guests])
        return float(np.mean([joy(_crowds(z, len(rooms)), rooms) for z, rooms in zip(actions.T, self.rooms, strict=True)]))


def joy(crowds: Sequence[int], rooms: NDArray[np.float64]) -> float:
    """Return Σ x·e^(−x/c) over the nights."""
    return sum(crowd * math.exp(-crowd / room) for crowd, room in zip(crowds, rooms.tolist(), strict=True))


def _crowds(actions: Iterable[int], nights: int) -> list[int]:
    counts: list[int] = np.bincount(np.fromiter(actions, dtype=np.int64), minlength=nights + 1)[1:].tolist()
    return counts

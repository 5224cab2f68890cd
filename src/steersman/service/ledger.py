"""The ledger: sums over arms and hours for the pages. It adds what is new to what it knows and reads nothing twice."""

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar
from weakref import WeakKeyDictionary

from steersman.app import Steersman
from steersman.core.errors import SteersmanError
from steersman.core.ports import Clock
from steersman.core.values import Arm, Figures
from steersman.stages.monitor.performance import add

T = TypeVar("T")
Place = tuple[int, Arm, bool]

KEPT_HOURS = 30 * 24
"""How far back hours are kept apart; what is older is summed up."""
STEP = 100_000
"""Positions of the log that are read at a time."""
QUICK = 50_000
"""Positions that are read while a page waits."""
_FORGET_EVERY_S = 600.0
_OLDER = 0


class Ledger:
    """What happened in one store, by agent, hour and arm. Safe to use from several threads."""

    def __init__(self, steersman: Steersman, clock: Clock = time.time) -> None:
        self._log = steersman.log
        self._clock = clock
        self._reading = threading.Lock()
        self._agents: dict[str, dict[Place, Figures]] = {}
        self._versions: dict[str, int] = {}
        self._kept: dict[tuple[str, str], tuple[object, object]] = {}
        self._forgot_at = clock()
        self.position = 0
        self.until = 0
        self.caught_up = False

    def refresh(self) -> None:
        """Add what became durable since the last call; a call that comes while another one reads waits for it."""
        with self._reading:
            self.until = self._log.durable_position
            while self.position < self.until:
                step = min(self.position + STEP, self.until)
                for each in self._log.figures(self.position, step):
                    self._take(each)
                self.position = step
            self.caught_up = True
            self._forget()

    def refresh_later(self) -> None:
        """Add what is new in a thread of its own, for when that takes longer than a page may."""
        if not self._reading.locked():
            threading.Thread(target=self._refresh_quietly, daemon=True, name="steersman-ledger").start()

    def _refresh_quietly(self) -> None:
        with suppress(SteersmanError):  # a store that is closed or away: the next page asks again, and tells
            self.refresh()

    def behind(self) -> bool:
        """Return whether so much is new that reading it takes longer than a page may."""
        return self._log.durable_position - self.position > QUICK

    @property
    def share_read(self) -> float:
        """How much of the log was read when it was first read, in [0, 1]."""
        return self.position / self.until if self.until else 0.0

    def agents(self) -> list[str]:
        """Return the names of the agents that have decided, sorted."""
        return sorted(self._agents)

    def figures(self, agent: str, *, since_hour: int = 0) -> list[Figures]:
        """Return an agent's figures by hour and arm, from an hour (since 1970) on."""
        found = self._agents.get(agent, {})
        return [each for (hour, _, _), each in list(found.items()) if hour >= since_hour]

    def version(self, agent: str) -> int:
        """Return a number that rises whenever something new is known of an agent."""
        return self._versions.get(agent, 0)

    def hour(self) -> int:
        """Return the hour that it is now (since 1970)."""
        return int(self._clock() // 3600)

    def once(self, agent: str, name: str, make: Callable[[], T], *, also: object = None) -> T:
        """Return what was made of an agent under a name, anew only where its version, the hour or `also` has changed."""
        stamp = (self.version(agent), self.hour(), also)
        kept = self._kept.get((agent, name))
        if kept is None or kept[0] != stamp:
            kept = (stamp, make())
            self._kept[agent, name] = kept
        return kept[1]  # type: ignore[return-value]  # what is kept under a name is what `make` made

    def _take(self, figures: Figures) -> None:
        mine = self._agents.setdefault(figures.agent, {})
        place = (figures.hour, figures.arm, figures.drawn)
        known = mine.get(place)
        mine[place] = figures if known is None else add(known, figures)
        self._versions[figures.agent] = self._versions.get(figures.agent, 0) + 1

    def _forget(self) -> None:
        """Sum up the hours that are too old to be kept apart, now and then."""
        now = self._clock()
        if now - self._forgot_at < _FORGET_EVERY_S:
            return
        self._forgot_at = now
        oldest = self.hour() - KEPT_HOURS
        for mine in self._agents.values():
            for place in [each for each in mine if _OLDER < each[0] < oldest]:
                gone = mine.pop(place)
                older = (_OLDER, *place[1:])
                mine[older] = add(mine[older], gone) if older in mine else gone


_ledgers: "WeakKeyDictionary[Steersman, Ledger]" = WeakKeyDictionary()
_making = threading.Lock()


def ledger_of(steersman: Steersman) -> Ledger:
    """Return the one ledger of a store."""
    with _making:
        found = _ledgers.get(steersman)
        if found is None:
            found = _ledgers[steersman] = Ledger(steersman)
        return found

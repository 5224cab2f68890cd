"""Hands: what people hold for a ranker, looked at often enough that a kill switch stops it within a quarter of a second."""

from collections.abc import Callable
from dataclasses import dataclass

from steersman.core.ports import Log
from steersman.core.values import Control

POLL_S = 0.25
UNKNOWN_AFTER_S = 0.75


@dataclass(frozen=True, kw_only=True)
class Held:
    """What is in force: why everything learned is stopped ("" if it is not), whether to explore, what is pinned."""

    killed: str = ""
    paused: bool = False
    pinned: frozenset[str] = frozenset()


class Hands:
    """Looks at the controls of a log on behalf of one ranker. One that cannot be read for a second stops it as well."""

    def __init__(self, name: str, log: Log, clock: Callable[[], float], timer: Callable[[], float]) -> None:
        self._name = name
        self._log = log
        self._clock = clock
        self._timer = timer
        self._found: list[Control] = []
        self._looked_at = float("-inf")

    def look(self) -> Held:
        """Return what is in force now. Never raises."""
        now = self._timer()
        if now - self._looked_at >= POLL_S:
            try:
                self._found, self._looked_at = [each for each in self._log.controls() if each.active], now
            except Exception as error:  # noqa: BLE001 - not knowing is the same as being stopped, after a second
                if now - self._looked_at > UNKNOWN_AFTER_S:
                    return Held(killed=f"kill switch unknown for over {UNKNOWN_AFTER_S:g} s: {error}")
        return self._held() if self._found else Held()

    def _held(self) -> Held:
        at = self._clock()
        found = [each for each in self._found if each.holds(self._name, at)]
        kills = [each for each in found if each.kind == "kill"]
        return Held(
            killed=f"kill switch of {kills[0].scope!r} by {kills[0].actor}: {kills[0].reason}" if kills else "",
            paused=any(each.kind == "pause" for each in found),
            pinned=frozenset(
                str(each.choices["action"]) for each in found if each.kind == "pin" and "action" in each.choices
            ),
        )

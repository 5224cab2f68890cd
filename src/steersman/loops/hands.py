"""Hands: what people hold, looked at often enough that a kill switch stops an agent within a quarter of a second."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from steersman.core.actions import Choice
from steersman.core.influence import KILLED, MODES, Mode
from steersman.core.ports import Clock, Log
from steersman.core.values import Control

POLL_S = 0.25
UNKNOWN_AFTER_S = 0.75


@dataclass(frozen=True, kw_only=True)
class Held:
    """What is in force: why everything learned is stopped ("" if it is not), whether to explore, what is pinned by whom.

    mode: the influence of what was learned, by the word with the narrowest scope; None leaves it to the settings.
    """

    killed: str = ""
    paused: bool = False
    pins: tuple[Control, ...] = ()
    mode: Mode | None = None

    def choices(self) -> dict[str, tuple[Choice, Control]]:
        """Return what is pinned, by dimension; the pin with the narrowest scope counts."""
        wanted: dict[str, tuple[Choice, Control]] = {}
        for pin in sorted(self.pins, key=_narrowness):
            wanted.update({dimension: (choice, pin) for dimension, choice in pin.choices.items()})
        return wanted


def _narrowness(control: Control) -> tuple[bool, bool]:
    return control.scope != "*", "/" in control.scope


FREE = Held()


class Hands:
    """Looks at the controls of a log on behalf of one agent. A kill switch that cannot be read for a second stops as well.

    failed: is told of each failure, and says it in words.
    """

    def __init__(
        self, name: str, log: Log, clock: Clock, timer: Callable[[], float], failed: Callable[[BaseException], str]
    ) -> None:
        self._name = name
        self._log = log
        self._clock = clock
        self._timer = timer
        self._failed = failed
        self._found: Sequence[Control] = ()
        self.looked_at = float("-inf")

    def look(self) -> Held:
        """Return what is in force now. Never raises."""
        now = self._timer()
        if now - self.looked_at >= POLL_S:
            try:
                self._found, self.looked_at = [each for each in self._log.controls() if each.active], now
            except Exception as error:  # noqa: BLE001 - not knowing is the same as being stopped, after a second
                why = self._failed(error)
                if now - self.looked_at > UNKNOWN_AFTER_S:
                    return Held(killed=f"{KILLED} unknown for over {UNKNOWN_AFTER_S:g} s: {why}")
        return self._held() if self._found else FREE

    def look_again(self) -> None:
        """Ask the log at the next look, whenever it was last asked."""
        self.looked_at = float("-inf")

    def _held(self) -> Held:
        at = self._clock()
        found = [each for each in self._found if each.holds(self._name, at)]
        kills = [each for each in found if each.kind == "kill"]
        modes = [each for each in found if each.kind == "mode"]
        return Held(
            killed=f"{KILLED} of {kills[0].scope!r} by {kills[0].actor}: {kills[0].reason}" if kills else "",
            paused=any(each.kind == "pause" for each in found),
            pins=tuple(each for each in found if each.kind == "pin"),
            mode=_mode(max(modes, key=_narrowness)) if modes else None,
        )


def _mode(control: Control) -> Mode:
    """Return what a control says; "off" for a word that is not known here, such as one of a newer Steersman."""
    said = control.choices.get("mode")
    return next((each for each in MODES if each == said), "off")

"""The port of trackers: what a training run is told to, and the run as it is read back."""

import logging
import math
from collections.abc import Callable, Iterable, Mapping
from typing import Literal, Protocol

import msgspec

from steersman.core.errors import InvalidInput
from steersman.core.ids import TimeOrderedIds

Param = str | int | float | bool
State = Literal["running", "done", "failed"]
_PLAIN = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-")
_logger = logging.getLogger("steersman")
_ids = TimeOrderedIds()


class Begun(msgspec.Struct, frozen=True, kw_only=True, tag="begun"):
    """The head of a run. id: sorts by time. unit: what a step is. at: unix seconds."""

    id: str
    name: str
    agent: str
    at: float
    params: dict[str, Param] = {}
    unit: str = "updates"


class Logged(msgspec.Struct, frozen=True, kw_only=True, tag="logged"):
    """Metrics at a step. odd: those that were no finite numbers, in words ("nan", "inf", "-inf")."""

    step: int
    at: float
    values: dict[str, float] = {}
    odd: dict[str, str] = {}


class Kept(msgspec.Struct, frozen=True, kw_only=True, tag="kept"):
    """An artefact of a run: its name and size in bytes."""

    artefact: str
    size: int


class Named(msgspec.Struct, frozen=True, kw_only=True, tag="named"):
    """An alias that a run got, such as champion."""

    alias: str


class Ended(msgspec.Struct, frozen=True, kw_only=True, tag="ended"):
    """The end of a run. reason: why it failed; "" where it did not."""

    at: float
    reason: str = ""


Line = Begun | Logged | Kept | Named | Ended


class Run(msgspec.Struct, kw_only=True):
    """A run as far as it was told. metrics: by name, (step, value) pairs by rising step. heard_at: the last word of it."""

    begun: Begun
    state: State = "running"
    reason: str = ""
    heard_at: float
    metrics: dict[str, list[tuple[int, float]]] = {}
    odd: list[tuple[int, str, str]] = []
    artefacts: dict[str, int] = {}
    aliases: list[str] = []

    @property
    def step(self) -> int:
        """The last step that something was logged at."""
        return max((points[-1][0] for points in self.metrics.values()), default=0)


class Tracker(Protocol):
    """Where training runs are told. A run that went down goes on when something is logged to its id again."""

    def begin(self, run: Begun) -> None:
        """Begin a run. To begin it again changes nothing."""

    def log(self, run: str, logged: Logged) -> None:
        """Log metrics at a step. What is no finite number is marked as such, and never becomes a point."""

    def artefact(self, run: str, name: str, data: bytes) -> None:
        """Keep a file of a run. Raises InvalidInput for a name that is more than a file's."""

    def alias(self, run: str, alias: str) -> None:
        """Give an alias, such as champion, to what a run made."""

    def end(self, run: str, ended: Ended) -> None:
        """End a run, well or, with a reason, not."""


class KeptRuns(Tracker, Protocol):
    """A tracker that can be read back: what the dashboard shows."""

    def run(self, run: str) -> Run:
        """Return a run as far as it was told. Raises NotFound."""

    def runs(self, limit: int = 50) -> list[Run]:
        """Return the last runs, newest first."""

    def kept(self, run: str, name: str) -> bytes:
        """Return an artefact. Raises NotFound."""


def begin(name: str, *, agent: str, at: float, params: Mapping[str, Param] | None = None, unit: str = "updates") -> Begun:
    """Return the head of a new run."""
    return Begun(id=_ids(), name=name, agent=agent, at=at, params=dict(params or {}), unit=unit)


def logged(step: int, metrics: Mapping[str, float], *, at: float) -> Logged:
    """Return metrics at a step, those that are no finite numbers apart from the others."""
    values = {name: float(value) for name, value in metrics.items()}
    finite = {name: value for name, value in values.items() if math.isfinite(value)}
    odd = {name: str(value) for name, value in values.items() if name not in finite}
    return Logged(step=step, at=at, values=finite, odd=odd)


def file_name(name: str) -> str:
    """Return a name that can be that of a file anywhere. Raises InvalidInput for any other."""
    if not name or len(name) > 100 or name.startswith(".") or not _PLAIN.issuperset(name):
        raise InvalidInput(f"{name[:100]!r} can be no file's name. Use letters, digits, '.', '_' and '-', at most 100.")
    return name


def fold(lines: Iterable[Line]) -> Run | None:
    """Return the run that lines tell of; None where none of them begins it.

    A run that was resumed from a checkpoint says some steps again: what it says later counts, and what came after that
    step before is dropped.
    """
    run: Run | None = None
    for line in lines:
        if run is None:
            run = Run(begun=line, heard_at=line.at) if isinstance(line, Begun) else None
        else:
            _add(run, line)
    return run


def _add(run: Run, line: Line) -> None:
    match line:
        case Logged():
            run.state, run.reason, run.heard_at = "running", "", line.at
            for name, value in line.values.items():
                _point(run.metrics.setdefault(name, []), line.step, value)
            run.odd.extend((line.step, name, said) for name, said in line.odd.items())
        case Kept():
            run.artefacts[line.artefact] = line.size
        case Named():
            run.aliases = [*(each for each in run.aliases if each != line.alias), line.alias]
        case Ended():
            run.state, run.reason, run.heard_at = "failed" if line.reason else "done", line.reason, line.at
        case Begun():
            pass


def _point(points: list[tuple[int, float]], step: int, value: float) -> None:
    while points and points[-1][0] >= step:
        points.pop()
    points.append((step, value))


class Quiet:
    """Several trackers as one that never breaks training: one that fails is noted once, and not asked again.

    note: is told what failed; by default the log of Python is.
    """

    def __init__(self, trackers: Iterable[Tracker], note: Callable[[str], None] = _logger.warning) -> None:
        self._trackers = list(trackers)
        self._note = note

    def begin(self, run: Begun) -> None:
        """Begin a run with each."""
        self._each(lambda tracker: tracker.begin(run))

    def log(self, run: str, logged: Logged) -> None:
        """Log metrics with each."""
        self._each(lambda tracker: tracker.log(run, logged))

    def artefact(self, run: str, name: str, data: bytes) -> None:
        """Keep a file with each."""
        self._each(lambda tracker: tracker.artefact(run, name, data))

    def alias(self, run: str, alias: str) -> None:
        """Give an alias with each."""
        self._each(lambda tracker: tracker.alias(run, alias))

    def end(self, run: str, ended: Ended) -> None:
        """End a run with each."""
        self._each(lambda tracker: tracker.end(run, ended))

    def _each(self, tell: Callable[[Tracker], None]) -> None:
        for tracker in list(self._trackers):
            try:
                tell(tracker)
            except Exception as error:  # noqa: BLE001 - whatever a tracker does, training goes on
                self._trackers.remove(tracker)
                self._note(f"{type(tracker).__name__} is not told of training any more: {type(error).__name__}: {error}")

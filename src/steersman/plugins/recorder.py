"""A run while it goes on: what pytest reports of each test, as lines of the store."""

import contextlib
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import pytest

from steersman.core.ids import TimeOrderedIds
from steersman.plugins.runs import (
    FAILED,
    PASSED,
    SKIPPED,
    Run,
    RunStore,
    RunWriter,
    first_line,
    last_line,
    line_of,
    parsed,
)


@dataclass(kw_only=True)
class _Seen:
    """What the phases of a test came to so far; `rerun` says that its last failure is being tried again."""

    seconds: float = 0.0
    failed: bool = False
    skipped: bool = False
    reruns: int = 0
    rerun: bool = False


@dataclass(frozen=True, kw_only=True)
class FirstFailure:
    """Which test failed first: its place in the run, from 1 on, and when that was, in seconds from the first test."""

    place: int
    after_s: float


class Recorder:
    """Writes a line for each test that is over. A run in which no test came to its end leaves nothing."""

    def __init__(self, store: RunStore, about: Mapping[str, Any], clock: Callable[[], float] = time.perf_counter) -> None:
        self._store, self._about, self._clock = store, about, clock
        self.id = TimeOrderedIds()()
        self._writer: RunWriter | None = None
        self._open: dict[str, _Seen] = {}
        self._lines: list[str] = []
        self._began = clock()
        self.first_failure: FirstFailure | None = None

    @property
    def over(self) -> int:
        """How many tests are over."""
        return len(self._lines)

    @property
    def lasted_s(self) -> float:
        """How long the run has taken up to now."""
        return self._clock() - self._began

    def report(self, report: pytest.TestReport) -> None:
        """Take a phase of a test in. Raises OSError where the store cannot be written."""
        if not self._lines and not self._open:
            self._began = self._clock() - report.duration
        seen = self._open.setdefault(report.nodeid, _Seen())
        if type(report) is pytest.TestReport:  # those of subtests are within the test's own time
            seen.seconds += report.duration
        seen.rerun = str(report.outcome) == "rerun" or (seen.rerun and report.when == "teardown")
        seen.reruns += str(report.outcome) == "rerun"
        seen.failed |= report.outcome == "failed"
        seen.skipped |= report.outcome == "skipped" and not hasattr(report, "wasxfail")

    def finish(self, test: str) -> None:
        """Write the line of a test that is over, where it is not about to run again."""
        seen = self._open.get(test)
        if seen is None or seen.rerun:
            return
        del self._open[test]
        verdict = FAILED if seen.failed else SKIPPED if seen.skipped else PASSED
        if seen.failed and self.first_failure is None:
            self.first_failure = FirstFailure(place=self.over + 1, after_s=self.lasted_s)
        self._lines.append(line_of(test, seen.seconds, verdict, seen.reruns))
        if self._writer is None:
            self._writer = self._store.begin(self.id)
            self._writer.write(first_line(self._about))
        self._writer.write(self._lines[-1])

    def end(self, exit_status: int, *, whole: bool) -> None:
        """Write what is left, such as the test in which a worker crashed, and the last line."""
        for test, seen in [*self._open.items()]:
            seen.rerun = False
            if seen.failed:
                self.finish(test)
        if self._writer is not None:
            self._writer.write(last_line(exit_status, whole=whole))
            self._writer.close()

    def drop(self) -> None:
        """Let go of the store in the middle of a run, so that nothing of ours stays open in the process of others."""
        if self._writer is not None:
            with contextlib.suppress(Exception):
                self._writer.close()

    def run(self) -> Run:
        """Return the run as the store has it by now."""
        return parsed(self.id, "".join([first_line(self._about), *self._lines]).encode())

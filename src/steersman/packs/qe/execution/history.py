"""What earlier cycles showed about each test. Nothing of the present cycle, or of a later one, can be asked for."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from steersman.core.errors import Conflict

_SMOOTH = 0.3


@dataclass(kw_only=True)
class TestRecord:
    """What is known about one test: runs, failures, the cycle of the last failure (-1: never), mean duration (s)."""

    __test__ = False
    runs: int = 0
    failures: int = 0
    flakes: int = 0
    last_failure: int = -1
    failed_last: bool = False
    duration_s: float = 0.01


@dataclass(frozen=True, kw_only=True)
class Seen:
    """What one run of a cycle showed about one test. `flaky`: it failed and then passed, or failed without a fault."""

    test: str
    failed: bool
    flaky: bool
    duration_s: float


class History:
    """The tests' records, cycle by cycle.

    Cycles are observed in order, each once and after all its decisions; `at(cycle)` refuses to answer for a cycle that
    has been observed already, so that no ranking can use what it should predict.
    """

    def __init__(self, durations_s: Mapping[str, float] | None = None) -> None:
        self._records = {name: TestRecord(duration_s=each) for name, each in (durations_s or {}).items()}
        self._observed = -1

    def observe(self, cycle: int, runs: Iterable[Iterable[Seen]]) -> None:
        """Add what the runs of a cycle showed. Raises Conflict unless the cycle is later than all before it."""
        if cycle <= self._observed:
            raise Conflict(f"cycle {cycle} comes after cycle {self._observed} was observed; cycles are observed in order.")
        self._observed = cycle
        runs = [list(run) for run in runs]
        failed_now = {seen.test: False for run in runs for seen in run}
        for seen in (seen for run in runs for seen in run):
            self._add(cycle, seen)
            failed_now[seen.test] |= seen.failed
        for name, failed in failed_now.items():
            self._records[name].failed_last = failed

    def at(self, cycle: int) -> Mapping[str, TestRecord]:
        """Return the records as they stood before `cycle`. Raises Conflict where that cycle was observed already."""
        if cycle <= self._observed:
            raise Conflict(f"the history has seen cycle {self._observed}; it cannot rank for cycle {cycle}.")
        return self._records

    @property
    def failing(self) -> frozenset[str]:
        """The tests that failed when they last ran."""
        return frozenset(name for name, record in self._records.items() if record.failed_last)

    @property
    def flaky_rate(self) -> float:
        """The share of the known tests that were ever seen to be flaky.

        It does not fade: a policy that runs few tests sees little flakiness, which says nothing about the suite.
        """
        return sum(record.flakes > 0 for record in self._records.values()) / max(len(self._records), 1)

    def _add(self, cycle: int, seen: Seen) -> None:
        record = self._records.setdefault(seen.test, TestRecord(duration_s=seen.duration_s))
        record.runs += 1
        record.flakes += seen.flaky
        record.duration_s += _SMOOTH * (seen.duration_s - record.duration_s)
        if seen.failed:
            record.failures += 1
            record.last_failure = cycle


def recency(record: TestRecord, cycle: int, half_life: float = 3.0) -> float:
    """Return 2^(−age/half_life), with the age in cycles since the last failure; 0 for a test that never failed."""
    return 0.0 if record.last_failure < 0 else math.pow(2.0, -(cycle - record.last_failure) / half_life)

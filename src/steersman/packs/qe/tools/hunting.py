"""Run a project's suite many times under shifted conditions, and tell which tests did not always end the same way."""

import json
import math
import os
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Literal

import numpy as np

from steersman.packs.qe.fleet.site import Site
from steersman.packs.qe.project.suite import Plan, RunResult

Cause = Literal["none", "intermittent", "environmental", "timing"]
Order = Literal["file", "reversed", "shuffled"]
COMPETITORS = 9
"""Processes that compete with the tests for a core in a run under load, which takes so much longer at most."""
_DAYS = (2, 32, 370)  # 2, 4 and 6 days on in the week: from any day, some of them are working days and some are not
_HOURS = (6, 12, 18)
_LEAST_S = 1.0


@dataclass(frozen=True, kw_only=True)
class Shift:
    """How one run differs from the suite as it is. hash_seed: None for the same as always. clock_s: how far ahead it is.

    A clock that is 0 ahead is a control: it is replaced as well, so that what fails by the replacement alone is seen.
    """

    order: Order = "file"
    hash_seed: int | None = None
    clock_s: float | None = None
    load: int = 0
    alone: bool = False


@dataclass(frozen=True, kw_only=True)
class Observed:
    """The outcomes of some runs, each with its shift. cpu_s and wall_s: of all runs. tests_s: in tests, of the first."""

    runs: tuple[tuple[Shift, Mapping[str, bool]], ...]
    cpu_s: float
    wall_s: float
    tests_s: float

    def failures(self, test: str) -> list[tuple[Shift, bool]]:
        """Return the runs of a test and whether it failed, without those under a clock that it does not bear."""
        seen = [(shift, failed[test]) for shift, failed in self.runs if test in failed]
        if any(failed for shift, failed in seen if shift.clock_s == 0.0):
            return [each for each in seen if each[0].clock_s is None]
        return seen

    def flaky(self) -> dict[str, Cause]:
        """Return the tests that passed in some runs and failed in others, each with the kind of its cause."""
        tests = dict.fromkeys(test for _, failed in self.runs for test in failed)
        found = {test: self.failures(test) for test in tests}
        return {test: _cause(seen) for test, seen in found.items() if len({failed for _, failed in seen}) == 2}

    def failed_once(self) -> dict[str, Cause]:
        """Return the tests that failed in some run or in all of them."""
        return {test: "none" for _, failed in self.runs for test, value in failed.items() if value}


def _cause(seen: Sequence[tuple[Shift, bool]]) -> Cause:
    """Return what a flaky test depends on: on chance where runs of one condition differ, else on what sets them apart."""
    plain = {failed for shift, failed in seen if not (shift.clock_s or shift.load or shift.alone or shift.order != "file")}
    if len(plain) == 2:
        return "intermittent"
    usual = next(iter(plain), False)
    changed = [shift for shift, failed in seen if failed != usual]
    return "timing" if all(shift.clock_s or shift.load for shift in changed) else "environmental"


def can_fork() -> bool:
    """Return whether tests can run in processes of their own and under load here."""
    return hasattr(os, "fork")


def runs_needed(rate: float, missed: float) -> int:
    """Return the runs after which a test that fails in a share `rate` of them is unseen with probability ≤ `missed`.

    The smallest n with (1 − rate)ⁿ ≤ missed.
    """
    return math.ceil(math.log(missed) / math.log(1.0 - rate))


def clock_shifts(now: datetime) -> list[float]:
    """Return by how many seconds to shift the clock: to other days of the week, months and years, at other hours."""
    targets = [
        now.replace(hour=(now.hour + hours) % 24) + timedelta(days=days) for days, hours in zip(_DAYS, _HOURS, strict=True)
    ]
    return [(each - now).total_seconds() for each in targets]


def observe(site: Site, shifts: Sequence[Shift], *, budget_s: float) -> Observed:
    """Run the suite of the copy as it stands once for each shift, for `budget_s` seconds at most in all.

    What the time is over for is left out; a run that was killed counts for the tests that had ended. A run under load is
    left out where it may take more than is left.
    """
    runs: list[tuple[Shift, Mapping[str, bool]]] = []
    collected: tuple[str, ...] = ()
    begun, cpu_s, tests_s = time.monotonic(), 0.0, 0.0
    with _prepared(site):
        for shift in shifts:
            left = budget_s - (time.monotonic() - begun)
            if left < max(_LEAST_S, (COMPETITORS + 1) * tests_s if shift.load else 0.0):
                continue
            done = _run(site, shift, collected, left)
            outcomes = {name: each.failed for name, each in done.tests.items() if each.outcome != "skipped"}
            collected = collected or tuple(done.tests)
            tests_s = tests_s or sum(each.duration_s for each in done.tests.values())
            cpu_s += done.cpu_s
            runs.append((shift, outcomes))
    return Observed(runs=tuple(runs), cpu_s=cpu_s, wall_s=time.monotonic() - begun, tests_s=tests_s)


def _run(site: Site, shift: Shift, collected: tuple[str, ...], timeout_s: float) -> RunResult:
    """Run the suite once under a shift."""
    plan = site.sandbox.scratch / "shift.json"
    plan.write_text(json.dumps({"clock_s": shift.clock_s, "load": shift.load, "alone": shift.alone}), encoding="utf-8")
    site.suite.extra_env["PYTHONHASHSEED"] = str(shift.hash_seed or 0)
    # forks of one process share more than two processes do, and chance is what is looked for
    return site.suite.run(Plan(order=_ordered(shift, collected)), timeout_s=timeout_s, timed=True)


def _ordered(shift: Shift, collected: tuple[str, ...]) -> tuple[str, ...]:
    if shift.order == "reversed":
        return collected[::-1]
    if shift.order == "shuffled":
        mixed = np.random.default_rng(shift.hash_seed or 0).permutation(len(collected))
        return tuple(collected[int(each)] for each in mixed)
    return ()


@contextmanager
def _prepared(site: Site) -> Iterator[None]:
    """Give the runs the plugin that shifts, and a folder for temporary files that they share and that is gone afterwards."""
    scratch = site.sandbox.scratch
    plugin, temporary = scratch / "steersman_shift.py", scratch / "hunt"
    shutil.copyfile(Path(__file__).with_name("shift.py"), plugin)
    temporary.mkdir(exist_ok=True)
    shifted = {"PYTEST_PLUGINS": "steersman_shift", "STEERSMAN_SHIFT": str(scratch / "shift.json"), "TMPDIR": str(temporary)}
    try:
        with site.suite.under(**shifted):
            yield
    finally:
        plugin.unlink(missing_ok=True)
        shutil.rmtree(temporary, ignore_errors=True)

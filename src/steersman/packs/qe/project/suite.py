"""Run a project's pytest suite for real, by a plan, and measure it."""

import contextlib
import json
import math
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from steersman.core.errors import DeadlineExceeded, InvalidInput
from steersman.packs.qe.project.process import Finished, run_group
from steersman.packs.qe.project.sandbox import Sandbox
from steersman.packs.qe.project.standstill import Standstill, entries

_USAGE_ERROR = (3, 4)
_NO_TESTS = 5
_OVER = "the time for this work is over, so the tests were not run to their end."
_LEAST_LIMIT_S, _TEST_SHARE, _SLOWER = 10.0, 0.25, 3.0
_OPTIONAL = {
    "hypothesis": "hypothesispytest",
    "timeout": "timeout",
    "benchmark": "benchmark",
    "asyncio": "asyncio",
    "anyio": "anyio",
    "schemathesis": "schemathesis",
    "faker": "faker",
    "valkey": "valkey",
    "steersman": "steersman",
}
"""Plugins that do nothing for a project that does not name them, and take up to seconds to load: by what it would name."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How to run a suite: `order` ranks node ids, `whole` names files that run in full, `rest` lets all others follow."""

    order: tuple[str, ...] = ()
    whole: tuple[str, ...] = ()
    rest: bool = True
    workers: int = 1
    retry: int = 0
    contexts: bool = False

    @property
    def empty(self) -> bool:
        """Whether nothing is to run."""
        return not (self.rest or self.order or self.whole)

    @property
    def files(self) -> tuple[str, ...]:
        """The test files to collect; none stands for all that pytest finds."""
        return () if self.rest else tuple(dict.fromkeys([*(each.split("::")[0] for each in self.order), *self.whole]))


@dataclass(frozen=True, kw_only=True)
class TestResult:
    """How one test ended: its outcome after retries, how often it was rerun, and when it was known (s since the start).

    broke_off: it did not come to an end by itself, but was cut off at its limit or took the whole run down.
    """

    __test__ = False
    outcome: str
    reruns: int
    duration_s: float
    at_s: float
    broke_off: bool = False

    @property
    def failed(self) -> bool:
        """Whether the last attempt failed."""
        return self.outcome == "failed"


@dataclass(frozen=True, kw_only=True)
class RunResult:
    """One run of a suite. `uncollected` holds the files that pytest could not import, with the end of the error.

    `unfinished` began and did not end: with them the run broke off, and what stood behind them did not run.
    """

    tests: Mapping[str, TestResult]
    uncollected: Mapping[str, str] = field(default_factory=dict)
    wall_s: float = 0.0
    cpu_s: float = 0.0
    peak_mb: float = 0.0
    timed_out: bool = False
    unfinished: tuple[str, ...] = ()
    tail: str = ""

    @property
    def broke_off(self) -> frozenset[str]:
        """The tests that did not come to an end by themselves."""
        return frozenset(name for name, each in self.tests.items() if each.broke_off)

    @property
    def failures(self) -> dict[str, float]:
        """The node ids that failed, with the seconds after which each was known; a file that broke counts by its name."""
        failed = {name: each.at_s for name, each in self.tests.items() if each.failed}
        return failed | dict.fromkeys(self.uncollected, self.wall_s)


NOTHING = RunResult(tests={})


_Way = Callable[[Plan, Mapping[str, str], Standstill, float], Finished | None]


class Suite:
    """The test suite of a sandbox.

    `memory_mb` limits each process (0: no limit); `stop` ends a run from another thread; after `deadline` (by
    `time.monotonic`) nothing is run any more. `left_out` are tests that are never run: those that would never end.
    `slowest_s` is what the slowest of the others takes, once that was measured.
    """

    def __init__(
        self,
        sandbox: Sandbox,
        *,
        memory_mb: float = 0.0,
        stop: threading.Event | None = None,
        deadline: float = math.inf,
    ) -> None:
        self.sandbox = sandbox
        self.memory_mb = memory_mb
        self.stop = stop
        self.deadline = deadline
        self.left_out = sandbox.project.left_out
        self.slowest_s = 0.0
        self.extra_env: dict[str, str] = {}

    @contextlib.contextmanager
    def under(self, **environment: str) -> Iterator[None]:
        """Add variables to the environment of the runs for a while."""
        before = dict(self.extra_env)
        self.extra_env |= environment
        try:
            yield
        finally:
            self.extra_env = before

    def run(self, plan: Plan, *, timeout_s: float, timed: bool = False) -> RunResult:
        """Run the planned tests and return what happened; a run over `timeout_s` is killed and says so.

        A test that takes a quarter of that, over ten seconds and over three times what the slowest took, is cut off and has
        failed. timed: the run shall take what it takes a user; else it may begin sooner, where pytest is loaded already.
        Raises InvalidInput where pytest refuses its options or configuration, or imports the package under test from
        outside the sandbox, DeadlineExceeded after the deadline. Tests that fail, and files that cannot be imported, are
        results, not errors.
        """
        if plan.empty:
            return NOTHING
        env = self.sandbox.environment() | self.extra_env
        result, load_s = None, min(timeout_s, self.deadline - time.monotonic())
        if not timed and plan.workers == 1 and self.sandbox.warm.ready(env, load_s, self._is_stopped):
            result = self._ran(self._forked, plan, env, timeout_s)
        if result is None:
            result = self._ran(self._started, plan, env, timeout_s)
        assert result is not None  # noqa: S101 - a process is always started, or an error raised
        return result

    def _ran(self, way: _Way, plan: Plan, env: Mapping[str, str], timeout_s: float) -> RunResult | None:
        """Run the tests in one of two ways and return what happened; None where that way is none."""
        left_s = self.deadline - time.monotonic()
        if left_s <= 0.0:
            raise DeadlineExceeded(_OVER)
        # a share of the time that the run is given, not of what is left: a slow test shall not fail for that
        limit_s = max(_LEAST_LIMIT_S, timeout_s * _TEST_SHARE, _SLOWER * self.slowest_s)
        timeout_s, cut = min(timeout_s, left_s), left_s < timeout_s
        out = self.sandbox.scratch / "result.jsonl"
        outside = Path(f"{out}.outside")
        for old in (out, outside):
            old.unlink(missing_ok=True)
        still = Standstill(out, patience_s=1.5 * limit_s)
        told = self.sandbox.scratch / "plan.json"
        told.write_text(json.dumps(self._probe_plan(plan, out, limit_s)), encoding="utf-8")
        finished = way(plan, {**env, "STEERSMAN_PROBE": str(told)}, still, timeout_s)
        if finished is None:
            return None
        if outside.exists():
            raise InvalidInput(
                f"the tests imported {outside.read_text(encoding='utf-8')}, not from the sandbox, so faults would not be "
                "seen. Use an interpreter without an editable install of the project: --python PATH."
            )
        tail = finished.tail.replace(f"{self.sandbox.root}{os.sep}", "")
        result = _result(out, replace(finished, tail=tail), stood_still=still.seen)
        if result.timed_out and cut:
            raise DeadlineExceeded(_OVER)  # that is not what the tests did, so nobody shall learn from it
        return result

    def _forked(self, plan: Plan, env: Mapping[str, str], still: Standstill, timeout_s: float) -> Finished | None:
        """Run pytest where it is loaded; return None where that cannot be done."""
        return self.sandbox.warm.run(
            self._module(plan),
            env=env,
            timeout_s=timeout_s,
            log=self._log,
            memory_mb=self.memory_mb,
            stop=lambda: still() or self._is_stopped(),
        )

    def _started(self, plan: Plan, env: Mapping[str, str], still: Standstill, timeout_s: float) -> Finished:
        """Run pytest in a process that is started for it."""
        return run_group(
            [self.sandbox.project.tools.interpreter, "-m", *self._module(plan)],
            cwd=self.sandbox.root,
            env=env,
            timeout_s=timeout_s,
            log=self._log,
            memory_mb=self.memory_mb,
            stop=lambda: still() or self._is_stopped(),
        )

    def _is_stopped(self) -> bool:
        return self.stop is not None and self.stop.is_set()

    @property
    def _log(self) -> Path:
        return self.sandbox.scratch / "pytest.log"

    def _probe_plan(self, plan: Plan, out: Path, limit_s: float) -> dict[str, Any]:
        return {
            "without": sorted(self.left_out),
            "limit_s": limit_s,
            "order": plan.order,
            "whole": plan.whole,
            "rest": plan.rest,
            "contexts": plan.contexts,
            "out": str(out),
            "start": time.time(),
            "inside": str(self.sandbox.root),
            "packages": self.sandbox.project.packages,
        }

    def _module(self, plan: Plan) -> list[str]:
        """Return the module that runs the plan, with its arguments."""
        measured = ["coverage", "run", f"--rcfile={self.sandbox.scratch / 'coveragerc'}", "-m"] if plan.contexts else []
        return [*measured, "pytest", *self._arguments(plan)]

    def _arguments(self, plan: Plan) -> list[str]:
        project = self.sandbox.project
        given = [*plan.files, "-p", "steersman_probe"]
        given += ["-q", "--no-header", "--tb=no", "--color=no", "-p", "no:cacheprovider", f"--rootdir={self.sandbox.root}"]
        given += ["--continue-on-collection-errors", "--maxfail=0", "-p", "no:randomly", "-p", "no:random_order"]
        given += self._workers(plan.workers)
        if plan.retry:
            given += ["--reruns", str(plan.retry)]
        if "--cov" in project.words:
            given += ["--no-cov"]
        elif project.tools.cov_plugin:
            given += ["-p", "no:pytest_cov"]
        for word, plugin in _OPTIONAL.items():
            if word not in project.words:
                given += ["-p", f"no:{plugin}"]
        if "hypothesis" in project.words and project.tools.hypothesis:
            given += ["--hypothesis-seed=0"]
        return given

    def _workers(self, workers: int) -> list[str]:
        project = self.sandbox.project
        if workers > 1:
            return ["-n", str(workers), "--dist=load", "--maxschedchunk=1"]
        if not project.tools.xdist:
            return []
        return ["-n", "0"] if "-n" in project.words else ["-p", "no:xdist"]


def _result(out: Path, finished: Finished, *, stood_still: bool) -> RunResult:
    tests: dict[str, TestResult] = {}
    uncollected: dict[str, str] = {}
    begun: dict[str, float] = {}
    status = None
    for entry in entries(out):
        outcome, name = entry["outcome"], entry.get("id", "")
        if outcome == "begun":
            begun.setdefault(name, entry["at"])
        elif outcome == "end":
            status = entry["status"]
        elif outcome == "collect":
            uncollected[name] = entry["text"]
        else:
            begun.pop(name, None)
            tests[name] = _test_result(entry)
    timed_out = finished.timed_out and not stood_still and status is None
    if not timed_out:
        tests |= {name: _broke_off(at_s, finished.wall_s) for name, at_s in begun.items()}
    exit_code = finished.exit_code if status is None else status
    broken = exit_code in _USAGE_ERROR or (exit_code not in (0, 1, _NO_TESTS) and not tests)
    if broken and not uncollected and not timed_out:
        raise InvalidInput(f"pytest ended with exit code {exit_code} before any test:\n{finished.tail.strip()}")
    return RunResult(
        tests=tests,
        uncollected=uncollected,
        wall_s=finished.wall_s,
        cpu_s=finished.cpu_s,
        peak_mb=finished.peak_mb,
        timed_out=timed_out,
        unfinished=tuple(begun),
        tail=finished.tail,
    )


def _test_result(entry: Mapping[str, Any]) -> TestResult:
    return TestResult(
        outcome=entry["outcome"],
        reruns=entry["reruns"],
        duration_s=entry["duration"],
        at_s=entry["at"],
        broke_off=entry.get("cut_off", False),
    )


def _broke_off(began_s: float, ended_s: float) -> TestResult:
    return TestResult(outcome="failed", reruns=0, duration_s=max(ended_s - began_s, 0.0), at_s=ended_s, broke_off=True)


def cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def memory_available_mb() -> float:
    """Return the memory that is free for new processes, in MB; 1024 where the system does not say."""
    try:
        lines = Path("/proc/meminfo").read_text(encoding="utf-8").splitlines()
        return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("MemAvailable"))
    except (OSError, StopIteration, ValueError, IndexError):
        return 1024.0

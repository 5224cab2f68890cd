"""Run a project's pytest suite for real, by a plan, and measure it."""

import json
import os
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from steersman.core.errors import InvalidInput
from steersman.packs.qe.project.process import Finished, run_group
from steersman.packs.qe.project.sandbox import Sandbox

_USAGE_ERROR = (3, 4)
_NO_TESTS = 5
_OPTIONAL = {
    "hypothesis": "hypothesispytest",
    "timeout": "timeout",
    "benchmark": "benchmark",
    "asyncio": "asyncio",
    "anyio": "anyio",
    "schemathesis": "schemathesis",
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
    """How one test ended: its outcome after retries, how often it was rerun, and when it was known (s since the start)."""

    __test__ = False
    outcome: str
    reruns: int
    duration_s: float
    at_s: float

    @property
    def failed(self) -> bool:
        """Whether the last attempt failed."""
        return self.outcome == "failed"


@dataclass(frozen=True, kw_only=True)
class RunResult:
    """One run of a suite. `uncollected` holds the files that pytest could not import, with the end of the error."""

    tests: Mapping[str, TestResult]
    uncollected: Mapping[str, str] = field(default_factory=dict)
    wall_s: float = 0.0
    cpu_s: float = 0.0
    peak_mb: float = 0.0
    timed_out: bool = False
    tail: str = ""

    @property
    def failures(self) -> dict[str, float]:
        """The node ids that failed, with the seconds after which each was known; a file that broke counts by its name."""
        failed = {name: each.at_s for name, each in self.tests.items() if each.failed}
        return failed | dict.fromkeys(self.uncollected, self.wall_s)


NOTHING = RunResult(tests={})


class Suite:
    """The test suite of a sandbox. `memory_mb` limits each process (0: no limit); `stop` ends a run from another thread."""

    def __init__(self, sandbox: Sandbox, *, memory_mb: float = 0.0, stop: threading.Event | None = None) -> None:
        self.sandbox = sandbox
        self.memory_mb = memory_mb
        self.stop = stop
        self.extra_env: dict[str, str] = {}

    def run(self, plan: Plan, *, timeout_s: float) -> RunResult:
        """Run the planned tests and return what happened; a run over `timeout_s` is killed and says so.

        Raises InvalidInput where pytest refuses its options or configuration, or imports the package under test from
        outside the sandbox. Tests that fail, and files that cannot be imported, are results, not errors.
        """
        if plan.empty:
            return NOTHING
        scratch = self.sandbox.scratch
        out = scratch / "result.jsonl"
        outside = Path(f"{out}.outside")
        for old in (out, outside):
            old.unlink(missing_ok=True)
        (scratch / "plan.json").write_text(json.dumps(self._probe_plan(plan, out)), encoding="utf-8")
        env = self.sandbox.environment() | self.extra_env | {"STEERSMAN_PROBE": str(scratch / "plan.json")}
        finished = run_group(
            self._command(plan),
            cwd=self.sandbox.root,
            env=env,
            timeout_s=timeout_s,
            log=scratch / "pytest.log",
            memory_mb=self.memory_mb,
            stop=self.stop,
        )
        if outside.exists():
            raise InvalidInput(
                f"the tests imported {outside.read_text(encoding='utf-8')}, not from the sandbox, so faults would not be "
                "seen. Use an interpreter without an editable install of the project: --python PATH."
            )
        return _result(out, finished)

    def _probe_plan(self, plan: Plan, out: Path) -> dict[str, Any]:
        return {
            "order": plan.order,
            "whole": plan.whole,
            "rest": plan.rest,
            "contexts": plan.contexts,
            "out": str(out),
            "start": time.time(),
            "inside": str(self.sandbox.root),
            "packages": self.sandbox.project.packages,
        }

    def _command(self, plan: Plan) -> list[str]:
        project = self.sandbox.project
        measured = ["-m", "coverage", "run", f"--rcfile={self.sandbox.scratch / 'coveragerc'}"] if plan.contexts else []
        command = [project.tools.interpreter, *measured, "-m", "pytest", *plan.files, "-p", "steersman_probe"]
        command += ["-q", "--no-header", "--tb=no", "--color=no", "-p", "no:cacheprovider", f"--rootdir={self.sandbox.root}"]
        command += ["--continue-on-collection-errors", "--maxfail=0", "-p", "no:randomly", "-p", "no:random_order"]
        command += self._workers(plan.workers)
        if plan.retry:
            command += ["--reruns", str(plan.retry)]
        if "--cov" in project.words:
            command += ["--no-cov"]
        elif project.tools.cov_plugin:
            command += ["-p", "no:pytest_cov"]
        for word, plugin in _OPTIONAL.items():
            if word not in project.words:
                command += ["-p", f"no:{plugin}"]
        if "hypothesis" in project.words and project.tools.hypothesis:
            command += ["--hypothesis-seed=0"]
        return command

    def _workers(self, workers: int) -> list[str]:
        project = self.sandbox.project
        if workers > 1:
            return ["-n", str(workers), "--dist=load", "--maxschedchunk=1"]
        if not project.tools.xdist:
            return []
        return ["-n", "0"] if "-n" in project.words else ["-p", "no:xdist"]


def _result(out: Path, finished: Finished) -> RunResult:
    tests: dict[str, TestResult] = {}
    uncollected: dict[str, str] = {}
    for line in out.read_text(encoding="utf-8").splitlines() if out.exists() else ():
        try:
            entry = json.loads(line)
        except ValueError:
            continue  # the last line of a run that was killed
        if entry["outcome"] == "collect":
            uncollected[entry["id"]] = entry["text"]
        else:
            tests[entry["id"]] = TestResult(
                outcome=entry["outcome"], reruns=entry["reruns"], duration_s=entry["duration"], at_s=entry["at"]
            )
    broken = finished.exit_code in _USAGE_ERROR or (finished.exit_code not in (0, 1, _NO_TESTS) and not tests)
    if broken and not uncollected and not finished.timed_out:
        raise InvalidInput(f"pytest ended with exit code {finished.exit_code} before any test:\n{finished.tail.strip()}")
    return RunResult(
        tests=tests,
        uncollected=uncollected,
        wall_s=finished.wall_s,
        cpu_s=finished.cpu_s,
        peak_mb=finished.peak_mb,
        timed_out=finished.timed_out,
        tail=finished.tail,
    )


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

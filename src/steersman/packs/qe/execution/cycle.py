"""One cycle's work for one decision: the state before it, the run that it asks for, and what was measured."""

import ast
import os
import statistics
from collections.abc import Mapping
from dataclasses import dataclass

from steersman.core.actions import Choice
from steersman.core.state import Scalar
from steersman.packs.qe.execution.history import Seen
from steersman.packs.qe.execution.ranking import Orders
from steersman.packs.qe.execution.selection import Selector
from steersman.packs.qe.faults.change import Change
from steersman.packs.qe.ordering.saved import State
from steersman.packs.qe.project.reference import Reference
from steersman.packs.qe.project.sandbox import Sandbox
from steersman.packs.qe.project.suite import Plan, RunResult, Suite, cores, memory_available_mb

_WORKER_MARGIN_MB = 32.0


@dataclass(frozen=True, kw_only=True)
class Attempt:
    """What came of one action: the measurements to report, and what was seen of each test."""

    measurements: Mapping[str, float]
    seen: tuple[Seen, ...]
    tests_run: int
    timed_out: bool


class Workbench:
    """Carries out actions on a sandbox and remembers what was seen. kept: what `orders.state` returned in earlier runs."""

    def __init__(
        self,
        sandbox: Sandbox,
        suite: Suite,
        reference: Reference,
        flaky: frozenset[str],
        *,
        seed: int,
        flaky_rate: float,
        kept: State | None = None,
    ) -> None:
        self.suite = suite
        self.reference = reference
        self.planted = flaky
        self.selector = Selector(sandbox, reference.coverage)
        self.orders = Orders(reference, self.selector, seed=seed, kept=kept)
        self._sandbox = sandbox
        self._seed = seed
        self._complexity = branches_per_function(sandbox)
        suite.extra_env["STEERSMAN_FLAKY_RATE"] = str(flaky_rate)

    def begin(self, change: Change, reference: Reference, time_left_s: float) -> dict[str, Scalar]:
        """Take note of a change before any decision about it, and return the state."""
        self.reference = reference
        self.selector.coverage = reference.coverage
        self.suite.extra_env["STEERSMAN_FLAKY_SEED"] = f"{self._seed}:{change.cycle}:"
        return self._state(change, time_left_s)

    def carry_out(self, action: Mapping[str, Choice], change: Change, *, timeout_s: float) -> Attempt:
        """Run the suite as the action says and measure what came of it."""
        tests = self.reference.collected
        chosen = self.selector.select(str(action["selection"]), change, tests, self.orders.history.failing(tests))
        plan = Plan(
            order=self.orders.ordered(str(action["order"]), change, [name for name in tests if name in chosen.tests]),
            whole=chosen.whole,
            rest=chosen.everything,
            workers=int(action["workers"]),
            retry=int(action["retry"]),
        )
        return self._measure(self.suite.run(plan, timeout_s=timeout_s, timed=True), change)

    def end(self, change: Change, attempts: list[Attempt]) -> None:
        """Remember what the cycle's runs showed, and teach the learned order."""
        self.orders.observe(change, [seen for attempt in attempts for seen in attempt.seen])

    def _state(self, change: Change, time_left_s: float) -> dict[str, Scalar]:
        tools = self._sandbox.project.tools
        reference, history = self.reference, self.orders.history
        return {
            "tests": len(reference.collected),
            "duration_s": reference.wall_s,
            "cores": cores(),
            "flaky_rate": history.flaky_rate(reference.collected),
            "previous_failures": len(history.failing(reference.collected)),
            "changed_files": len(change.lines) + len(change.whole_files),
            "changed_lines": sum(len(lines) for lines in change.lines.values()),
            "complexity": self._complexity,
            "mean_test_s": statistics.fmean(reference.durations_s.values()),
            "memory_mb": memory_available_mb(),
            "worker_mb": reference.peak_mb + _WORKER_MARGIN_MB,
            "time_left_s": max(time_left_s, 0.0),
            "ci": float(bool(os.environ.get("CI"))),
            "has_xdist": float(bool(tools.xdist)),
            "has_rerunfailures": float(bool(tools.rerunfailures)),
            "has_coverage": float(reference.coverage.available),
        }

    def _measure(self, run: RunResult, change: Change) -> Attempt:
        failures = {name: at for name, at in run.failures.items() if name not in change.known_failing}
        true = {name: at for name, at in failures.items() if name in change.killers}
        found = sum(bool(fault.killers & failures.keys()) for fault in change.faults)
        # With a fault in the code, a test that fails beyond the known killers may be two faults together; only what is
        # known to be flaky counts as a false alarm then.
        false = {name for name in failures if name not in true and (name in self.planted or not change.faults)}
        measurements = {
            "faults_active": float(len(change.faults)),
            "faults_found": float(found),
            "answer_s": min(true.values(), default=run.wall_s),
            "expected_s": change.expected_s,
            "wall_s": run.wall_s,
            "cpu_s": run.cpu_s,
            "expected_cpu_s": change.expected_cpu_s,
            "false_alarms": float(len(false)),
            "timed_out": float(run.timed_out),
        }
        seen = tuple(
            Seen(
                test=name,
                failed=name in failures,
                flaky=name in false or (each.reruns > 0 and not each.failed),
                duration_s=each.duration_s,
            )
            for name, each in run.tests.items()
        )
        return Attempt(
            measurements=measurements,
            seen=seen,
            tests_run=len(run.tests),
            timed_out=run.timed_out,
        )


def branches_per_function(sandbox: Sandbox) -> float:
    """Return the mean number of branches in a function of the package under test, plus one."""
    branches = functions = 0
    for file in sandbox.project.sources:
        try:
            tree = ast.parse(sandbox.read(file))
        except (SyntaxError, ValueError, OSError):
            continue
        for node in ast.walk(tree):
            functions += isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
            branches += isinstance(node, ast.If | ast.For | ast.While | ast.ExceptHandler | ast.BoolOp | ast.IfExp)
    return 1.0 + branches / functions if functions else 1.0

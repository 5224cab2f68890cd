"""`bench test-executor`: let it decide how a project's suite is run after each change, for real, and learn from it."""

import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass

import numpy as np

from steersman.core.errors import InvalidInput
from steersman.core.ports import AgentHandle, Progress, Receipt
from steersman.core.state import StateValues
from steersman.core.values import Arm, Decision
from steersman.packs.qe.agents.test_executor import SAFE
from steersman.packs.qe.agents.test_executor import agent as test_executor
from steersman.packs.qe.bench.report import CycleRow, RunReport, comparison_rows, score
from steersman.packs.qe.execution.cycle import Attempt, Workbench
from steersman.packs.qe.faults.change import Change
from steersman.packs.qe.faults.git_world import open_git_world
from steersman.packs.qe.faults.seeded_world import FaultWorld, World, build_pool, plant_flaky
from steersman.packs.qe.fleet.upcoming import next_action
from steersman.packs.qe.project.discovery import Project, discover
from steersman.packs.qe.project.reference import Reference, measure_reference
from steersman.packs.qe.project.sandbox import Sandbox, open_sandbox
from steersman.packs.qe.project.suite import Suite, memory_available_mb

AGENT = "qe/test-executor"
_TIME_OUT_FACTOR = 10.0
_ACKNOWLEDGE_S = 60.0
_NO_LIMIT_S = 864_000.0


@dataclass(frozen=True, kw_only=True)
class RunOptions:
    """What to run, and for how long.

    path: the project. cycles: changes to make. seed: of faults and flaky tests. git: walk real commits instead of
    seeded faults. python: the interpreter ("": the project's own). timeout_s: limit for one run of the whole suite.
    budget_s: limit for all cycles, looked at between them (0: none). duel_every: every so many cycles both policies
    run on the same change (0: never). final_duels: cycles at the end in which all are duels, at most a third; so is the
    last third of the budget, if they do not come before. faults: killable faults to look for (0: from the cycles).
    screen_s: limit for that search. flaky_tests, flaky_rate: planted flaky tests and their chance to fail an attempt.
    """

    path: str
    cycles: int = 80
    seed: int = 0
    git: bool = False
    python: str = ""
    timeout_s: float = 600.0
    budget_s: float = 0.0
    duel_every: int = 5
    final_duels: int = 16
    faults: int = 0
    screen_s: float = 120.0
    flaky_tests: int = 2
    flaky_rate: float = 0.2

    def __post_init__(self) -> None:
        if self.cycles < 1 or self.timeout_s <= 0 or self.budget_s < 0 or self.duel_every < 0:
            raise InvalidInput("cycles and timeout must be positive; budget and duel interval must not be negative.")
        if not 0 <= self.flaky_rate < 1 or self.flaky_tests < 0 or self.faults < 0 or self.final_duels < 0:
            raise InvalidInput("flaky_rate must lie in [0, 1); flaky_tests, faults and final_duels must not be negative.")


def run(agent: Callable[[str], AgentHandle], options: RunOptions, progress: Progress) -> RunReport:
    """Run the cycles on a sandbox copy and return the report. Raises what `discover`, the sandbox and pytest do."""
    handle = agent(AGENT)
    progress.phase("reading the project", 2)
    project = discover(options.path, options.python or None)
    progress.step(f"{project.name}: {len(project.sources)} source files, {len(project.tests)} test files")
    with ExitStack() as stack:
        sandbox = stack.enter_context(open_sandbox(project))
        progress.step(f"copied to {sandbox.root}")
        session = _Session(handle, options, progress, project, sandbox)
        session.prepare()
        session.play()
        return session.report()


class _Session:
    """One `bench test-executor`, from the sandbox to the report."""

    def __init__(
        self, handle: AgentHandle, options: RunOptions, progress: Progress, project: Project, sandbox: Sandbox
    ) -> None:
        self.handle = handle
        self.options = options
        self.progress = progress
        self.project = project
        self.sandbox = sandbox
        self.suite = Suite(sandbox, memory_mb=0.75 * memory_available_mb())
        self.log: list[CycleRow] = []
        self.notes: list[str] = []
        self.stopped = ""
        self.state: StateValues = {}
        self.pairs = 0
        self.receipt: Receipt | None = None

    def prepare(self) -> None:
        """Measure the reference and build the world."""
        options = self.options
        self.progress.phase("measuring the suite as it is", 2)
        self.planted: tuple[str, ...] = ()
        self.world: World
        if options.git:
            self.world = open_git_world(
                self.sandbox, self.suite, cycles=options.cycles, timeout_s=options.timeout_s, progress=self.progress
            )
        else:
            self.planted = plant_flaky(self.sandbox, options.flaky_tests if options.flaky_rate else 0)
            reference = measure_reference(self.suite, timeout_s=options.timeout_s, progress=self.progress)
            self.world = self._fault_world(reference)
        reference = self.world.reference
        self._say_what_is_missing(reference)
        self.run_limit_s = min(options.timeout_s, max(30.0, _TIME_OUT_FACTOR * reference.wall_s))
        self.bench = Workbench(
            self.sandbox,
            self.suite,
            reference,
            frozenset(self.planted) | reference.flaky,
            seed=options.seed,
            flaky_rate=options.flaky_rate,
        )

    def play(self) -> None:
        """Go through the cycles, until they, the changes or the time are used up."""
        options = self.options
        self.progress.phase(f"{options.cycles} cycles: change, decide, run, learn", options.cycles)
        started = time.monotonic()
        for cycle in range(options.cycles):
            left = options.budget_s - (time.monotonic() - started) if options.budget_s else _NO_LIMIT_S
            if left <= 0:
                self.stopped = f"the time budget of {options.budget_s:.0f} s was used up after {cycle} cycles"
                break
            change = self.world.next(cycle)
            if change is None:
                self.stopped = f"there were no more changes after {cycle} cycles"
                break
            self._cycle(change, left, final=self._is_final(cycle, left))
        if self.receipt is not None:
            self.receipt.wait(_ACKNOWLEDGE_S)  # all that was reported before it is durable then, too
        if self.stopped:
            self._note(self.stopped)

    def report(self) -> RunReport:
        """Return what the run showed."""
        reference = self.world.reference
        final = comparison_rows(self.log, final=True)
        return RunReport(
            project=self.project.name,
            path=str(self.project.root),
            tests=len(reference.collected) - len(self.planted),
            reference_s=reference.wall_s,
            seed=self.options.seed,
            cycles=len({row.cycle for row in self.log}),
            stopped=self.stopped,
            interval="95 % interval of the paired difference, Student's t",
            rows=final,
            all_rows=comparison_rows(self.log, final=False),
            verdict=final[0].verdict,
            next=next_action(
                test_executor, self.handle, dict(self.state or self._any_state()) | {"time_left_s": _NO_LIMIT_S}
            ),
            world=self.world.describe(),
            notes=tuple(self.notes),
            log=tuple(self.log),
        )

    def _is_final(self, cycle: int, left_s: float) -> bool:
        """Return whether the last block has begun: by the count of cycles, or as the last third of the time has."""
        options = self.options
        block = min(options.final_duels, max(options.cycles // 3, 1))
        return cycle >= options.cycles - block or (block > 0 and left_s < options.budget_s / 3.0)

    def _cycle(self, change: Change, left_s: float, *, final: bool) -> None:
        every = self.options.duel_every
        duel = final or (every > 0 and change.cycle % every == every - 1)
        self.state = state = self.bench.begin(change, self.world.reference, left_s)
        arms: list[Arm | None] = [None]
        if duel:
            arms = ["champion", "baseline"] if self.pairs % 2 == 0 else ["baseline", "champion"]
        decisions = [self.handle.decide(state, arm=arm) for arm in arms]
        attempts = [self.bench.carry_out(each.action, change, timeout_s=self.run_limit_s) for each in decisions]
        self.bench.end(change, attempts)
        for decision, attempt in zip(decisions, attempts, strict=True):
            self._report(change, decision, attempt, pair=self.pairs if duel else -1, final=final)
        self.pairs += duel
        self.progress.step(_line(change, self.log[-len(decisions) :]))

    def _report(self, change: Change, decision: Decision, attempt: Attempt, *, pair: int, final: bool) -> None:
        self.receipt = self.handle.report(decision, attempt.measurements, terminated=True, source="bench test-executor")
        reward, components = score(attempt.measurements)
        if attempt.timed_out:
            self._note(f"cycle {change.cycle}: the suite ran over {self.run_limit_s:.0f} s; it was killed with its children")
        self.log.append(
            CycleRow(
                cycle=change.cycle,
                change=change.text,
                arm="learned" if decision.arm in ("champion", "challenger") else decision.arm,
                decision_id=decision.id,
                action=dict(decision.action),
                measurements=attempt.measurements,
                reward=reward,
                components=components,
                tests_run=attempt.tests_run,
                pair=pair,
                final=final,
                say=self.bench.orders.learner.say,
            )
        )

    def _fault_world(self, reference: Reference) -> FaultWorld:
        options = self.options
        generator = np.random.default_rng([options.seed, 1])
        pool = build_pool(
            self.project,
            reference,
            generator,
            target=options.faults or min(max(10, options.cycles // 2), 40),
            timeout_s=min(options.timeout_s, max(10.0, 5.0 * reference.wall_s)),
            budget_s=options.screen_s,
            progress=self.progress,
        )
        dropped = ", ".join(f"{count} {reason}" for reason, count in pool.dropped.items())
        self._note(f"{len(pool.killers)} of {pool.tried} faults make a test fail" + (f" ({dropped})" if dropped else ""))
        return FaultWorld(
            sandbox=self.sandbox,
            reference=reference,
            pool=pool,
            generator=np.random.default_rng([options.seed, 2]),
        )

    def _say_what_is_missing(self, reference: Reference) -> None:
        tools = self.project.tools
        if not tools.xdist:
            self._note("pytest-xdist is missing, so there is only one worker")
        if not tools.rerunfailures:
            self._note("pytest-rerunfailures is missing, so there are no retries")
        if not reference.coverage.available:
            self._note(f"no coverage map: {reference.coverage.reason}")
        if reference.failing:
            self._note(f"{len(reference.failing)} tests fail already and are not counted")
        if reference.flaky:
            self._note(f"{len(reference.flaky)} tests of the project failed in some reference runs only: flaky")

    def _any_state(self) -> StateValues:
        nothing = Change(cycle=0, text="", lines={}, faults=(), expected_s=0.0, expected_cpu_s=0.0)
        return self.bench.begin(nothing, self.world.reference, _NO_LIMIT_S)

    def _note(self, text: str) -> None:
        self.notes.append(text)
        self.progress.note(text)


def _line(change: Change, rows: list[CycleRow]) -> str:
    def one(row: CycleRow) -> str:
        action = " ".join(str(row.action[each]) for each in SAFE)
        m = row.measurements
        found = f"{m['faults_found']:.0f}/{m['faults_active']:.0f} found" if m["faults_active"] else "clean"
        alarm = f", {m['false_alarms']:.0f} false" if m["false_alarms"] else ""
        return f"{row.arm} [{action}] {found}{alarm} in {m['wall_s']:.1f} s: {row.reward:+.0f}"

    return f"{change.text}: " + " | ".join(one(row) for row in rows)

"""`qe run`: the whole fleet works on a project within a budget, and tells what it found, made and learned."""

import math
import resource
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path

from steersman.core.agent import AgentSpec
from steersman.core.errors import InvalidInput, NotFound, SteersmanError
from steersman.core.ports import AgentHandle, Progress
from steersman.packs.qe.fleet.findings import SEVERITIES, unreadable
from steersman.packs.qe.fleet.member import Member, Round, commander, member, roster
from steersman.packs.qe.fleet.memory import Memory
from steersman.packs.qe.fleet.plan import CATEGORIES, Batch, by_category, field_of, next_batch
from steersman.packs.qe.fleet.progress import Watched
from steersman.packs.qe.fleet.rendering.folder import write_report
from steersman.packs.qe.fleet.report import AgentReport, FleetReport, Step, achievements, agent_report, idle
from steersman.packs.qe.fleet.site import Evidence, Site, open_site
from steersman.packs.qe.fleet.tally import Tally
from steersman.packs.qe.fleet.verdict import judge
from steersman.packs.qe.project.discovery import Project, discover
from steersman.packs.qe.project.process import end_all
from steersman.packs.qe.project.suite import cores

_ACKNOWLEDGE_S = 60.0
_LEAST_S = 5.0
_MEASURE_SHARE = 0.4
_PATIENCE = 2.0
"""So many times its turn an agent may take in all, as even a first round must not eat what others need."""
_UNKNOWN_SUITE_S = 0.0


@dataclass(frozen=True, kw_only=True)
class FleetOptions:
    """path: the project. budget_s: for all the work. seed: of what is planted and drawn. python: the project's interpreter.

    rounds: decisions of each agent at most; time ends its turn earlier. timeout_s: limit for one run of a tool or of the
    suite. agents: who works (empty: all). workers: agents at a time (0: as many as there are cores). report: the folder of
    the report. memory: the folder of what skills keep from run to run ("": nowhere).
    """

    path: str
    report: str
    budget_s: float = 600.0
    rounds: int = 3
    seed: int = 0
    python: str = ""
    timeout_s: float = 120.0
    agents: tuple[str, ...] = ()
    workers: int = 0
    memory: str = ""

    def __post_init__(self) -> None:
        if self.budget_s < _LEAST_S or self.timeout_s <= 0 or self.workers < 0 or self.rounds < 1:
            raise InvalidInput(
                f"needs a budget of at least {_LEAST_S:g} s, a positive timeout, no negative number of workers and a round "
                f"at least, got {self.budget_s:g}, {self.timeout_s:g}, {self.workers} and {self.rounds}."
            )


def run(agent: Callable[[str], AgentHandle], options: FleetOptions, progress: Progress) -> FleetReport:
    """Let the fleet work and return its report. Raises what `discover` does; what an agent cannot do is in the report."""
    progress.phase("reading the project", 1)
    project = discover(options.path, options.python or None, tests_needed=False)
    progress.step(f"{project.name}: {len(project.sources)} source files, {len(project.tests)} test files")
    names = tuple(dict.fromkeys(options.agents)) or tuple(roster())
    members = [member(each, agent, "qe run") for each in names]
    spec = commander()
    report = _Fleet(spec, agent(spec.name), members, project, options, Watched(progress)).run()
    return replace(report, written=tuple(str(each) for each in write_report(report, Path(options.report))))


class _Fleet:
    def __init__(
        self,
        spec: AgentSpec,
        handle: AgentHandle,
        members: Sequence[Member],
        project: Project,
        options: FleetOptions,
        progress: Watched,
    ) -> None:
        self._spec, self._handle, self._members, self._project = spec, handle, members, project
        self._options, self._progress = options, progress
        self._evidence = Evidence()
        self._evidence.findings += unreadable(project)
        self._memory = Memory(options.memory)
        self._reports: dict[str, AgentReport] = {}
        self._steps: list[Step] = []
        self._cores = options.workers or cores()
        self._why_not = "it has no tests"
        self._began, self._cpu = time.monotonic(), _cpu_s()

    def run(self) -> FleetReport:
        """Measure the suite, then let all work, those first who need no tests, as theirs is done soonest."""
        self._progress.begin(f"{len(self._members)} agents at work, {self._options.budget_s:.0f} s", len(self._members))
        self._measure_suite()
        waiting, stopped = sorted(self._members, key=lambda each: each.skill.needs_tests), ""
        while waiting:
            if self._left_s() < _LEAST_S:
                stopped = f"the budget of {self._options.budget_s:.0f} s was used up; {len(waiting)} agents did not work"
                break
            batch = self._command(waiting)
            waiting = [each for each in waiting if each not in batch.members]
        for each in waiting:
            self._reports[each.name] = agent_report(each, left_out="the budget was used up before its turn")
        return self._report(stopped)

    def _measure_suite(self) -> None:
        """Measure the suite once for all; a project whose suite cannot run is still worth looking at."""
        if not self._project.tests:
            return
        limit_s = _MEASURE_SHARE * self._options.budget_s
        try:
            with self._site("fleet-commander", limit_s) as site:
                reference = self._evidence.reference(
                    site.suite, timeout_s=min(site.timeout_s, limit_s), progress=self._progress
                )
                self._project = replace(self._project, left_out=reference.hanging)
        except SteersmanError as error:
            self._why_not = str(error)
            self._progress.note(f"the suite could not be measured: {error}")

    def _command(self, waiting: Sequence[Member]) -> Batch:
        decision = self._handle.decide(self._state(waiting))
        batch = next_batch(str(decision.action["action"]), waiting, self._cores)
        before, cpu = time.monotonic(), _cpu_s()
        workers = max(self._cores // batch.side_by_side, 1)
        turn_s = self._left_s() * batch.side_by_side / len(waiting)
        with ThreadPoolExecutor(batch.at_once, thread_name_prefix="steersman-fleet") as pool:
            try:
                values = list(pool.map(lambda each: self._work(each, turn_s, workers), batch.members))
            except BaseException:
                end_all()  # an interrupt: the tools end, so that their threads do
                raise
        wall = time.monotonic() - before
        measurements = {
            "agents": float(len(values)),
            "value": sum(values),
            "wall_s": wall,
            "expected_s": self._options.budget_s * len(values) / len(self._members),
            "cpu_s": _cpu_s() - cpu,
            "missed": float(self._left_s() < 0.0),
        }
        self._handle.report(decision, measurements, terminated=True, source="qe run")
        self._steps.append(
            Step(
                decision_id=decision.id,
                action=dict(decision.action),
                agents=tuple(each.name for each in batch.members),
                wall_s=wall,
                reward=self._spec.reward.score(measurements).reward,
            )
        )
        return batch

    def _work(self, worker: Member, turn_s: float, workers: int) -> float:
        """Let one agent work at a copy of its own; return what it earned between the worst (0) and the best (1).

        workers: the cores that are its share.
        """
        began = time.monotonic()
        rounds: list[Round] = []
        left_out = ""
        try:
            self._check(worker)
            with self._site(worker.name, _PATIENCE * turn_s, workers) as site:
                for made in worker.turn(site, self._options.rounds, turn_s):
                    rounds.append(made)
        except SteersmanError as error:
            left_out = str(error)
        except Exception as error:  # noqa: BLE001 - a fault of one agent is told, and the others go on
            left_out = f"a fault of ours, please report it: {type(error).__name__}: {error}"
        report = agent_report(worker, wall_s=time.monotonic() - began, rounds=rounds, left_out=left_out)
        self._reports[worker.name] = report
        self._progress.done(f"{worker.name}: {report.line}")
        low, high = worker.spec.reward_range
        return 0.0 if report.reward is None else (report.reward - low) / (high - low)

    def _site(self, name: str, most_s: float = math.inf, workers: int = 0) -> AbstractContextManager[Site]:
        """Open a place of work, where no test runs after `most_s` seconds or the end of the budget."""
        return open_site(
            self._project,
            name,
            seed=self._options.seed,
            timeout_s=max(min(self._options.timeout_s, self._left_s()), 1.0),
            progress=self._progress,
            evidence=self._evidence,
            memory=self._memory,
            deadline=min(time.monotonic() + most_s, self._began + self._options.budget_s),
            workers=workers,
        )

    def _check(self, worker: Member) -> None:
        if worker.skill.needs_tests and not self._project.tests:
            raise NotFound("the project has no tests, and this agent needs some")
        if worker.skill.needs_tests and self._evidence.known_reference is None:
            raise NotFound("the suite could not be run, and this agent needs it")

    def _state(self, waiting: Sequence[Member]) -> dict[str, float]:
        counts, reference = by_category(waiting), self._evidence.known_reference
        return {
            "waiting": float(len(waiting)),
            "cores": float(self._cores),
            "time_left": min(max(self._left_s() / self._options.budget_s, 0.0), 1.0),
            "suite_s": _UNKNOWN_SUITE_S if reference is None else reference.wall_s,
            "budget_s": self._options.budget_s,
            "done": float(len(self._reports)),
            **{field_of(each): float(counts.get(each, 0)) for each in CATEGORIES},
        }

    def _left_s(self) -> float:
        return self._options.budget_s - (time.monotonic() - self._began)

    def _report(self, stopped: str) -> FleetReport:
        for each in self._members:
            if each.receipt is not None:
                each.receipt.wait(_ACKNOWLEDGE_S)
        reference = self._evidence.known_reference
        reports = tuple(self._reports[each.name] for each in self._members)
        found, coverage = sum((each.tally for each in reports), Tally()), _coverage(reports)
        findings = sorted(
            dict.fromkeys(self._evidence.findings),
            key=lambda each: (SEVERITIES.index(each.severity), each.file, each.line),
        )
        return FleetReport(
            project=self._project.name,
            path=str(self._project.root),
            seed=self._options.seed,
            budget_s=self._options.budget_s,
            wall_s=time.monotonic() - self._began,
            cpu_s=_cpu_s() - self._cpu,
            tests=0 if reference is None else len(reference.collected),
            suite_s=0.0 if reference is None else reference.wall_s,
            failing=() if reference is None else tuple(sorted(reference.failing)),
            flaky=() if reference is None else tuple(sorted(reference.flaky)),
            verdict=judge(reference, self._why_not, findings),
            agents=reports,
            idle=idle(reports),
            steps=tuple(self._steps),
            findings=tuple(findings),
            files={file: text for each in self._members for file, text in each.files.items()},
            tally=found,
            coverage=coverage,
            achievements=achievements(found, coverage),
            stopped=stopped,
        )


def _coverage(reports: Sequence[AgentReport]) -> tuple[float, float] | None:
    """Return the coverage before the first generated test and after the last one, by whoever measured both."""
    measured = [round.measurements for each in reports for round in each.rounds if "coverage_after" in round.measurements]
    return (measured[0]["coverage_before"], measured[-1]["coverage_after"]) if measured else None


def _cpu_s() -> float:
    """Return the seconds of the processor that this process and those that it started and that have ended have used."""
    used = [resource.getrusage(each) for each in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)

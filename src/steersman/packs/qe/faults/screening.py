"""Run the tests on faults, side by side, each in a copy that one worker owns. The price is not charged to any policy."""

import dataclasses
import math
import threading
from collections.abc import Generator, Mapping, Sequence, Set
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import dataclass
from queue import SimpleQueue

from steersman.core.errors import DeadlineExceeded, InvalidInput
from steersman.core.ports import Progress
from steersman.packs.qe.faults.exposure import limit_s, run_with
from steersman.packs.qe.faults.fate import Fate, Judged
from steersman.packs.qe.faults.mutation import Fault
from steersman.packs.qe.project.discovery import Project
from steersman.packs.qe.project.reference import Reference
from steersman.packs.qe.project.sandbox import bare_sandbox
from steersman.packs.qe.project.suite import Plan, RunResult, Suite

SHORT_S = 10.0
"""A suite that takes no longer runs whole on each fault that is judged thoroughly."""


@dataclass(frozen=True, kw_only=True)
class Pool:
    """The killable faults with the tests that kill each, and how many candidates fell out, by reason."""

    killers: Mapping[Fault, frozenset[str]]
    dropped: Mapping[str, int]

    @property
    def tried(self) -> int:
        """How many candidates were run, or dropped for want of a covering test."""
        return len(self.killers) + sum(self.dropped.values())


def screen(
    project: Project,
    candidates: Sequence[Fault],
    reference: Reference,
    *,
    target: int,
    timeout_s: float,
    deadline: float,
    workers: int,
    memory_mb: float,
    progress: Progress,
) -> Pool:
    """Run candidates until `target` are killable, each against the tests that are known to run its line.

    A candidate is killable if some test that passed before fails with it. It is dropped as "uncovered" where no test
    runs its line, "survived" (equivalent, or too weak a suite), "timed out" (over 10 s and three times what its tests
    take, or over `timeout_s`), or "broke collection". Stops at `deadline` (by `time.monotonic`).
    """
    killers: dict[Fault, frozenset[str]] = {}
    dropped: dict[str, int] = {}
    court = Court(
        project,
        reference,
        timeout_s=timeout_s,
        workers=workers,
        memory_mb=memory_mb,
        deadline=deadline,
        thorough=False,
    )
    with closing(court.judge(candidates)) as answers:
        for each in answers:
            if each.fate == "not run":
                continue
            broken = each.fate == "killed" and not reference.durations_s.keys() >= set(each.killers)
            if each.fate != "killed" or broken:
                reason = "broke collection" if broken else each.fate
                dropped[reason] = dropped.get(reason, 0) + 1
            else:
                killers[each.fault] = frozenset(each.killers)
                count = len(each.killers)
                progress.step(f"{each.fault.name} fails {count} test{'s' if count > 1 else ''}")
            if len(killers) >= target:
                break
    return Pool(killers=killers, dropped=dropped)


class Court:
    """Says what becomes of faults. timeout_s: limit for one run. memory_mb: limit for each process.

    deadline: by `time.monotonic`; what is running then is cut off and says nothing, so that its fault counts as not run.

    thorough: a short suite runs whole on each fault, as does a longer one where a line runs at import. Otherwise the tests
    run that are known to run the line; those that fail then are run without the fault too, as they may lean on tests
    before them. A sole test that fails must fail twice. The map of who runs what is not trusted to see everything (other
    processes, threads of C): faults in lines that no test is known to run are planted together, and if that shows in the
    whole suite, one by one. Where it is not thorough, the map is trusted and one run is enough. together_cpu_s: of the
    run with these faults together, which belongs to none of them.
    """

    def __init__(
        self,
        project: Project,
        reference: Reference,
        *,
        timeout_s: float,
        workers: int,
        memory_mb: float,
        deadline: float = math.inf,
        thorough: bool = True,
    ) -> None:
        self._project, self._reference, self._thorough = project, reference, thorough
        self._timeout_s, self._workers, self._memory_mb, self._deadline = timeout_s, workers, memory_mb, deadline
        self._suites: SimpleQueue[Suite] = SimpleQueue()
        self.together_cpu_s = 0.0

    def judge(self, faults: Sequence[Fault]) -> Generator[Judged]:
        """Yield each fault with its fate, in the given order. Close it to end early: runs are killed, copies removed."""
        stop = threading.Event()
        with ExitStack() as stack:
            self._suites = SimpleQueue()
            for _ in range(self._workers):
                sandbox = stack.enter_context(bare_sandbox(self._project))
                suite = Suite(sandbox, memory_mb=self._memory_mb, stop=stop, deadline=self._deadline)
                suite.left_out |= self._reference.hanging
                suite.slowest_s = self._reference.slowest_s
                self._suites.put(suite)
            executor = ThreadPoolExecutor(self._workers)
            stack.callback(executor.shutdown, wait=True, cancel_futures=True)
            stack.callback(stop.set)
            unseen = {each for each in faults if self._covering(each) == frozenset()}
            quiet = unseen if not self._thorough else self._quiet([each for each in faults if each in unseen])
            waiting: list[Future[Judged]] = []
            queue = iter(faults)
            while True:
                for fault in queue:
                    waiting.append(executor.submit(self._judge, fault, quiet))
                    if len(waiting) > self._workers:
                        break
                if not waiting:
                    return
                yield waiting.pop(0).result()

    def _covering(self, fault: Fault) -> frozenset[str] | None:
        """Return the tests that are known to run the line of a fault; None where that may be any."""
        coverage = self._reference.coverage
        return coverage.tests_of(fault.file, [fault.line]) if coverage.available else None

    def _quiet(self, faults: Sequence[Fault]) -> set[Fault]:
        """Return those of the faults that show in no test of the whole suite when they are all in the code together."""
        together = _apart(faults)
        if not together:
            return set()
        suite = self._suites.get()
        before = {file: suite.sandbox.read(file) for file in {each.file for each in together}}
        try:
            for each in sorted(together, key=lambda fault: -fault.start):
                suite.sandbox.write(each.file, each.apply(suite.sandbox.read(each.file)))
            result = suite.run(Plan(), timeout_s=self._limit_s(Plan()))
            self.together_cpu_s = result.cpu_s
            return set() if result.timed_out or self._new(result) else set(together)
        except (InvalidInput, DeadlineExceeded):  # one of them keeps the suite from starting, or there was no time
            return set()
        finally:
            for file, text in before.items():
                suite.sandbox.write(file, text)
            self._suites.put(suite)

    def _judge(self, fault: Fault, quiet: Set[Fault]) -> Judged:
        if fault in quiet:
            return Judged(fault=fault, fate="uncovered")
        covering = self._covering(fault)
        whole = not covering or (self._thorough and self._reference.wall_s <= SHORT_S)
        plan = Plan() if whole or covering is None else Plan(order=self._in_file_order(covering), rest=False)
        suite = self._suites.get()
        try:
            found = self._run(suite, fault, plan)
            if found.fate == "killed" and self._thorough:
                found = self._confirmed(suite, found, plan)
        except DeadlineExceeded:
            return Judged(fault=fault, fate="not run")
        finally:
            self._suites.put(suite)
        unseen = found.fate == "survived" and covering == frozenset()
        return dataclasses.replace(found, fate="uncovered") if unseen else found

    def _run(self, suite: Suite, fault: Fault, plan: Plan) -> Judged:
        result = run_with(fault, suite, plan, timeout_s=self._limit_s(plan))
        failed = self._new(result)
        killers = tuple(sorted(failed - result.broke_off))
        hung = result.timed_out or bool(failed & result.broke_off)
        fate: Fate = "timed out" if hung else "killed" if killers else "survived"
        if killers and self._thorough:
            fate = "killed"  # before the end of its time a test has failed
        return Judged(fault=fault, fate=fate, killers=killers if fate == "killed" else (), cpu_s=result.cpu_s)

    def _confirmed(self, suite: Suite, found: Judged, plan: Plan) -> Judged:
        """Return what is left of a kill if the tests that failed fail without the fault too, or do not fail again."""
        killers, cpu_s = set(found.killers), found.cpu_s
        if not plan.rest:
            clean = suite.run(plan, timeout_s=self._limit_s(plan))
            killers -= set(clean.failures)
            cpu_s += clean.cpu_s
        if len(killers) == 1:
            again = self._run(suite, found.fault, plan)
            cpu_s += again.cpu_s
            if again.fate == "timed out":
                return Judged(fault=found.fault, fate="timed out", killers=(), cpu_s=cpu_s)
            killers &= {*again.killers}
        fate = found.fate if killers else "survived"
        return Judged(fault=found.fault, fate=fate, killers=tuple(sorted(killers)), cpu_s=cpu_s)

    def _new(self, result: RunResult) -> frozenset[str]:
        return frozenset(result.failures) - self._reference.failing - self._reference.flaky

    def _limit_s(self, plan: Plan) -> float:
        names = self._reference.collected if plan.rest else plan.order
        usual_s = sum(self._reference.durations_s.get(name, 0.0) for name in names)
        return min(self._timeout_s, limit_s(usual_s))

    def _in_file_order(self, names: frozenset[str]) -> tuple[str, ...]:
        rank = {name: place for place, name in enumerate(self._reference.at_s)}
        return tuple(sorted(names, key=lambda name: (rank.get(name, len(rank)), name)))


def _apart(faults: Sequence[Fault]) -> list[Fault]:
    """Return faults of which no two change the same text."""
    kept: list[Fault] = []
    for each in sorted(faults, key=lambda fault: (fault.file, fault.start, fault.end)):
        if not kept or kept[-1].file != each.file or kept[-1].end <= each.start:
            kept.append(each)
    return kept

"""Find faults that the suite can kill, by running the tests that cover them. The price is not charged to any policy."""

import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import ExitStack
from dataclasses import dataclass
from queue import SimpleQueue

from steersman.core.ports import Progress
from steersman.packs.qe.faults.mutation import Fault
from steersman.packs.qe.project.discovery import Project
from steersman.packs.qe.project.reference import Reference
from steersman.packs.qe.project.sandbox import bare_sandbox
from steersman.packs.qe.project.suite import Plan, RunResult, Suite


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
    budget_s: float,
    workers: int,
    memory_mb: float,
    progress: Progress,
) -> Pool:
    """Run candidates in parallel, each in a sandbox that one worker owns, until `target` are killable.

    A candidate is killable if some test that passed before fails with it. It is dropped as "uncovered" where no test
    runs its line, "survived" (equivalent, or too weak a suite), "timed out" (over 10 s and three times what its tests
    take, or over `timeout_s`), or "broke collection". Stops after `budget_s` seconds.
    """
    killers: dict[Fault, frozenset[str]] = {}
    dropped: dict[str, int] = {}
    stop = threading.Event()
    deadline = time.monotonic() + budget_s
    with ExitStack() as stack:
        suites: SimpleQueue[Suite] = SimpleQueue()
        for _ in range(workers):
            suites.put(Suite(stack.enter_context(bare_sandbox(project)), memory_mb=memory_mb, stop=stop))
        executor = ThreadPoolExecutor(workers)
        stack.callback(executor.shutdown, wait=True, cancel_futures=True)
        stack.callback(stop.set)
        for fault, answer in _in_parallel(executor, suites, candidates, reference, timeout_s):
            found, reason = _judge(answer, reference.failing | reference.flaky)
            if reason:
                dropped[reason] = dropped.get(reason, 0) + 1
            else:
                killers[fault] = found
                progress.step(f"{fault.name} fails {len(found)} test{'s' if len(found) > 1 else ''}")
            if len(killers) >= target or time.monotonic() > deadline:
                break
    return Pool(killers=killers, dropped=dropped)


def _in_parallel(
    executor: ThreadPoolExecutor,
    suites: "SimpleQueue[Suite]",
    candidates: Sequence[Fault],
    reference: Reference,
    timeout_s: float,
) -> Iterator[tuple[Fault, RunResult | None]]:
    """Yield each candidate with its run (None: no test covers it), in the order of the candidates."""
    waiting: list[tuple[Fault, Future[RunResult | None]]] = []
    queue = iter(candidates)
    ahead = suites.qsize() + 1
    while True:
        for fault in queue:
            waiting.append((fault, executor.submit(_run_one, suites, fault, reference, timeout_s)))
            if len(waiting) >= ahead:
                break
        if not waiting:
            return
        wait([waiting[0][1]], return_when=FIRST_COMPLETED)
        fault, future = waiting.pop(0)
        yield fault, future.result()


def _run_one(suites: "SimpleQueue[Suite]", fault: Fault, reference: Reference, timeout_s: float) -> RunResult | None:
    coverage = reference.coverage
    covering = coverage.tests_of(fault.file, [fault.line]) if coverage.available else None
    if coverage.available and covering is not None and not covering:
        return None
    usual_s = sum(reference.durations_s.get(name, 0.0) for name in covering or reference.collected)
    suite = suites.get()
    try:
        source = suite.sandbox.read(fault.file)
        suite.sandbox.write(fault.file, fault.apply(source))
        plan = Plan() if covering is None else Plan(order=tuple(sorted(covering)), rest=False)
        result = suite.run(plan, timeout_s=min(timeout_s, 10.0 + 3.0 * usual_s))
        suite.sandbox.write(fault.file, source)
        return result
    finally:
        suites.put(suite)


def _judge(result: RunResult | None, known_failing: frozenset[str]) -> tuple[frozenset[str], str]:
    if result is None:
        return frozenset(), "uncovered"
    if result.timed_out:
        return frozenset(), "timed out"
    if result.uncollected:
        return frozenset(), "broke collection"
    killers = frozenset(result.failures) - known_failing
    return killers, "" if killers else "survived"

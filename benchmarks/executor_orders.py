"""How soon does the first failing test run, in each of the orders that test-executor chooses from? On a real suite.

    python benchmarks/executor_orders.py [PROJECT ...] [--cycles 80] [--seeds 6]

PROJECT is a folder; without any it is toolz as installed, which ships its tests. Faults are seeded into a copy of it, and
those are kept that its own tests see. The fault world of `steersman bench test-executor` then makes changes: new faults,
mended ones, harmless edits. On each change that leaves a fault in the code, every order ranks the whole suite by what the
cycles before it showed; then all see its verdicts. Which tests fail, and how long each takes, comes from real runs; that
they run one after the other is reckoned. So the figures say how good an order is, and nothing of processes that start.

The script fails where the learned order is surely later than failed first by more than a hundredth of the suite's time.
"""

import argparse
import sys
import tempfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from steersman.maths.prioritisation import napfd
from steersman.packs.qe.bench.comparison import compare
from steersman.packs.qe.bench.demo import LIBRARY, build_project
from steersman.packs.qe.execution.history import Seen
from steersman.packs.qe.execution.ranking import ORDERS, Orders
from steersman.packs.qe.execution.selection import Selector
from steersman.packs.qe.faults.screening import Pool
from steersman.packs.qe.faults.seeded_world import FaultWorld, build_pool
from steersman.packs.qe.project.discovery import Project, discover
from steersman.packs.qe.project.reference import Reference, measure_reference
from steersman.packs.qe.project.sandbox import open_sandbox
from steersman.packs.qe.project.suite import Suite, memory_available_mb

FAULTS, SCREENING_S, TIME_OUT_S, MARGIN = 40, 300.0, 600.0, 0.01
Found = dict[str, list[tuple[int, float, float]]]
"""By order, for each failing cycle: the place of the first failing test (from 1), the seconds until it ended, the APFD."""


class Silent:
    """Nobody watches."""

    def phase(self, title: str, total: int | None = None) -> None:
        """Begin a phase."""

    def step(self, text: str, amount: int = 1) -> None:
        """Count a step."""

    def note(self, text: str) -> None:
        """Say something."""


def faults_of(project: Project) -> tuple[Reference, Pool]:
    """Return the suite as it is, and the faults that it sees."""
    with open_sandbox(project) as sandbox:
        suite = Suite(sandbox, memory_mb=0.75 * memory_available_mb())
        reference = measure_reference(suite, timeout_s=TIME_OUT_S, progress=Silent())
    pool = build_pool(
        project,
        reference,
        np.random.default_rng([0, 1]),
        target=FAULTS,
        timeout_s=max(10.0, 5.0 * reference.wall_s),
        budget_s=SCREENING_S,
        progress=Silent(),
    )
    return reference, pool


def replayed(project: Project, reference: Reference, pool: Pool, *, cycles: int, seed: int) -> Found:
    """Make the changes of a seed, and let each order rank before any sees the verdicts."""
    found: Found = {order: [] for order in ORDERS}
    with open_sandbox(project) as sandbox:
        world = FaultWorld(sandbox=sandbox, reference=reference, pool=pool, generator=np.random.default_rng([seed, 2]))
        orders = Orders(reference, Selector(sandbox, reference.coverage), seed=seed)
        for cycle in range(cycles):
            change = world.next(cycle)
            for order in ORDERS if change.killers else ():
                found[order].append(judged(orders.ordered(order, change, reference.collected), change.killers, reference))
            orders.observe(
                change,
                [
                    Seen(test=name, failed=name in change.killers, flaky=False, duration_s=reference.durations_s[name])
                    for name in reference.collected
                ],
            )
    return found


def judged(ordered: tuple[str, ...], killers: frozenset[str], reference: Reference) -> tuple[int, float, float]:
    failed = np.array([name in killers for name in ordered])
    first = int(np.argmax(failed)) + 1
    took = sum(reference.durations_s[name] for name in ordered[:first])
    return first, took, napfd(failed, np.ones(len(failed), dtype=np.bool_))


def show(name: str, reference: Reference, pool: Pool, found: dict[str, NDArray[np.float64]]) -> bool:
    """Print a project's table; return whether the learned order is not surely later than failed first."""
    suite_s = sum(reference.durations_s[name] for name in reference.collected)
    cycles = len(found["learned"])
    print(
        f"\n{name}: {len(reference.collected)} tests, {suite_s:.2f} s; {len(pool.killers)} faults, {cycles} failing changes"
    )
    print(f"  {'order':<14}{'first failure, test':>20}{'median':>8}{'after, ms':>11}{'APFD':>8}")
    for order, figures in found.items():
        place, took, apfd = figures.mean(axis=0)
        print(f"  {order:<14}{place:>20.1f}{np.median(figures[:, 0]):>8.0f}{1e3 * took:>11.1f}{apfd:>8.3f}")
    pairs = list(zip(found["learned"][:, 1].tolist(), found["failed_first"][:, 1].tolist(), strict=True))
    row = compare("time to the first failure", "s", pairs, higher_is_better=False)
    print(
        f"  learned − failed_first, ms: {1e3 * row.difference:+.1f} [{1e3 * row.low:+.1f}, {1e3 * row.high:+.1f}]",
        flush=True,
    )
    return row.low <= MARGIN * suite_s


def main() -> None:
    """Measure each project."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("projects", nargs="*", metavar="PROJECT")
    parser.add_argument("--cycles", type=int, default=80)
    parser.add_argument("--seeds", type=int, default=6)
    given = parser.parse_args()
    sound = True
    with tempfile.TemporaryDirectory() as folder:
        if not given.projects:
            build_project(Path(folder) / LIBRARY)
        for path in given.projects or [str(Path(folder) / LIBRARY)]:
            project = discover(path, sys.executable)
            reference, pool = faults_of(project)
            runs = [replayed(project, reference, pool, cycles=given.cycles, seed=seed) for seed in range(given.seeds)]
            found = {order: np.array([row for run in runs for row in run[order]]) for order in ORDERS}
            sound &= show(project.name, reference, pool, found)
    sys.exit(0 if sound else 1)


if __name__ == "__main__":
    main()

"""Does a learned order of tests show failures earlier than the rules that people use? Replays of CI histories.

    python benchmarks/ci_order.py [HISTORY ...] [--seeds 10] [--budget 0.5] [--quick]

HISTORY is a file as `steersman bench ci-order` takes it. Each cycle is ranked by those before it alone; cycles in which
nothing fails are learned from and not judged. Beside the learned order, on the same cycles: random, shortest first,
recently failed first, the failure rate, its moving average, and near-oracle, which knows the verdicts. The comparison is
paired by cycle, with the best of the rules, chosen after the fact for each figure.

Four simulated histories follow, of different kinds, so that more than two files speak: tests that stay broken for a while,
flaky tests, faults in a place of the suite that wander on, and a large suite in which hardly anything fails.

The script fails where a learned order is surely worse than the best rule by more than 0.01, or where ranking 2,000 tests
takes more than 50 ms.
"""

import argparse
import sys
import time
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from steersman.packs.qe.bench.ci_history import Cycle, read_history
from steersman.packs.qe.bench.ci_order import OrderOptions, OrderReport, replayed
from steersman.packs.qe.ordering.learner import OrderLearner

Floats = NDArray[np.float64]
MARGIN, LIMIT_MS = 0.01, 50.0
Chances = Callable[[np.random.Generator, int, Floats], Floats]
"""(generator, cycle, chances of the cycle before (tests,)) → the chances to fail."""


class Silent:
    """Nobody watches."""

    def phase(self, title: str, total: int | None = None) -> None:
        """Begin a phase."""

    def step(self, text: str, amount: int = 1) -> None:
        """Count a step."""

    def note(self, text: str) -> None:
        """Say something."""


def broken_for_a_while(rng: np.random.Generator, _: int, before: Floats) -> Floats:
    mended = before * (rng.random(len(before)) > 0.3)
    return np.asarray(np.maximum(mended, 0.9 * (rng.random(len(before)) < 0.004)))


def flaky(rng: np.random.Generator, cycle: int, before: Floats) -> Floats:
    return np.where(rng.random(len(before)) < 0.05, rng.beta(0.5, 4.0, len(before)), 0.0) if cycle == 0 else before


def wandering(rng: np.random.Generator, cycle: int, before: Floats) -> Floats:
    place = (cycle // 3 * 7) % len(before)
    return np.asarray(0.3 * np.exp(-np.abs(np.arange(len(before)) - place) / 2.0))


def sparse(rng: np.random.Generator, cycle: int, before: Floats) -> Floats:
    return np.where(rng.random(len(before)) < 0.02, 0.01, 0.0002) if cycle == 0 else before


SIMULATED: dict[str, tuple[Chances, int, int]] = {
    "simulated: broken for a while": (broken_for_a_while, 300, 300),
    "simulated: flaky": (flaky, 300, 200),
    "simulated: wandering": (wandering, 200, 300),
    "simulated: large and sparse": (sparse, 2_000, 300),
}


def simulated(name: str) -> list[Cycle]:
    """Return the cycles of a world: from half to all of its tests run in each."""
    chances, tests, cycles = SIMULATED[name]
    rng = np.random.default_rng(7)
    durations, now, found = rng.lognormal(0.0, 1.0, tests), np.zeros(tests), []
    for cycle in range(cycles):
        now = chances(rng, cycle, now)
        runs = np.flatnonzero(rng.random(tests) < rng.uniform(0.5, 1.0))
        failed = rng.random(len(runs)) < now[runs]
        took = durations[runs] * rng.lognormal(0.0, 0.1, len(runs))
        found.append(Cycle(name=str(cycle), tests=tuple(f"t{each}" for each in runs), durations=took, failed=failed))
    return found


def ranking_ms(tests: int = 2_000, cycles: int = 60) -> float:
    """Return the longest of the second half of the cycles that it takes to rank so many tests."""
    rng = np.random.default_rng(3)
    names, learner, slowest = [f"t{each}" for each in range(tests)], OrderLearner(seed=0, budget=0.5), 0.0
    for cycle in range(cycles):
        began = time.perf_counter()
        learner.rank(names)
        if cycle >= cycles // 2:
            slowest = max(slowest, time.perf_counter() - began)
        learner.learn(names, rng.lognormal(0.0, 1.0, tests), rng.random(tests) < 0.01)
    return 1e3 * slowest


def show(report: OrderReport) -> bool:
    """Print a report; return whether the learned order is not surely worse than the best rule by more than the margin."""
    print(f"\n{report.history}: {report.cycles} cycles, {report.failing} failing, {report.tests} tests, {report.runs} runs")
    print(f"{'':<24}{'NAPFD':>8}{'APFD':>8}{'   last 30 %: NAPFD':>18}{'APFD':>8}")
    for row in report.rows:
        late = [f"{each:>8.3f}" if each is not None else "       –" for each in (row.late_napfd, row.late_apfd)]
        print(f"{row.name:<24}{row.napfd:>8.3f}{row.apfd:>8.3f}{late[0]:>19}{late[1]}")
    for best, pairs in report.against:
        print(f"learned − {best}, {pairs.name}: {pairs.difference:+.3f} [{pairs.low:+.3f}, {pairs.high:+.3f}]", flush=True)
    return all(pairs.high >= -MARGIN for _, pairs in report.against)


def main() -> None:
    """Replay all histories."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("histories", nargs="*", metavar="HISTORY")
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--budget", type=float, default=0.5)
    parser.add_argument("--quick", action="store_true", help="a short form: one seed")
    given = parser.parse_args()
    seeds = 1 if given.quick else given.seeds
    print(f"NAPFD at {100 * given.budget:g} % of each cycle's time, APFD of all; {seeds} seeds; 95 % intervals")
    sound = True
    for name in [*given.histories, *SIMULATED]:
        cycles = simulated(name) if name in SIMULATED else read_history(name)
        sound &= show(
            replayed(cycles, OrderOptions(history=name.rpartition("/")[2], budget=given.budget, seeds=seeds), Silent())
        )
    took = ranking_ms()
    print(f"\nranking 2,000 tests takes at most {took:.1f} ms, of {LIMIT_MS:g} allowed")
    sys.exit(0 if sound and took <= LIMIT_MS else 1)


if __name__ == "__main__":
    main()

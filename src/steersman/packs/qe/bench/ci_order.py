"""`bench ci-order`: replay a CI history, cycle by cycle, and see how early each way of ordering shows the failures."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from steersman.core.errors import InvalidInput
from steersman.core.ports import Progress
from steersman.maths.prioritisation import napfd, within
from steersman.packs.qe.bench.ci_history import Cycle, read_history
from steersman.packs.qe.bench.comparison import Row, compare
from steersman.packs.qe.ordering.learner import OrderLearner
from steersman.packs.qe.ordering.past import Past

Floats = NDArray[np.float64]
Order = NDArray[np.int64]

LEARNED, ORACLE = "learned", "near-oracle"
RULES = ("random", "shortest", "recently failed first", "failure rate", "moving average")
_LATE = 0.7
"""From this share of the cycles on a ranking is judged a second time, when there was something to learn from."""


@dataclass(frozen=True, kw_only=True)
class OrderOptions:
    """history: the file. budget: the share of each cycle's time that is there. seeds: of ties, and of the learner."""

    history: str
    budget: float = 0.5
    seeds: int = 1

    def __post_init__(self) -> None:
        if not 0.0 < self.budget <= 1.0 or self.seeds < 1:
            raise InvalidInput(f"needs a budget in (0, 1] and at least one seed, got {self.budget} and {self.seeds}.")


@dataclass(frozen=True, kw_only=True)
class Ranked:
    """How a way of ordering did: means over failing cycles of NAPFD within the budget, and of APFD where all tests run.

    late: the same over the last 30 % of the cycles; None where none of these fails.
    """

    name: str
    napfd: float
    apfd: float
    late_napfd: float | None
    late_apfd: float | None


@dataclass(frozen=True, kw_only=True)
class OrderReport:
    """What the replay of a history came to. against: learned minus the best rule of that figure, paired by cycle.

    ranking_ms: the longest that the learner took to rank a cycle, and for how many tests that was.
    """

    history: str
    cycles: int
    failing: int
    tests: int
    runs: int
    budget: float
    seeds: int
    rows: tuple[Ranked, ...]
    against: tuple[tuple[str, Row], ...]
    ranking_ms: float
    ranking_tests: int
    say: dict[str, float]


def ci_order(agent: Callable[[str], Any], options: OrderOptions, progress: Progress) -> OrderReport:
    """Replay the history for each seed and return the figures; no agent has a say, for all is learned from the file.

    Raises what `read_history` does, and InvalidInput where no test ever fails.
    """
    del agent
    return replayed(read_history(options.history), options, progress)


def replayed(cycles: Sequence[Cycle], options: OrderOptions, progress: Progress) -> OrderReport:
    """Return the figures of cycles, under the name that the options give. Raises InvalidInput where no test ever fails."""
    failing = [index for index, cycle in enumerate(cycles) if cycle.failed.any()]
    if not failing:
        raise InvalidInput(
            f"{options.history}: no test fails in its {len(cycles)} cycles, so no order is better than another."
        )
    progress.phase(f"replaying {len(cycles)} cycles", options.seeds)
    replays = []
    for seed in range(options.seeds):
        replays.append(_Replay(seed, options.budget).over(cycles))
        progress.step(f"seed {seed}")
    found = {name: np.mean([each.found[name] for each in replays], axis=0) for name in replays[0].found}
    slowest, size = max(each.slowest for each in replays)
    late = np.array(failing) >= _LATE * len(cycles)
    return OrderReport(
        history=options.history,
        cycles=len(cycles),
        failing=len(failing),
        tests=len(replays[0].learner.past.names),
        runs=sum(len(cycle.tests) for cycle in cycles),
        budget=options.budget,
        seeds=options.seeds,
        rows=tuple(_row(name, figures, late) for name, figures in found.items()),
        against=_against(found, options.budget),
        ranking_ms=1e3 * slowest,
        ranking_tests=size,
        say=dict(replays[0].learner.say),
    )


class _Replay:
    """One pass over a history. `found`: by name, NAPFD and APFD of each failing cycle, (cycles, 2)."""

    def __init__(self, seed: int, budget: float) -> None:
        self.learner = OrderLearner(seed=seed, budget=budget)
        self.found: dict[str, list[tuple[float, float]]] = {}
        self.slowest = (0.0, 0)
        self._all = self.learner if budget >= 1.0 else OrderLearner(seed=seed)
        self._budget, self._generator = budget, np.random.default_rng([seed, 21])

    def over(self, cycles: Sequence[Cycle]) -> "_Replay":
        """Rank each cycle by those before it, judge the orders, and only then let it be learned from."""
        for cycle in cycles:
            if cycle.failed.any():
                self._judge(cycle)
            for learner in {self.learner, self._all}:
                learner.learn(cycle.tests, cycle.durations, cycle.failed)
        return self

    def _judge(self, cycle: Cycle) -> None:
        began = time.perf_counter()
        order = self.learner.rank(cycle.tests)
        self.slowest = max(self.slowest, (time.perf_counter() - began, len(cycle.tests)))
        whole = order if self._all is self.learner else self._all.rank(cycle.tests)
        self._note(LEARNED, cycle, order, whole)
        for name, scores in self._rules(self.learner.past, cycle).items():
            order = np.lexsort((self._generator.random(len(scores)), -scores))
            self._note(name, cycle, order, order)

    def _note(self, name: str, cycle: Cycle, short: Order, whole: Order) -> None:
        runs = within(cycle.durations[short], self._budget)
        figures = napfd(cycle.failed[short], runs), napfd(cycle.failed[whole], np.ones(len(whole), dtype=np.bool_))
        self.found.setdefault(name, []).append(figures)

    def _rules(self, past: Past, cycle: Cycle) -> dict[str, Floats]:
        """Return what people do, by the same past; and what only somebody could do who knew the verdicts."""
        seen = past.of(past.places(cycle.tests))
        return {
            "random": np.zeros(len(cycle.tests)),
            "shortest": -seen.duration_s,
            "recently failed first": -seen.age,
            "failure rate": seen.rate,
            "moving average": seen.averages[:, 1],
            ORACLE: np.where(cycle.failed, 1.0, -1.0) / (1.0 + cycle.durations),
        }


def _row(name: str, figures: Floats, late: NDArray[np.bool_]) -> Ranked:
    short, whole = figures.mean(axis=0).tolist()
    late_short, late_whole = figures[late].mean(axis=0).tolist() if late.any() else (None, None)
    return Ranked(name=name, napfd=short, apfd=whole, late_napfd=late_short, late_apfd=late_whole)


def _against(found: dict[str, Floats], budget: float) -> tuple[tuple[str, Row], ...]:
    rows = []
    for place, name in enumerate((f"NAPFD at {100 * budget:g} % of the time", "APFD, all tests")):
        best = max(RULES, key=lambda rule: float(found[rule][:, place].mean()))
        pairs = list(zip(found[LEARNED][:, place].tolist(), found[best][:, place].tolist(), strict=True))
        rows.append((best, compare(name, "", pairs, higher_is_better=True)))
    return tuple(rows[:1] if budget >= 1.0 else rows)

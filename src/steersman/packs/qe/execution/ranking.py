"""Ranking experts: in which order the selected tests run. Each returns scores; a higher score runs earlier."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from steersman.packs.qe.execution.history import History, TestRecord, recency
from steersman.packs.qe.execution.selection import Selector
from steersman.packs.qe.faults.change import Change

ORDERS = ("file", "failed_first", "fast_first", "learned")
FEATURES = ("bias", "recency", "failure_rate", "covers_lines", "covers_file", "by_name", "log_duration")
_FLOOR_S = 0.002


@dataclass(frozen=True, kw_only=True)
class Ranking:
    """An order of tests with the scores that it was made from."""

    order: tuple[str, ...]
    scores: Mapping[str, float]


class LearnedRanker:
    """P(test fails | change) by logistic regression, learned online with one step of gradient descent each cycle.

    The step uses the mean gradient over failing and over passing tests with equal weight, since failures are rare.
    Tests are ranked by P / duration: the order that minimises the expected time to the first failure when tests fail
    independently (Smith's rule). Before any failure was seen the weights are a plain prior: covering the changed lines
    and recent failure speak for failing.
    """

    def __init__(self, rate: float = 0.5) -> None:
        self.rate = rate
        self.weights: NDArray[np.float64] = np.array([-4.0, 1.0, 1.0, 2.0, 0.5, 0.5, 0.0])

    def probability(self, features: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the logistic function of the weighted features, shape (tests,)."""
        return np.asarray(1.0 / (1.0 + np.exp(-np.clip(features @ self.weights, -30.0, 30.0))))

    def learn(self, features: NDArray[np.float64], failed: NDArray[np.bool_]) -> None:
        """Take one step for a cycle's tests; nothing is learned from a cycle without failures or without passes."""
        if not failed.any() or failed.all():
            return
        error = failed - self.probability(features)
        self.weights += self.rate * (features[failed].T @ error[failed] / failed.sum())
        self.weights += self.rate * (features[~failed].T @ error[~failed] / (~failed).sum())


class Experts:
    """The ranking experts over one history. File order is the order in which pytest collected the tests."""

    def __init__(self, collected: Sequence[str], history: History, selector: Selector) -> None:
        self.history = history
        self.selector = selector
        self.learned = LearnedRanker()
        self._place: dict[str, int] = {}
        self.collect(collected)
        self._pending: dict[int, tuple[list[str], NDArray[np.float64]]] = {}

    def collect(self, tests: Sequence[str]) -> None:
        """Take the tests as pytest collects them now."""
        self._place = {name: index for index, name in enumerate(tests)}

    def rank(self, order: str, change: Change, tests: Iterable[str]) -> Ranking:
        """Return the tests in the order of an expert, by what was seen before the change's cycle."""
        names = sorted(tests, key=lambda name: self._place.get(name, len(self._place)))
        scores = self._scores(order, change, names, self.history.at(change.cycle))
        return Ranking(order=tuple(sorted(names, key=lambda name: -scores[name])), scores=scores)

    def learn(self, change: Change, failed: Mapping[str, bool]) -> None:
        """Teach the learned expert what ran and what failed, with the features as they stood when the cycle began."""
        names, features = self._pending.pop(change.cycle, ([], np.zeros((0, len(FEATURES)))))
        ran = [index for index, name in enumerate(names) if name in failed]
        self.learned.learn(features[ran], np.array([failed[names[index]] for index in ran], dtype=bool))
        self._pending.clear()

    def prepare(self, change: Change) -> None:
        """Fix the features of all known tests for a cycle, before anything of it is seen."""
        names = list(self._place)
        self._pending[change.cycle] = (names, self.features(change, names, self.history.at(change.cycle)))

    def _scores(self, order: str, change: Change, names: list[str], records: Mapping[str, TestRecord]) -> dict[str, float]:
        known = [records.get(name, TestRecord()) for name in names]
        if order == "file":
            return {name: float(-index) for index, name in enumerate(names)}
        if order == "failed_first":
            return {name: float(record.last_failure) for name, record in zip(names, known, strict=True)}
        if order == "fast_first":
            return {name: -record.duration_s for name, record in zip(names, known, strict=True)}
        probability = self.learned.probability(self.features(change, names, records))
        return {
            name: float(p) / max(record.duration_s, _FLOOR_S)
            for name, p, record in zip(names, probability, known, strict=True)
        }

    def features(self, change: Change, names: Sequence[str], records: Mapping[str, TestRecord]) -> NDArray[np.float64]:
        """Return the features of tests for a change, shape (tests, 7), in the order of `FEATURES`."""
        by_name = frozenset().union(*(self.selector.tests_for(file) for file in change.lines))
        line_tests = [self.selector.coverage.tests_of(file, lines) for file, lines in change.lines.items()]
        file_tests = [self.selector.coverage.tests_of_file(file) for file in change.lines]
        share = 1.0 / max(len(change.lines), 1)
        rows = []
        for name in names:
            record = records.get(name, TestRecord())
            rows.append(
                (
                    1.0,
                    recency(record, change.cycle),
                    (record.failures - record.flakes) / (record.runs + 4.0),
                    share * sum(tests is not None and name in tests for tests in line_tests),
                    share * sum(name in tests for tests in file_tests),
                    float(name.split("::")[0] in by_name),
                    math.log10(max(record.duration_s, _FLOOR_S)) + 2.0,
                )
            )
        return np.array(rows, dtype=np.float64).reshape(len(rows), len(FEATURES))

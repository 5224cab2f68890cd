"""What earlier cycles showed of each test, as arrays with a place for each. A cycle is added once it is over."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from steersman.core.errors import InvalidInput
from steersman.packs.qe.ordering.saved import State, array, said, words

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
Places = NDArray[np.int64]

RATES = (0.03, 0.1, 0.3, 0.7)
"""Steps of the moving averages of a test's failures: from "over its life" to "lately"."""
_FEW = 2.0
"""Runs that the suite's own failure rate counts for, in the rate of a test."""
_FADE, _NEW_FADE = 0.995, 0.98
"""By how much the suite's failure rate, and that of new tests, forget with each cycle."""
_LONG = 1_000.0
_TEST = np.dtype(
    [
        ("runs", np.float64),
        ("failures", np.float64),
        ("changes", np.float64),
        ("since", np.float64),
        ("streak", np.float64),
        ("first", np.float64),
        ("last_run", np.float64),
        ("last_failure", np.float64),
        ("duration_s", np.float64),
        ("average", np.float64, (len(RATES),)),
    ]
)


class Seen(NamedTuple):
    """What the past says of some tests, n of them, before a cycle. `features` (n, k); the others (n,).

    rate: failures of runs, drawn toward the suite's. averages: (n, 4), moving, by `RATES`. age: cycles since the last
    failure, infinite for none. duration_s: the mean of lately; the median of the suite for a test that is new.
    """

    features: Floats
    rate: Floats
    averages: Floats
    age: Floats
    duration_s: Floats


FEATURES = (
    "new",
    "failure rate",
    *(f"moving average {rate}" for rate in RATES),
    "1/(1 + runs since the last failure)",
    "failed within 3 cycles",
    "failed within 10 cycles",
    "failed within 50 cycles",
    "failed when it last ran",
    "ever failed",
    "runs",
    "cycles since it last ran",
    "duration",
    "changes of verdict",
    "failures in a row",
    "place in the suite",
    "failures of its neighbours",
)


class Past:
    """The tests of a project, by name, and what is known of them. Their places are in the order of their first sight."""

    def __init__(self) -> None:
        self.names: dict[str, int] = {}
        self.cycle = 0
        self._tests = np.zeros(0, dtype=_TEST)
        self._failed, self._ran = 0.0, 1.0
        self._new_failed, self._new = 1.0, 4.0
        self._asked: tuple[Places, Seen] | None = None

    def places(self, names: Sequence[str]) -> Places:
        """Return where tests stand, (n,); those that were never seen get a place, and have no past."""
        for name in names:
            self.names.setdefault(name, len(self.names))
        missing = len(self.names) - len(self._tests)
        if missing > 0:
            self._asked = None
            blank = np.zeros(max(missing, len(self._tests)), dtype=_TEST)
            blank["since"], blank["last_failure"], blank["last_run"] = _LONG, -np.inf, -np.inf
            self._tests = np.concatenate([self._tests, blank])
        return np.array([self.names[name] for name in names], dtype=np.int64)

    def of(self, tests: Places) -> Seen:
        """Return what is known of tests before the next cycle: worked out once for who ranks them and who then learns."""
        if self._asked is None or not np.array_equal(self._asked[0], tests):
            self._asked = tests, self._seen(tests)
        return self._asked[1]

    def _seen(self, tests: Places) -> Seen:
        known, new = self._tests[tests], self._tests["runs"][tests] == 0
        runs, failed = np.maximum(known["runs"], 1.0), known["failures"] > 0
        base, of_new = self._failed / self._ran, self._new_failed / self._new
        rate = np.where(new, of_new, (known["failures"] + _FEW * base) / (known["runs"] + _FEW))
        averages = np.where(new[:, None], of_new, known["average"])
        age = self.cycle - known["last_failure"]
        duration_s = np.where(new, self._usual_duration(), known["duration_s"])
        columns = (
            new,
            rate,
            *averages.T,
            np.where(failed, 1.0 / (1.0 + known["since"]), 0.0),
            *(np.exp2(-age / half) for half in (3.0, 10.0, 50.0)),
            known["since"] == 0,
            failed,
            np.log1p(known["runs"]),
            np.log1p(np.where(new, 0.0, np.minimum(self.cycle - known["last_run"], _LONG))),
            np.log(np.maximum(duration_s, 1e-3)),
            known["changes"] / np.maximum(runs - 1.0, 1.0),
            np.minimum(known["streak"], 5.0),
            np.argsort(np.argsort(tests, kind="stable")) / max(len(tests), 1),
            self._neighbours(tests, base),
        )
        return Seen(np.stack([np.asarray(each, float) for each in columns], axis=1), rate, averages, age, duration_s)

    def add(self, tests: Places, durations_s: Floats, failed: Flags) -> None:
        """Let a cycle in: (n,) each. A test that ran several times failed if one of its runs did."""
        self._asked = None
        seen, run = np.unique(tests, return_inverse=True)
        fails, took = np.zeros(len(seen), dtype=np.bool_), np.zeros(len(seen))
        np.logical_or.at(fails, run, failed)
        np.maximum.at(took, run, durations_s)
        known = self._tests[seen]
        new = known["runs"] == 0
        self._new_failed = _NEW_FADE * self._new_failed + float(fails[new].sum())
        self._new = _NEW_FADE * self._new + float(new.sum())
        self._failed = _FADE * self._failed + float(fails.sum())
        self._ran = _FADE * self._ran + len(seen)
        known["changes"] += ~new & ((known["since"] == 0) != fails)
        step = np.maximum(np.array(RATES), 1.0 / (known["runs"][:, None] + 1.0))
        known["average"] += step * (fails[:, None] - known["average"])
        known["runs"] += 1.0
        known["failures"] += fails
        known["last_run"] = self.cycle
        known["last_failure"] = np.where(fails, self.cycle, known["last_failure"])
        known["since"] = np.where(fails, 0.0, np.minimum(known["since"] + 1.0, _LONG))
        known["streak"] = np.where(fails, known["streak"] + 1.0, 0.0)
        known["duration_s"] = np.where(new, took, known["duration_s"] + 0.3 * (took - known["duration_s"]))
        self._tests[seen] = known
        self.cycle += 1

    def state(self) -> State:
        """Return all that is known as arrays, the names of the tests among them."""
        suite = [self._failed, self._ran, self._new_failed, self._new]
        return {
            "names": words(list(self.names)),
            "tests": self._tests[: len(self.names)],
            "suite": np.array(suite),
            "cycle": np.array([self.cycle]),
        }

    def restore(self, state: State) -> None:
        """Take up where `state` was taken. Raises InvalidInput where it is damaged."""
        names = said(state, "names")
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise InvalidInput("the saved names of tests are no list of words.")
        places = {name: place for place, name in enumerate(names)}
        tests = array(state, "tests", _TEST, (len(places),))
        failed, ran, new_failed, new = array(state, "suite", float, (4,)).tolist()
        self.cycle = int(array(state, "cycle", np.int64, (1,))[0])
        self.names, self._tests, self._asked = places, tests, None
        self._failed, self._ran, self._new_failed, self._new = failed, ran, new_failed, new

    def _usual_duration(self) -> float:
        known = self._tests["runs"] > 0
        return float(np.median(self._tests["duration_s"][known])) if known.any() else 1.0

    def _neighbours(self, tests: Places, base: float) -> Floats:
        """Return how often those two failed lately that stand beside each test: tests of a file often fail together."""
        failing = np.where(self._tests["runs"] > 0, self._tests["average"][:, 2], base)
        last = len(failing) - 1
        return np.asarray(0.5 * (failing[np.maximum(tests - 1, 0)] + failing[np.minimum(tests + 1, last)]))

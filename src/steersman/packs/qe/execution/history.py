"""What earlier cycles showed of each test, flaky failures included. Nothing of the present cycle can be asked for."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np

from steersman.core.errors import Conflict
from steersman.packs.qe.ordering.past import FEATURES, Past
from steersman.packs.qe.ordering.saved import State, part, said, under, words

REFERENCE = -1
"""The cycle of the run before any change."""
_FAILED_LAST = FEATURES.index("failed when it last ran")


@dataclass(frozen=True, kw_only=True)
class Seen:
    """What one run of a cycle showed about one test. `flaky`: it failed and then passed, or failed without a fault."""

    test: str
    failed: bool
    flaky: bool
    duration_s: float


class History:
    """What the runs of a suite showed, cycle by cycle.

    Cycles are observed in order, each once and after all its decisions; `at(cycle)` refuses to answer for a cycle that
    has been observed already, so that no ranking can use what it should predict.
    """

    def __init__(self) -> None:
        self._past, self._flaky = Past(), set[str]()
        self._observed = REFERENCE - 1

    def observe(self, cycle: int, seen: Sequence[Seen]) -> None:
        """Add what the runs of a cycle showed. Raises Conflict unless the cycle is later than all before it."""
        if cycle <= self._observed:
            raise Conflict(f"cycle {cycle} comes after cycle {self._observed} was observed; cycles are observed in order.")
        self._observed = cycle
        self._flaky |= {each.test for each in seen if each.flaky}
        durations_s, failed = (
            np.array([each.duration_s for each in seen]),
            np.array([each.failed for each in seen], dtype=bool),
        )
        self._past.add(self._past.places([each.test for each in seen]), durations_s, failed)

    def at(self, cycle: int) -> Past:
        """Return what was known before `cycle`. Raises Conflict where that cycle was observed already."""
        if cycle <= self._observed:
            raise Conflict(f"the history has seen cycle {self._observed}; it cannot rank for cycle {cycle}.")
        return self._past

    def failing(self, tests: Collection[str]) -> frozenset[str]:
        """Return which of these tests, those that there are now, failed when they last ran."""
        names = [name for name in tests if name in self._past.names]
        failed = self._past.of(self._past.places(names)).features[:, _FAILED_LAST]
        return frozenset(name for name, each in zip(names, failed.tolist(), strict=True) if each)

    def flaky_rate(self, tests: Collection[str]) -> float:
        """Return the share of these tests, those that there are now, that were ever seen to be flaky.

        It does not fade: a policy that runs few tests sees little flakiness, which says nothing about the suite.
        """
        return len(self._flaky.intersection(tests)) / max(len(tests), 1)

    def state(self) -> State:
        """Return all that was observed, as arrays; the cycles of a history that takes it up begin anew."""
        past = {name: each.copy() for name, each in self._past.state().items()}
        return under("past", past) | {"flaky": words(sorted(self._flaky))}

    def restore(self, state: State) -> None:
        """Take up what was observed. Raises InvalidInput where the state is damaged."""
        self._past.restore(part("past", state))
        self._flaky = {str(each) for each in said(state, "flaky")}

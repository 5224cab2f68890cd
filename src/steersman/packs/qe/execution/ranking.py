"""In which order the chosen tests run: by a rule that people use, or as was learned."""

from collections.abc import Sequence

import numpy as np

from steersman.core.errors import InvalidInput
from steersman.packs.qe.execution.history import REFERENCE, History, Seen
from steersman.packs.qe.execution.selection import Selector
from steersman.packs.qe.faults.change import Change
from steersman.packs.qe.ordering.learner import OrderLearner
from steersman.packs.qe.ordering.saved import State, part, under
from steersman.packs.qe.project.reference import Reference

ORDERS = ("file", "failed_first", "fast_first", "learned")
_EARLY = 0.1
"""Orders are judged by what they show in this share of the suite's time: the first failure is what is waited for."""
_BEFORE = Change(cycle=REFERENCE, text="the suite as it is", lines={}, faults=(), expected_s=0.0, expected_cpu_s=0.0)


class Orders:
    """The orders over one history, which begins with the reference run: all its tests passed.

    kept: what `state` returned in an earlier process; where that is damaged, nothing is known but the reference.
    """

    def __init__(self, reference: Reference, selector: Selector, *, seed: int, kept: State | None = None) -> None:
        self._selector = selector
        self.history, self.learner = _recalled(kept, seed)
        durations_s = reference.durations_s
        self.observe(
            _BEFORE,
            [Seen(test=name, failed=False, flaky=False, duration_s=durations_s[name]) for name in reference.collected],
        )

    def ordered(self, order: str, change: Change, tests: Sequence[str]) -> tuple[str, ...]:
        """Return tests, which come in file order, in another one, by what was seen before the change's cycle."""
        past = self.history.at(change.cycle)
        if order == "file":
            return tuple(tests)
        if order == "learned":
            places = self.learner.rank(tests, self._selector.touched(change, tests))
        else:
            seen = past.of(past.places(tests))
            places = np.argsort(seen.age if order == "failed_first" else seen.duration_s, kind="stable")
        return tuple(tests[int(place)] for place in places)

    def observe(self, change: Change, seen: Sequence[Seen]) -> None:
        """Remember what the runs of a cycle showed, and learn from it; what was flaky is no failure to learn from."""
        took = {each.test: each.duration_s for each in seen}
        failed = {each.test for each in seen if each.failed and not each.flaky}
        names = [*took]
        self.learner.learn(
            names,
            np.array([*took.values()]),
            np.array([name in failed for name in names], dtype=np.bool_),
            self._selector.touched(change, names),
        )
        self.history.observe(change.cycle, seen)

    def state(self) -> State:
        """Return all that was seen and learned, as arrays."""
        return under("history", self.history.state()) | under("learner", self.learner.state())


def _recalled(kept: State | None, seed: int) -> tuple[History, OrderLearner]:
    history, learner = History(), OrderLearner(seed=seed, budget=_EARLY, changes=True)
    if kept is None:
        return history, learner
    try:
        history.restore(part("history", kept))
        learner.restore(part("learner", kept))
    except InvalidInput:
        return _recalled(None, seed)
    return history, learner

"""The order that a learner gives a test suite, the tests that fit into a budget, and how early failures are shown."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from steersman.maths.prioritisation import within
from steersman.packs.qe.ordering.learner import OrderLearner
from steersman.packs.qe.ordering.past import FEATURES

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
Order = NDArray[np.int64]

SHARES = tuple(step / 20 for step in range(1, 21))
"""The shares of the time at which it is noted how many failures had been shown."""
_NEW, _EVER_FAILED = FEATURES.index("new"), FEATURES.index("ever failed")
_APART, _FEW = 0.2, 50
"""The best-ranked share of the suite, and at least so many, that may stand apart from their files."""


def arranged(learner: OrderLearner, names: Sequence[str]) -> Order:
    """Return the order in which tests should run, as indices into `names`, (n,).

    Tests that ever failed come first and one by one, and with them what is new of each file. The others keep together by
    file and in their own order: what a file builds for its tests would otherwise be built again and again. Where nothing
    was learned yet, that is the usual order.
    """
    if not learner.past.cycle:
        return np.arange(len(names))
    seen = learner.past.of(learner.past.places(names)).features
    ranks = np.empty(len(names), dtype=np.int64)
    ranks[learner.rank(names)] = np.arange(len(names))
    new, failed = seen[:, _NEW] > 0.0, seen[:, _EVER_FAILED] > 0.0
    apart = failed & (ranks < max(_FEW, _APART * len(names)))
    units: dict[tuple[str, bool, int], list[int]] = {}
    for place, name in enumerate(names):
        alone = place if apart[place] else -1
        units.setdefault((name.split("::", 1)[0], bool(new[place]), alone), []).append(place)
    heeded = ranks if learner.say else np.arange(len(names))
    ahead = [(not (apart[unit[0]] or new[unit[0]]), _standing(heeded[unit], bool(new[unit[0]]))) for unit in units.values()]
    ordered = [unit for _, unit in sorted(zip(ahead, units.values(), strict=True), key=lambda each: each[0])]
    return np.array([place for unit in ordered for place in unit], dtype=np.int64)


def affordable(learner: OrderLearner, names: Sequence[str], order: Order, budget: float) -> Flags:
    """Return which of the tests in this order fit into a share of the time that all of them should take, (n,)."""
    return within(expected_s(learner, names)[order], budget)


def expected_s(learner: OrderLearner, names: Sequence[str]) -> Floats:
    """Return how long each test should take, in seconds, (n,)."""
    return learner.past.of(learner.past.places(names)).duration_s


def shown(order: Order, seconds: Floats, failed: Flags) -> list[int]:
    """Return how many failures are shown by each of `SHARES` of the time, where tests run one after the other.

    seconds, failed: (n,). A failure is shown when its test is over. Where nothing takes time, each test takes the same.
    """
    took = seconds[order] if seconds.any() else np.ones(len(order))
    over = np.cumsum(took)
    fails = failed[order]
    return [int(fails[over <= share * over[-1] * (1.0 + 1e-12)].sum()) for share in SHARES]


def _standing(ranks: NDArray[np.int64], new: bool) -> float:
    """Return where tests that keep together stand: with new ones the best speaks for them, else their mean."""
    return float(ranks.min() if new or len(ranks) == 1 else ranks.mean())

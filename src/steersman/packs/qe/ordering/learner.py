"""The order of tests as a learning problem: experts rank, and those that were right lately have the say."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from steersman.core.errors import InvalidInput
from steersman.maths.prioritisation import napfd, within
from steersman.packs.qe.ordering.pairwise import PairwiseRanker
from steersman.packs.qe.ordering.past import FEATURES, Past, Places, Seen
from steersman.packs.qe.ordering.saved import State, part, said, under, words

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

_RANKERS = ((0.3, 3, 1e-3), (0.1, 10, 1e-3), (0.03, 10, 1e-2))
"""Rate, replays and decay of three pairwise rankers: quick, middling and slow to learn."""
_TRUST, _FORGET = 4.0, 0.98
"""How much more say a better expert has: e^4 times for each whole NAPFD, of a memory of about fifty failing cycles."""


class OrderLearner:
    """Ranks tests by what earlier cycles showed, and learns from each cycle which way of ranking serves.

    Some experts are rules that people use, some are learned from pairs, and each is there twice: by the chance to fail,
    and by that over the root of the duration, since what is short is cheap to try. They are mixed by the mean of their
    ranks, weighted by what their own order would have earned lately (exponential weights, Cesa-Bianchi & Lugosi 2006).

    budget: the share of the time that will be there; from 1 on all tests run, and durations matter to no one. changes:
    whether it is told each time what the change touches; each expert is then there once more, behind what is touched.
    """

    def __init__(self, *, seed: int = 0, budget: float = 1.0, changes: bool = False) -> None:
        self.past = Past()
        self.budget = budget
        self._changes = changes
        self._generator = np.random.default_rng([seed, 20])
        self._rankers = [
            PairwiseRanker(len(FEATURES) + changes, self._generator, rate=rate, replays=replays, decay=decay)
            for rate, replays, decay in _RANKERS
        ]
        self._earned: dict[str, float] = {}

    @property
    def say(self) -> Mapping[str, float]:
        """Which say each expert has; they come to 1. Empty before the first cycle."""
        if not self._earned:
            return {}
        earned = np.array([*self._earned.values()])
        weights = np.exp(_TRUST * (earned - earned.max()))
        return dict(zip(self._earned, (weights / weights.sum()).tolist(), strict=True))

    def rank(self, names: Sequence[str], touched: Floats | None = None) -> NDArray[np.int64]:
        """Return the order in which tests should run, as indices into `names`, (n,).

        touched: how much of the change each test is near to, (n,), in [0, 1]. Raises InvalidInput where it is missing, or
        not asked for.
        """
        if not names:
            return np.zeros(0, dtype=np.int64)
        return self._mixed(self._scores(self._seen(self.past.places(names), touched), touched))

    def learn(self, names: Sequence[str], durations_s: Floats, failed: Flags, touched: Floats | None = None) -> None:
        """Let a cycle in that is over: each test that ran, how long it took and whether it failed, (n,) each.

        touched: as in `rank`. Raises InvalidInput as `rank` does.
        """
        if not names:
            return
        tests = self.past.places(names)
        seen = self._seen(tests, touched)
        if failed.any():
            self._judge(self._scores(seen, touched), durations_s, failed)
        for ranker in self._rankers:
            ranker.learn(seen.features, failed)
        self.past.add(tests, durations_s, failed)

    def state(self) -> State:
        """Return all that was learned, and where the random numbers stand, as arrays that fit an `.npz` without pickle."""
        parts = under("past", self.past.state())
        for place, ranker in enumerate(self._rankers):
            parts |= under(f"pairs {place}", ranker.state())
        own = {"budget": self.budget, "earned": self._earned, "generator": self._generator.bit_generator.state}
        return {name: each.copy() for name, each in parts.items()} | {"learner": words(own)}

    def restore(self, state: State) -> None:
        """Take up where `state` was taken: from then on both do the same.

        Raises InvalidInput where the state is damaged, or of another budget; the learner is then of no more use.
        """
        own = said(state, "learner")
        try:
            budget, earned, generator = own["budget"], own["earned"], own["generator"]
            self._earned = {str(name): float(each) for name, each in earned.items()}
            self._generator.bit_generator.state = generator
        except (TypeError, KeyError, ValueError, AttributeError) as error:
            raise InvalidInput(f"the saved learner is damaged: {error!r}.") from error
        if budget != self.budget:
            raise InvalidInput(f"the saved learner has a budget of {budget}, not {self.budget}.")
        self.past.restore(part("past", state))
        for place, ranker in enumerate(self._rankers):
            ranker.restore(part(f"pairs {place}", state))

    def _seen(self, tests: Places, touched: Floats | None) -> Seen:
        if self._changes and touched is None:
            raise InvalidInput("a learner with changes=True needs to be told what is touched; give zeros where nothing is.")
        if touched is not None and not self._changes:
            raise InvalidInput("what is touched is heeded by a learner with changes=True only.")
        seen = self.past.of(tests)
        return seen if touched is None else seen._replace(features=np.column_stack([seen.features, touched]))

    def _scores(self, seen: Seen, touched: Floats | None) -> dict[str, Floats]:
        """Return the experts' scores, (n,) each: the higher, the earlier."""
        learned = [ranker.scores(seen.features) for ranker in self._rankers]
        scores = {
            "failure rate": seen.rate,
            **{f"moving average {rate}": seen.averages[:, place] for place, rate in ((1, 0.1), (2, 0.3), (3, 0.7))},
            "recent failure": np.exp2(-seen.age / 10.0),
            **{f"pairs {place + 1}": _chance(scores) for place, scores in enumerate(learned)},
            "pairs together": _chance(np.mean(learned, axis=0)),
        }
        if touched is not None:
            scores |= {f"{name}, touched first": touched + each for name, each in scores.items()}
        if self.budget < 1.0:
            short = np.sqrt(np.maximum(seen.duration_s, 1e-3))
            scores |= {f"{name}, short first": each / short for name, each in scores.items()}
        return scores

    def _mixed(self, scores: Mapping[str, Floats]) -> NDArray[np.int64]:
        say = self.say or dict.fromkeys(scores, 1.0 / len(scores))
        mean = sum(say.get(name, 0.0) * _ranks(self._ordered(each)) for name, each in scores.items())
        return self._ordered(-np.asarray(mean))

    def _judge(self, scores: Mapping[str, Floats], durations_s: Floats, failed: Flags) -> None:
        for name, each in scores.items():
            order = self._ordered(each)
            earned = napfd(failed[order], within(durations_s[order], self.budget))
            self._earned[name] = _FORGET * self._earned.get(name, 0.0) + earned

    def _ordered(self, scores: Floats) -> NDArray[np.int64]:
        """Return the order by falling score; whoever is alike is drawn."""
        return np.lexsort((self._generator.random(len(scores)), -scores))


def _chance(scores: Floats) -> Floats:
    return np.asarray(1.0 / (1.0 + np.exp(-np.clip(scores, -30.0, 30.0))))


def _ranks(order: NDArray[np.int64]) -> Floats:
    ranks = np.empty(len(order))
    ranks[order] = np.arange(len(order))
    return ranks

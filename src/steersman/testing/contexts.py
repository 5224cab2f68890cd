"""Contextual worlds with known answers: who comes, what can be shown, and how likely each of it is to please."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from steersman.loops.rank import Offer, Ranker, Request

Json = dict[str, Any]


@dataclass(frozen=True, kw_only=True, eq=False)
class Visit:
    """One question: the context, the ids and the features of what can be shown, and the chance of each to please (K,)."""

    context: list[Json]
    actions: list[tuple[str, list[Json]]]
    chances: NDArray[np.float64]


class SegmentWorld:
    """Visitors of 4 segments on 2 kinds of device; each segment likes one topic better than the others.

    A chance is what the segment makes of the topic, within [low, low + width], `bonus` more for the liked one, and what the
    device adds, at most 0.1. The order of the topics is drawn for each visit, so the first one is no better than any. Hour,
    weight, colour scheme and length mean nothing.
    """

    def __init__(self, seed: int, *, topics: int = 8, low: float = 0.1, width: float = 0.4, bonus: float = 0.35) -> None:
        rng = np.random.default_rng(seed)
        by_segment, by_device = rng.uniform(low, low + width, (4, 1, topics)), rng.uniform(0.0, 0.1, (1, 2, topics))
        by_segment[np.arange(4), 0, rng.integers(topics, size=4)] += bonus
        self.chances = np.minimum(by_segment + by_device, 1.0)

    def visit(self, rng: np.random.Generator) -> Visit:
        """Return the next visit."""
        segment, device = int(rng.integers(4)), int(rng.integers(2))
        order = rng.permutation(self.chances.shape[2])
        context: list[Json] = [
            {"user": {"segment": "abcd"[segment], "weight": float(rng.uniform(0, 1_000))}},
            {
                "device": {
                    "kind": ("mobile", "desktop")[device],
                    "dark": bool(rng.integers(2)),
                    "hour": int(rng.integers(24)),
                }
            },
        ]
        actions = [(f"topic-{each}", [{"topic": f"t{each}", "length": 5.0 + int(each)}]) for each in order]
        return Visit(context=context, actions=actions, chances=self.chances[segment, device][order])


class TasteWorld:
    """Visitors and things are vectors of 5 numbers; a visitor likes a thing by a bilinear form of both, made a chance.

    10 of 50 things can be shown at each visit, so what is learned of some has to be carried over to others.
    """

    def __init__(self, seed: int, *, shown: int = 10, numbers: int = 5) -> None:
        rng = np.random.default_rng(seed)
        self._shown, self._numbers = shown, numbers
        self._form = rng.normal(size=(numbers, numbers)) / numbers
        self._things = rng.normal(size=(50, numbers))

    def visit(self, rng: np.random.Generator) -> Visit:
        """Return the next visit."""
        visitor = rng.normal(size=self._numbers)
        shown = rng.choice(len(self._things), self._shown, replace=False)
        chances = 1.0 / (1.0 + np.exp(-2.0 * (self._things[shown] @ self._form @ visitor)))
        actions = [
            (f"thing-{each}", [{"taste": {f"g{i}": float(value) for i, value in enumerate(self._things[each])}}])
            for each in shown
        ]
        return Visit(
            context=[{"taste": {f"f{i}": float(value) for i, value in enumerate(visitor)}}], actions=actions, chances=chances
        )


@dataclass(frozen=True, kw_only=True)
class Trained:
    """Mean chances to please over the last quarter of the visits: of what was shown, of the best, of the first action."""

    shown: float
    best: float
    first: float


def train(ranker: Ranker, world: "SegmentWorld | TasteWorld", *, visits: int, seed: int) -> Trained:
    """Let a ranker meet visits of a world, each rewarded with 1 or 0."""
    rng = np.random.default_rng(seed)
    met: list[tuple[float, float, float]] = []
    for number in range(visits):
        visit = world.visit(rng)
        offers = [Offer(id=name, features=features) for name, features in visit.actions]
        answer = ranker.rank(Request(offers=offers, context=visit.context, event=f"visit-{number}"))
        chosen = [each.id for each in offers].index(str(answer.decisions[0].executed["action"]))
        ranker.reward(answer.event, float(rng.random() < visit.chances[chosen]))
        met.append((float(visit.chances[chosen]), float(visit.chances.max()), float(visit.chances[0])))
    shown, best, first = np.mean(met[-visits // 4 :], axis=0).tolist()
    return Trained(shown=shown, best=best, first=first)

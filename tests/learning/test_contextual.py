"""Ranking learns: close to the best that is known, far above the first action, and by propensities that are true."""

import json

import numpy as np
import pytest
from scipy.stats import chi2

from steersman.app import Steersman
from steersman.core.values import AuditEvent, Control
from steersman.loops.rank import Offer, Ranker, Request
from steersman.testing.contexts import SegmentWorld, TasteWorld, train

EVENTS = 3_000


@pytest.mark.parametrize("world", [SegmentWorld, TasteWorld])
def test_it_comes_close_to_the_best_and_leaves_the_baseline_behind(world: "type[SegmentWorld | TasteWorld]") -> None:
    with Steersman.open("memory:", settings={"personalizer": {}}) as steersman:
        learned = steersman.ranker()
        live = train(learned, world(0), visits=EVENTS, seed=0)
        assert live.shown > 0.88 * live.best  # a tenth of all is kept for the first action and for even chances
        assert live.first < 0.65 * live.best
        _pause(steersman, learned)
        without = _only_best(learned, world(0))
    assert without > 0.94


def _pause(steersman: Steersman, learned: Ranker) -> None:
    control = Control(scope=learned.name, kind="pause", active=True, actor="ann", reason="measuring", at=0.0)
    event = AuditEvent(at=0.0, actor="ann", event="pause", subject=learned.name, detail="measuring")
    steersman.log.append((control, event)).wait()
    learned._hands.looked_at = float("-inf")


def _only_best(learned: Ranker, world: "SegmentWorld | TasteWorld") -> float:
    """Return how close the best action by what was learned comes to the best there is, over new visits."""
    rng = np.random.default_rng(7)
    shown = best = 0.0
    for _ in range(300):
        visit = world.visit(rng)
        request = Request(offers=[Offer(id=name, features=known) for name, known in visit.actions], context=visit.context)
        shown += float(visit.chances[np.argmax(learned.rank(request).decisions[0].values)])
        best += float(visit.chances.max())
    return shown / best


def test_without_anything_to_learn_the_check_fails() -> None:
    with Steersman.open("memory:", settings={"personalizer": {}}) as steersman:
        learned = steersman.ranker()
        train(learned, SegmentWorld(0), visits=20, seed=0)
        assert _only_best(learned, SegmentWorld(0)) < 0.9


def test_logged_propensities_are_true() -> None:
    """χ² of how often each action was chosen against the probabilities that were logged, in contexts of all kinds."""
    rejected = total = 0
    for seed in range(30):
        with Steersman.open("memory:", settings={"personalizer": {"greed": 5.0}}, seed=seed) as steersman:
            learned = steersman.ranker()
            train(learned, SegmentWorld(seed, topics=4), visits=40, seed=seed)
            visit = SegmentWorld(seed, topics=4).visit(np.random.default_rng(seed))
            offers = [Offer(id=name, features=known) for name, known in visit.actions]
            request = Request(offers=offers, context=visit.context, excluded=[offers[3].id] * (seed % 2))
            made = [learned.rank(request).decisions[0] for _ in range(400)]
        chances = np.array(json.loads(str(made[0].state["probabilities"])))
        assert len({each.state["probabilities"] for each in made}) == 1
        counts = np.array([sum(each.choice == offer.id for each in made) for offer in offers])
        assert counts[chances == 0.0].sum() == 0
        possible = chances > 0.0
        statistic = ((counts - 400 * chances)[possible] ** 2 / (400 * chances)[possible]).sum()
        rejected += bool(statistic > chi2.ppf(0.95, possible.sum() - 1))
        total += 1
        for each in made[:20]:
            assert each.action_probability == pytest.approx(chances[[o.id for o in offers].index(str(each.choice))])
            assert each.action_probability >= 0.05 / possible.sum() - 1e-12
    assert rejected <= 5  # of 30 at 5 %: more has a chance of 0.003
    assert total == 30

"""The learned order is repeatable, knows nothing of the cycle it ranks, and finds what there is to find."""

import numpy as np
import pytest
from numpy.typing import NDArray

from steersman.core.errors import InvalidInput
from steersman.maths.prioritisation import napfd, within
from steersman.packs.qe.ordering.learner import OrderLearner
from steersman.packs.qe.ordering.pairwise import PairwiseRanker

Flags = NDArray[np.bool_]
NAMES = [f"test_{place}" for place in range(40)]


def earned(learner: OrderLearner, cycles: list[Flags], *, durations: NDArray[np.float64] | None = None) -> float:
    """Return the mean NAPFD over the last half of the cycles, ranked before they are learned from."""
    took = np.ones(len(NAMES)) if durations is None else durations
    found = []
    for failed in cycles:
        order = learner.rank(NAMES)
        found.append(napfd(failed[order], within(took[order], learner.budget)))
        learner.learn(NAMES, took, failed)
    return float(np.mean(found[len(found) // 2 :]))


def one_of_each(places: list[int]) -> list[Flags]:
    return [np.arange(len(NAMES)) == place for place in places]


def test_tests_that_keep_failing_come_first() -> None:
    rng = np.random.default_rng(1)
    cycles = [np.isin(np.arange(40), rng.choice([3, 17, 31], 2, replace=False)) for _ in range(60)]
    assert earned(OrderLearner(seed=0), cycles) > 0.93, "at best 0.9875 − 0.025·½"


def test_a_wandering_failure_is_followed_to_the_neighbours() -> None:
    """No rule people use finds this: what fails next stands beside what failed last."""
    cycles = one_of_each([place // 2 % 40 for place in range(300)])
    assert earned(OrderLearner(seed=0), cycles) > 0.9


def test_failures_by_chance_are_found_no_better_than_by_chance() -> None:
    """The control: where nothing can be known, an order that looks good would be one that has peeked."""
    rng = np.random.default_rng(2)
    assert earned(OrderLearner(seed=0), one_of_each(rng.integers(0, 40, 400).tolist())) == pytest.approx(0.5, abs=0.07)


def test_with_little_time_short_tests_come_first() -> None:
    rng = np.random.default_rng(3)
    durations = np.where(np.arange(40) % 2 == 0, 1.0, 20.0)
    cycles = [rng.random(40) < 0.2 for _ in range(120)]
    timed = earned(OrderLearner(seed=0, budget=0.2), cycles, durations=durations)
    heedless = OrderLearner(seed=0)
    found = []
    for failed in cycles:
        order = heedless.rank(NAMES)
        found.append(napfd(failed[order], within(durations[order], 0.2)))
        heedless.learn(NAMES, durations, failed)
    assert timed > float(np.mean(found[60:])) + 0.1


def test_one_seed_gives_one_order() -> None:
    rng = np.random.default_rng(4)
    cycles = [rng.random(40) < 0.1 for _ in range(20)]
    cycles = [each for each in cycles if each.any()]
    first, second, other = OrderLearner(seed=5), OrderLearner(seed=5), OrderLearner(seed=6)
    for learner in (first, second, other):
        earned(learner, cycles)
    assert first.rank(NAMES).tolist() == second.rank(NAMES).tolist()
    assert first.rank(NAMES).tolist() != other.rank(NAMES).tolist()


def test_what_a_change_touches_is_heeded_as_far_as_it_tells() -> None:
    """Of three tests that are touched one fails, so that no past tells which: about 1.5 tests stand before it."""
    rng, told, untold = np.random.default_rng(8), OrderLearner(seed=0, changes=True), OrderLearner(seed=0)
    noise = OrderLearner(seed=0, changes=True)
    places: dict[str, list[int]] = {"told": [], "untold": [], "noise": []}
    for _ in range(60):
        near = rng.choice(40, 3, replace=False)
        touched, failed = np.isin(np.arange(40), near).astype(float), np.arange(40) == near[0]
        places["told"].append(int(np.argmax(failed[told.rank(NAMES, touched)])))
        places["untold"].append(int(np.argmax(failed[untold.rank(NAMES)])))
        told.learn(NAMES, np.ones(40), failed, touched)
        untold.learn(NAMES, np.ones(40), failed)
        always, elsewhere = np.arange(40) == 7, rng.permutation(touched)
        places["noise"].append(int(np.argmax(always[noise.rank(NAMES, elsewhere)])))
        noise.learn(NAMES, np.ones(40), always, elsewhere)
    assert np.mean(places["told"]) < 2.0
    assert np.mean(places["untold"]) > 15.0
    assert np.mean(places["noise"][10:]) < 0.5, "what is touched tells nothing here, and what failed before all"


def test_it_is_told_what_is_touched_always_or_never() -> None:
    with pytest.raises(InvalidInput, match="needs to be told"):
        OrderLearner(changes=True).rank(NAMES)
    with pytest.raises(InvalidInput, match="changes=True"):
        OrderLearner().learn(NAMES, np.ones(40), np.ones(40, dtype=np.bool_), np.ones(40))
    told = OrderLearner(changes=True)
    with pytest.raises(InvalidInput, match=r"pairs|weights"):
        told.restore(OrderLearner().state())


def test_an_order_holds_each_test_once_and_new_ones_too() -> None:
    learner = OrderLearner(seed=0)
    assert sorted(learner.rank(["a", "b", "c"]).tolist()) == [0, 1, 2]
    learner.learn(["a", "b"], np.ones(2), np.array([True, False]))
    assert sorted(learner.rank(["z", "b", "y", "a"]).tolist()) == [0, 1, 2, 3]
    assert learner.rank([]).tolist() == []


def test_who_was_right_has_the_say() -> None:
    """Five tests fail in turn: the one that failed last is the last to fail again, and the rates are alike."""
    learner = OrderLearner(seed=0)
    assert learner.say == {}
    earned(learner, one_of_each([cycle % 5 for cycle in range(40)]))
    assert sum(learner.say.values()) == pytest.approx(1.0)
    assert learner.say["failure rate"] > 3.0 * learner.say["recent failure"]


def test_pairs_teach_which_feature_speaks_for_failing() -> None:
    rng = np.random.default_rng(7)
    ranker = PairwiseRanker(3, np.random.default_rng(0), rate=0.1, replays=5)
    for _ in range(60):
        features = rng.normal(0.0, [1.0, 5.0, 0.1], (30, 3))
        ranker.learn(features, features[:, 0] + 0.3 * rng.normal(size=30) > 1.0)
    assert ranker.weights[0] > 5.0 * np.abs(ranker.weights[1:]).max()
    features = rng.normal(size=(30, 3))
    assert np.corrcoef(ranker.scores(features), features[:, 0])[0, 1] > 0.95


@pytest.mark.parametrize("failed", [True, False])
def test_without_a_pair_nothing_is_learned(failed: bool) -> None:
    ranker = PairwiseRanker(2, np.random.default_rng(0), rate=0.1, replays=5)
    ranker.learn(np.ones((4, 2)), np.full(4, failed))
    assert ranker.weights.tolist() == [0.0, 0.0]
    assert ranker.scores(np.ones((4, 2))).tolist() == [0.0] * 4

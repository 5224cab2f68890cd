"""Tests that ever failed and new ones come first, the others keep together; what a time share shows is counted by hand."""

from itertools import pairwise

import numpy as np
import pytest

from steersman.packs.qe.ordering.learner import OrderLearner
from steersman.plugins.order import SHARES, affordable, arranged, shown

NAMES = [f"{file}.py::test_{place}" for file in "abc" for place in range(4)]


def learned(failing: list[int], cycles: int = 6) -> OrderLearner:
    learner = OrderLearner()
    for _ in range(cycles):
        learner.learn(NAMES, np.ones(12), np.isin(np.arange(12), failing))
    return learner


def ordered(learner: OrderLearner, names: list[str]) -> list[str]:
    return [names[place] for place in arranged(learner, names)]


def test_where_nothing_was_learned_the_order_is_the_usual_one() -> None:
    assert ordered(OrderLearner(), NAMES) == NAMES
    assert arranged(OrderLearner(), []).tolist() == []


def test_where_nothing_ever_failed_the_order_is_the_usual_one() -> None:
    assert ordered(learned([]), NAMES) == NAMES


def test_what_failed_comes_first_and_the_rest_of_each_file_keeps_together_in_its_own_order() -> None:
    found = ordered(learned([6, 11]), NAMES)
    assert set(found[:2]) == {NAMES[6], NAMES[11]}
    files = [name[0] for name in found[2:]]
    assert sorted(files) == list("aaaabbbccc")
    assert sum(one != other for one, other in pairwise(files)) == 2
    for place, file in enumerate("abc"):
        of_file = [name for name in found[2:] if name[0] == file]
        assert of_file == [name for name in NAMES[4 * place : 4 * place + 4] if name in of_file]


def test_new_tests_come_before_those_that_never_failed() -> None:
    names = [*NAMES, "b.py::test_new_1", "b.py::test_new_0"]
    assert ordered(learned([]), names)[:2] == ["b.py::test_new_1", "b.py::test_new_0"]
    found = ordered(learned([6]), names)
    assert set(found[:3]) == {NAMES[6], *names[12:]}


def test_only_so_many_stand_apart_even_where_everything_failed_once() -> None:
    names = [f"{place % 4}.py::test_{place:03}" for place in range(400)]
    learner = OrderLearner()
    learner.learn(names, np.ones(400), np.ones(400, dtype=np.bool_))
    files = [name[0] for name in ordered(learner, names)]
    changes = sum(one != other for one, other in pairwise(files))
    assert changes <= 80 + 4, "the best fifth stands apart, and four files follow"


def test_each_test_runs_once() -> None:
    assert sorted(arranged(learned([1, 7]), [*NAMES, "new", NAMES[0]]).tolist()) == list(range(14))


def test_shares_are_counted_by_hand() -> None:
    """Ten seconds in all: failures are over after 1, 4 and 10 seconds."""
    order = np.array([2, 0, 1, 3])
    seconds = np.array([2.0, 1.0, 1.0, 6.0])
    failed = np.array([False, True, True, True])
    found = dict(zip(SHARES, shown(order, seconds, failed), strict=True))
    assert (found[0.05], found[0.1], found[0.35], found[0.4], found[0.95], found[1.0]) == (0, 1, 1, 2, 2, 3)


def test_where_nothing_takes_time_tests_count_alike() -> None:
    found = dict(zip(SHARES, shown(np.arange(4), np.zeros(4), np.array([False, True, False, False])), strict=True))
    assert (found[0.45], found[0.5]) == (0, 1)


@pytest.mark.parametrize(("budget", "count"), [(1.0, 12), (0.5, 6), (0.01, 0)])
def test_a_budget_is_a_share_of_the_expected_time(budget: float, count: int) -> None:
    learner = learned([3])
    assert affordable(learner, NAMES, arranged(learner, NAMES), budget).sum() == count

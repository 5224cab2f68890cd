"""The past holds what earlier cycles showed of each test, and nothing else."""

import numpy as np
import pytest

from steersman.packs.qe.ordering.past import FEATURES, Past, Seen


def add(past: Past, **verdicts: bool) -> None:
    names = [*verdicts]
    past.add(past.places(names), np.ones(len(names)), np.array([*verdicts.values()]))


def feature(seen: Seen, name: str) -> list[float]:
    return [float(each) for each in seen.features[:, FEATURES.index(name)]]


@pytest.fixture
def past() -> Past:
    past = Past()
    add(past, a=True, b=False)
    add(past, a=False, b=False)
    add(past, b=True)
    return past


def test_counts_by_hand(past: Past) -> None:
    seen = past.of(past.places(["a", "b", "new"]))
    assert seen.features.shape == (3, len(FEATURES))
    assert seen.age.tolist() == [3.0, 1.0, np.inf], "a failed in the first of three cycles, b in the last"
    assert feature(seen, "new") == [0.0, 0.0, 1.0]
    assert feature(seen, "1/(1 + runs since the last failure)") == [0.5, 1.0, 0.0]
    assert feature(seen, "failed when it last ran") == [0.0, 1.0, 0.0]
    assert feature(seen, "changes of verdict") == [1.0, 0.5, 0.0], "one change in one step; one in two"
    assert feature(seen, "cycles since it last ran") == pytest.approx([np.log1p(2.0), np.log1p(1.0), 0.0])
    assert seen.averages[0].tolist() == pytest.approx([0.5, 0.5, 0.5, 0.3]), "a mean at first, until the rate is larger"


def test_rates_are_drawn_to_the_suite(past: Past) -> None:
    base = (0.995**2 + 1.0) / (0.995**3 + 2 * 0.995**2 + 2 * 0.995 + 1.0)
    seen = past.of(past.places(["a", "b"]))
    assert seen.rate.tolist() == pytest.approx([(1 + 2 * base) / 4, (1 + 2 * base) / 5])


def test_a_test_that_ran_twice_in_a_cycle_failed_if_one_run_did() -> None:
    past = Past()
    past.add(past.places(["a", "a"]), np.array([1.0, 3.0]), np.array([False, True]))
    seen = past.of(past.places(["a"]))
    assert (seen.age[0], seen.duration_s[0]) == (1.0, 3.0)
    assert feature(seen, "runs") == pytest.approx([np.log(2.0)])


def test_a_new_test_has_the_usual_duration_and_what_new_tests_did() -> None:
    past = Past()
    past.add(past.places(["a", "b", "c"]), np.array([1.0, 2.0, 9.0]), np.array([True, True, True]))
    seen = past.of(past.places(["new"]))
    assert seen.duration_s[0] == 2.0
    assert seen.rate[0] == pytest.approx((0.98 + 3.0) / (4 * 0.98 + 3.0))


def test_neighbours_are_those_that_stand_beside_a_test() -> None:
    past = Past()
    add(past, a=False, b=True, c=False, d=False)
    seen = past.of(past.places(["a", "c", "d"]))
    assert feature(seen, "failures of its neighbours") == [0.5, 0.5, 0.0], "d's neighbour beyond the end is itself"


def test_asking_changes_nothing_and_features_are_finite(past: Past) -> None:
    names = ["a", "b", *(f"new {each}" for each in range(200))]
    first = past.of(past.places(names))
    assert np.isfinite(first.features).all()
    assert np.array_equal(first.features, past.of(past.places(names)).features)


def test_what_is_asked_twice_is_worked_out_once_and_anew_when_something_happened(past: Past) -> None:
    first = past.of(past.places(["a", "b"]))
    assert past.of(past.places(["a", "b"])) is first
    assert past.of(past.places(["b", "a"])).age.tolist() == [1.0, 3.0]
    add(past, a=True)
    assert past.of(past.places(["b", "a"])).age.tolist() == [2.0, 1.0]
    alone = past.of(past.places(["b"]))
    past.places(["c"])
    assert feature(past.of(past.places(["b"])), "failures of its neighbours") != feature(alone, "failures of its neighbours")
    other = Past()
    other.places(["a", "b", "c"])
    other.of(np.array([0]))
    other.restore(past.state())
    assert other.of(np.array([0])).age.tolist() == [1.0]

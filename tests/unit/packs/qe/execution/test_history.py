"""The history holds what earlier cycles showed, and never answers for one that it has seen."""

import pytest

from steersman.core.errors import Conflict, InvalidInput
from steersman.packs.qe.execution.history import History, Seen
from steersman.packs.qe.ordering.saved import words

TESTS = ("a", "b", "c", "d")


def seen(test: str, *, failed: bool = False, flaky: bool = False, duration_s: float = 0.1) -> Seen:
    return Seen(test=test, failed=failed, flaky=flaky, duration_s=duration_s)


def test_it_refuses_to_look_back_from_what_it_has_seen() -> None:
    history = History()
    history.at(3)
    history.observe(3, [seen("a", failed=True)])
    with pytest.raises(Conflict, match="cannot rank for cycle 3"):
        history.at(3)
    with pytest.raises(Conflict, match="in order"):
        history.observe(2, [])
    past = history.at(4)
    assert past.of(past.places(["a"])).age.tolist() == [1.0]


def test_what_failed_last_and_what_was_ever_flaky() -> None:
    history = History()
    assert (history.failing(TESTS), history.flaky_rate(TESTS)) == (frozenset(), 0.0)
    history.observe(0, [seen("a", failed=True), seen("b", flaky=True), seen("c"), seen("d")])
    history.observe(1, [seen("b", failed=True), seen("b")])
    assert history.failing(TESTS) == {"a", "b"}, "a did not run again; b failed in one of two runs"
    history.observe(2, [seen("a"), seen("b")])
    assert (history.failing(TESTS), history.flaky_rate(TESTS)) == (frozenset(), 0.25)
    history.observe(3, [])
    assert history.flaky_rate(TESTS) == 0.25


def test_tests_that_are_gone_do_not_count() -> None:
    history = History()
    history.observe(0, [seen("a", failed=True), seen("b", flaky=True), seen("c")])
    assert (history.failing(["b", "c"]), history.flaky_rate(["b", "c"])) == (frozenset(), 0.5)
    assert (history.failing(["c", "new"]), history.flaky_rate(["c", "new"])) == (frozenset(), 0.0)
    assert history.flaky_rate([]) == 0.0


def test_it_is_taken_up_where_it_was_left_and_its_cycles_begin_anew() -> None:
    history, other = History(), History()
    history.observe(7, [seen("a", failed=True), seen("b", flaky=True)])
    state = history.state()
    history.observe(8, [seen("a")])
    other.restore(state)
    assert (other.failing("ab"), other.flaky_rate("ab")) == (frozenset({"a"}), 0.5)
    other.observe(0, [seen("a")])
    assert other.failing("ab") == frozenset()
    with pytest.raises(InvalidInput, match="no JSON"):
        other.restore(history.state() | {"flaky": words([])[:1]})

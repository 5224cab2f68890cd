"""Ranking on a store that processes share: each learns the same from the log, and what is said twice counts once."""

from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from steersman.app import Steersman
from steersman.core.errors import Conflict
from steersman.loops.rank import Offer, Ranker, Request

OFFERS = [Offer(id=name, features=[{"kind": name}]) for name in ("first", "second", "third")]


def _request(event: str) -> Request:
    return Request(offers=OFFERS, context=[{"user": {"age": 31}}], event=event)


@pytest.fixture
def pair(store_url: str) -> Iterator[tuple[Ranker, Ranker]]:
    with ExitStack() as stack:
        one, other = (stack.enter_context(Steersman.open(store_url, settings={"personalizer": {}})) for _ in range(2))
        yield one.ranker(), other.ranker()


def _same_model(one: Ranker, other: Ranker) -> bool:
    one.maintain()
    other.maintain()
    return bool((one.fold.belief.mean == other.fold.belief.mean).all()) and one.position == other.position


def test_what_one_ranks_another_may_reward_and_both_learn_the_same(pair: tuple[Ranker, Ranker]) -> None:
    one, other = pair
    for number in range(20):
        one.rank(_request(f"e{number}")).receipt.wait()
        (other if number % 2 else one).reward(f"e{number}", 0.5).wait()
    assert _same_model(one, other)
    assert one.fold.learned == 20
    one.store()
    other.store()
    one._log.flush()


def test_two_that_reward_the_same_event_at_once_agree_in_the_end(pair: tuple[Ranker, Ranker]) -> None:
    one, other = pair
    one.rank(_request("e")).receipt.wait()
    receipts = [each.reward("e", value) for each, value in ((one, 1.0), (other, -1.0))]
    refused = 0
    for each in receipts:
        try:
            each.wait()
        except Conflict:
            refused += 1
    assert refused <= 1  # none, where the first was stored before the second looked
    other.reward("e", -1.0).wait()  # said again, it meets the earliest, which counts
    assert _same_model(one, other)
    assert len(one._log.outcomes("e")) == 1


def test_two_that_rank_the_same_event_answer_as_the_first(pair: tuple[Ranker, Ranker]) -> None:
    one, other = pair
    first = one.rank(_request("e"))
    first.receipt.wait()
    second = other.rank(_request("e"))
    with pytest.raises(Conflict):
        second.receipt.wait()
    assert other.again(_request("e")).decisions == first.decisions


def test_one_that_opens_the_store_later_knows_what_was_learned(pair: tuple[Ranker, Ranker], store_url: str) -> None:
    one, _ = pair
    for number in range(10):
        one.rank(_request(f"e{number}")).receipt.wait()
        one.reward(f"e{number}", 0.5).wait()
        if number == 4:
            one.maintain()
            one.store()
            one._log.flush()
    one.maintain()
    with Steersman.open(store_url, settings={"personalizer": {}}) as later:
        assert _same_model(one, later.ranker())
        assert later.ranker().fold.learned == 10

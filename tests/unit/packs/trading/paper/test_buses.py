"""A market says and hears the same over Redis and over Kafka (the mock broker of librdkafka) as in one process."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from steersman.app.buses import open_bus
from steersman.packs.trading.backtest.stage import Stage
from steersman.packs.trading.paper.exchange import Exchange
from steersman.packs.trading.paper.market import LATE, PaperMarket
from steersman.testing.kafka import MockCluster
from steersman.testing.redis import RedisServer

if TYPE_CHECKING:
    from tests.unit.packs.trading.paper.conftest import AtWork

BARS = 10
SERVERS: dict[str, Callable[[], RedisServer | MockCluster]] = {"redis": RedisServer, "kafka": MockCluster}


@pytest.fixture(params=SERVERS)
def url(request: pytest.FixtureRequest) -> Iterator[str]:
    with closing(SERVERS[request.param]()) as server:
        yield server.url


@pytest.fixture
def redis() -> Iterator[str]:
    with closing(RedisServer()) as server:
        yield server.url


def played(
    working: AtWork, url: str, stream: str, stage: Stage, first: int, *, patience_s: float = 60.0, settle_s: float = 0.0
) -> PaperMarket:
    with working("memory:", url, stream, mode="off", idle_s=4.0 if settle_s else 15.0) as lab:
        exchange = Exchange(lab.market, stream, patience_s=patience_s, settle_s=settle_s)
        market = PaperMarket(stage, exchange, account="main")
        for bar in range(first, first + BARS):
            market.pass_bar(bar)
        assert sum(market.withheld.values()) < lab.consumer.tally.answers
        return market


def test_trades_are_those_of_one_process(working: AtWork, url: str, stream: str, stage: Stage, first: int) -> None:
    here = played(working, "memory:", stream, stage, first)
    there = played(working, url, stream, stage, first)
    assert len(here.played.fills) > 3
    assert there.played.fills == here.played.fills
    assert there.withheld == here.withheld


def test_while_killed_ones_still_hold_question_and_answer_streams_nothing_is_given_up(
    working: AtWork, redis: str, stream: str, stage: Stage, first: int
) -> None:
    here = played(working, "memory:", stream, stage, first)
    dead = [
        open_bus(redis, [stream], group="steersman", idle_s=4.0),
        open_bus(redis, [f"{stream}.answers"], group="paper", idle_s=4.0),
    ]
    for each in dead:  # neither leaves: both just fall silent, as after kill -9
        each.take(1, 3.0)
    there = played(working, redis, stream, stage, first, patience_s=0.001, settle_s=300.0)
    assert there.played.fills == here.played.fills
    assert LATE not in there.withheld
    for each in dead:
        each.close()

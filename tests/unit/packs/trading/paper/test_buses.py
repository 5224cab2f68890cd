"""A market says and hears the same over Redis and over Kafka (the mock broker of librdkafka) as in one process."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from steersman.packs.trading.backtest.stage import Stage
from steersman.packs.trading.paper.exchange import Exchange
from steersman.packs.trading.paper.market import PaperMarket
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


def played(working: AtWork, url: str, stream: str, stage: Stage, first: int) -> PaperMarket:
    with working("memory:", url, stream, mode="off") as lab:
        market = PaperMarket(stage, Exchange(lab.market, stream, patience_s=60.0), account="main")
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

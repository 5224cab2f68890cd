"""What tests of paper trading share: a consumer at work in a thread, as for `steersman trade paper`, and a small market."""

import itertools
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from steersman.app import Steersman, consumers
from steersman.app.buses import open_bus
from steersman.core.ports import Bus
from steersman.core.sections import Bus as Settings
from steersman.loops.consume import Consumer
from steersman.packs.trading.backtest.simulation import Terms
from steersman.packs.trading.backtest.stage import Stage, staged
from steersman.packs.trading.backtest.synthetic import switching
from steersman.packs.trading.backtest.walk import Walk
from steersman.packs.trading.paper.replayed import agents

LIVE = {"influence": {"confidence": 0.0}}
FIRST = 200
_numbers = itertools.count()


@dataclass(frozen=True, kw_only=True)
class Lab:
    """A store with a consumer at work on a bus. market: the bus as a market takes it. stream: where that talks."""

    steersman: Steersman
    consumer: Consumer
    market: Bus
    stream: str


@contextmanager
def at_work(store: str | Path, url: str, stream: str, *, mode: str = "live", idle_s: float = 15.0) -> Iterator[Lab]:
    """Have a consumer work in a thread."""
    stop = threading.Event()
    bus = Settings(url=url, streams=stream, out=f"{stream}.answers", idle_s=idle_s)
    with Steersman.open(store, agents=agents(mode), settings=LIVE) as steersman:
        consumer, opened = consumers.open_consumer(steersman, bus, ["trading"], say=lambda _: None)
        thread = threading.Thread(target=consumer.run, args=(stop,))
        thread.start()
        try:
            with closing(open_bus(url, [bus.out], group="paper", idle_s=idle_s)) as market:
                yield Lab(steersman=steersman, consumer=consumer, market=market, stream=stream)
        finally:
            stop.set()
            thread.join(30.0)
            opened.close()


AtWork = Callable[..., AbstractContextManager[Lab]]


@pytest.fixture
def working() -> AtWork:
    return at_work


@pytest.fixture
def stream() -> str:
    """A stream that no other test has."""
    return f"paper-{next(_numbers)}"


class Silent:
    """Nobody watches."""

    def phase(self, title: str, total: int | None = None) -> None:
        """Begin a phase."""

    def step(self, text: str, amount: int = 1) -> None:
        """Count a step."""

    def note(self, text: str) -> None:
        """Say something."""


@pytest.fixture(scope="session")
def stage() -> Stage:
    """Three symbols that switch between calm trends and wild swings, with models trained on what was past."""
    return staged(switching(3, 260, seed=5), Walk(train=FIRST, embargo=5, test=60), Terms(), Silent())


@pytest.fixture
def first() -> int:
    return FIRST

"""The bus in memory keeps the contract of a bus."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from steersman.backends.memory import MemoryBroker, MemoryBus
from steersman.core.ports import Bus
from steersman.testing.bus_contract import BusContract


class TestMemoryBus(BusContract):
    broker: MemoryBroker

    @pytest.fixture(autouse=True)
    def _place(self) -> None:
        self.broker = MemoryBroker()

    def make(self, *streams: str, group: str = "g", consumer: str = "one", idle_s: float = 60.0) -> Bus:
        return MemoryBus(streams, broker=self.broker, group=group, consumer=consumer, idle_s=idle_s)

    @contextmanager
    def outage(self) -> Iterator[None]:
        self.broker.stall("the server is away")
        yield
        self.broker.resume()

    def take_and_die(self, stream: str, wanted: int, idle_s: float) -> None:
        assert len(self.make(stream, consumer="dying", idle_s=idle_s).take(wanted, 1.0)) == wanted

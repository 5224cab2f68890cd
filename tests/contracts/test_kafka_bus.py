"""The bus on Kafka keeps the contract of a bus, on librdkafka's mock broker."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, closing
from typing import ClassVar

import pytest

from steersman.backends.streams.kafka_bus import KafkaBus
from steersman.core.errors import InvalidInput
from steersman.core.ports import Bus
from steersman.testing.bus_contract import BusContract, bodies, collect
from steersman.testing.kafka import MockCluster

DYING = """
import os, sys
from steersman.backends.streams.kafka_bus import KafkaBus
from steersman.testing.bus_contract import collect
url, stream, group, wanted, idle_s = sys.argv[1:]
bus = KafkaBus(url, [stream], group=group, consumer="dying", idle_s=float(idle_s))
os._exit(0 if len(collect(bus, int(wanted), done=False)) == int(wanted) else 1)
"""


@pytest.fixture(scope="module")
def cluster() -> Iterator[MockCluster]:
    with closing(MockCluster()) as opened:
        yield opened


class TestKafkaBus(BusContract):
    counts_attempts: ClassVar[bool] = False
    repeats_when_hands_change: ClassVar[bool] = True
    cluster: MockCluster
    tag: str

    @pytest.fixture(autouse=True)
    def _place(self, cluster: MockCluster, stream: str) -> None:
        self.cluster, self.tag = cluster, stream  # the mock broker hears of one who leaves a group when its session ends

    def make(self, *streams: str, group: str = "g", consumer: str = "one", idle_s: float = 60.0) -> Bus:
        url = f"{self.cluster.url}?session.timeout.ms=6000"
        return KafkaBus(url, streams, group=f"{group}-{self.tag}", consumer=consumer, idle_s=idle_s)

    def outage(self) -> AbstractContextManager[None]:
        return self.cluster.away()

    def take_and_die(self, stream: str, wanted: int, idle_s: float) -> None:
        group = f"g-{self.tag}"
        subprocess.run([sys.executable, "-c", DYING, self.cluster.url, stream, group, str(wanted), str(idle_s)], check=True)


def test_what_was_acknowledged_behind_something_that_was_not_comes_again_after_a_death(cluster: MockCluster) -> None:
    with closing(KafkaBus(cluster.url, ["gaps"], consumer="first", idle_s=6.0)) as first:
        first.publish("gaps", [("k", str(number).encode()) for number in range(4)])
        held = collect(first, 4, done=False)
        first.done([held[0], held[2]])
        assert first.waiting() == 3
    with closing(KafkaBus(cluster.url, ["gaps"], consumer="second")) as second:
        assert bodies(collect(second, 3)) == [b"1", b"2", b"3"]


@pytest.mark.parametrize(
    "url",
    [
        "kafka://",
        "kafka:///topic",
        "kafka://127.0.0.1:9092/topic",
        "kafka://ann:secret@127.0.0.1:9092",
        "kafka://127.0.0.1:9092?no.such.setting=1",
    ],
)
def test_a_url_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(InvalidInput, match=r"kafka://HOST:PORT|librdkafka") as told:
        KafkaBus(url, ["s"])
    assert "secret" not in str(told.value)

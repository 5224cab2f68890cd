"""librdkafka's mock broker for tests: real Kafka over TCP, as far as it goes, in this process.

It speaks the protocol of producing, fetching, consumer groups and committed offsets, so the client under test is the real
one, on real sockets. It keeps everything in memory, and is only as strict as it was written to be: what only a real cluster
can show (disks, elections, authorisation, quotas) it does not.
"""

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from steersman.core.errors import NotFound, StoreError

_PRODUCER = 0
_POINTER = ctypes.c_void_p


class MockCluster:
    """A cluster of mock brokers. Topics come into being when they are first used, with four partitions.

    Raises NotFound where confluent-kafka, which brings librdkafka, is not installed in the form of a wheel.
    """

    def __init__(self, brokers: int = 1) -> None:
        self._library = _library()
        self._brokers = range(1, brokers + 1)
        said = ctypes.create_string_buffer(512)
        settings = self._call("rd_kafka_conf_new", _POINTER)
        self._call("rd_kafka_conf_set", ctypes.c_int, settings, b"log_level", b"2", said, 512)
        self._host = self._call("rd_kafka_new", _POINTER, _PRODUCER, settings, said, 512)
        if not self._host:
            raise StoreError(f"librdkafka gives no handle: {said.value.decode()}.")
        self._cluster = self._call("rd_kafka_mock_cluster_new", _POINTER, self._host, brokers)
        self._call("rd_kafka_mock_group_initial_rebalance_delay_ms", None, self._cluster, 0)

    @property
    def url(self) -> str:
        """Where it is."""
        found = self._call("rd_kafka_mock_cluster_bootstraps", ctypes.c_char_p, self._cluster)
        return f"kafka://{bytes(found).decode()}"

    @contextmanager
    def away(self) -> Iterator[None]:
        """Have all brokers refuse connections for as long as the context lasts."""
        for each in self._brokers:
            self._call("rd_kafka_mock_broker_set_down", ctypes.c_int, self._cluster, each)
        yield
        for each in self._brokers:
            self._call("rd_kafka_mock_broker_set_up", ctypes.c_int, self._cluster, each)

    def close(self) -> None:
        """End it."""
        self._call("rd_kafka_mock_cluster_destroy", None, self._cluster)
        self._call("rd_kafka_destroy", None, self._host)

    def _call(self, name: str, result: type | None, *arguments: object) -> Any:
        function = getattr(self._library, name)
        function.restype = result
        given = [_POINTER(each) if isinstance(each, int) and each > 2**31 else each for each in arguments]
        return function(*given)


def _library() -> ctypes.CDLL:
    """Return the library that the wheel of confluent-kafka has brought, with the client that uses it."""
    client = find_spec("confluent_kafka")
    for place in client.submodule_search_locations or () if client is not None else ():
        for library in Path(place).with_name("confluent_kafka.libs").glob("librdkafka*"):
            return ctypes.CDLL(str(library))
    raise NotFound("there is no librdkafka here. `pip install confluent-kafka`.")

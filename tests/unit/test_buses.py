"""A URL leads to its bus; what is wrong with it is told before anything is connected."""

import sys
from contextlib import closing

import pytest

from steersman.app.buses import open_bus
from steersman.core.errors import InvalidInput, StoreError
from steersman.testing.bus_contract import bodies, collect
from steersman.testing.redis import RedisServer


def test_memory_is_one_bus_for_the_process_and_consumers_are_apart() -> None:
    one, two = (open_bus("memory:", ["buses-test"]) for _ in range(2))
    two.publish("buses-test", [("k", b"1"), ("l", b"2")])
    (held,) = one.take(1, 0.0)
    assert bodies(two.take(5, 0.0)) == [b"2"]
    two.close()
    assert bodies(collect(one, 1)) == [b"2"], "what was held by the one that stays does not come again"
    one.done([held])
    assert one.waiting() == 0


def test_redis_is_reached_with_its_own_options_and_ours(redis_server: RedisServer) -> None:
    with closing(open_bus(f"{redis_server.url}?partitions=2&socket_timeout=5&durable=yes", ["buses-test"])) as bus:
        bus.publish("buses-test", [("k", b"1")])
        assert bodies(collect(bus, 1)) == [b"1"]


def test_a_durability_that_was_given_up_is_heard() -> None:
    with closing(RedisServer({"appendonly": "no"})) as server:
        with closing(open_bus(f"{server.url}?durable=no")) as bus:
            bus.publish("s", [("k", b"1")])
        with closing(open_bus(server.url)) as bus, pytest.raises(StoreError, match="durable=no"):
            bus.publish("s", [("k", b"1")])


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("", "Known: kafka, memory, redis, rediss"),
        ("rediss", "Known"),
        ("reddis://127.0.0.1", "Did you mean 'redis'"),
        ("redis://127.0.0.1?durable=maybe", "yes or no"),
        ("redis://127.0.0.1?partitions=0", "from 1"),
        ("redis://127.0.0.1?no_such_option=1", "redis://HOST:PORT"),
        ("kafka://", "kafka://HOST:PORT"),
        ("kafka://127.0.0.1:1?acks=most", "librdkafka"),
    ],
)
def test_a_url_that_leads_nowhere_is_refused_with_the_way_out(url: str, told: str) -> None:
    with pytest.raises(InvalidInput, match=told):
        open_bus(url, ["s"])


@pytest.mark.parametrize(
    ("url", "module", "extra"), [("redis://h", "redis", "redis"), ("kafka://h", "confluent_kafka", "kafka")]
)
def test_without_its_client_the_extra_is_named(url: str, module: str, extra: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    for name in [each for each in sys.modules if each.startswith("steersman.backends.streams.")]:
        monkeypatch.delitem(sys.modules, name)
    with pytest.raises(InvalidInput, match=rf"pip install 'steersman\[{extra}\]'"):
        open_bus(url)

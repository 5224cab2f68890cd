"""The bus on Redis Streams keeps the contract of a bus, and loses nothing that it has acknowledged."""

import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager

import pytest
import redis

from steersman.backends.streams.redis_bus import RedisBus
from steersman.core.errors import InvalidInput, Overloaded, StoreError
from steersman.core.ports import Bus
from steersman.testing.bus_contract import BusContract, bodies, collect
from steersman.testing.redis import RedisServer

DYING = """
import os, sys
from steersman.backends.streams.redis_bus import RedisBus
from steersman.testing.bus_contract import collect
url, stream, wanted, idle_s = sys.argv[1:]
bus = RedisBus(url, [stream], group="g", consumer="dying", idle_s=float(idle_s))
os._exit(0 if len(collect(bus, int(wanted), done=False)) == int(wanted) else 1)
"""


class TestRedisBus(BusContract):
    server: RedisServer

    @pytest.fixture(autouse=True)
    def _place(self, redis_server: RedisServer) -> None:
        self.server = redis_server

    def make(self, *streams: str, group: str = "g", consumer: str = "one", idle_s: float = 60.0) -> Bus:
        return RedisBus(self.server.url, streams, group=group, consumer=consumer, idle_s=idle_s)

    @contextmanager
    def outage(self) -> Iterator[None]:
        self.server.kill()
        yield
        self.server.start()

    def take_and_die(self, stream: str, wanted: int, idle_s: float) -> None:
        subprocess.run([sys.executable, "-c", DYING, self.server.url, stream, str(wanted), str(idle_s)], check=True)


@pytest.fixture
def client(redis_server: RedisServer) -> Iterator["redis.Redis"]:
    with redis.Redis(port=redis_server.port) as opened:
        opened.flushall()
        yield opened


def test_no_entry_that_was_acknowledged_is_lost_when_the_server_is_killed(redis_server: RedisServer) -> None:
    with closing(RedisBus(redis_server.url, ["kills"])) as bus:
        published: list[bytes] = []
        for life in range(5):
            killer = threading.Timer(0.05 + 0.05 * life, redis_server.kill)
            killer.start()
            try:
                for number in range(100_000):
                    body = f"{life}.{number}".encode()
                    bus.publish("kills", [(str(number % 5), body)])
                    published.append(body)
            except StoreError:
                pass
            killer.join()
            redis_server.start()
        assert len({each.split(b".")[0] for each in published}) > 1, "no kill came in mid-work"
        found = bodies(collect(bus, len(published)))
        assert set(published) <= set(found) | set(bodies(collect(bus, 10, within_s=1.0)))


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"appendonly": "no"}, "append-only file"),
        ({"appendfsync": "everysec"}, "appendfsync everysec"),
        ({"maxmemory": "50mb", "maxmemory-policy": "allkeys-lru"}, "allkeys-lru"),
    ],
)
def test_a_server_that_could_lose_what_it_acknowledged_is_refused_unless_that_is_accepted(
    options: dict[str, str], why: str
) -> None:
    with closing(RedisServer(options)) as server:
        with closing(RedisBus(server.url, ["s"])) as bus:
            for refused in (lambda: bus.publish("s", [("k", b"")]), lambda: bus.take(1, 0.0)):
                with pytest.raises(StoreError, match=f"{why}.*durable=no"):
                    refused()
            assert why in bus.health()
        with closing(RedisBus(server.url, ["s"], durable=False)) as bus:
            bus.publish("s", [("k", b"1")])
            assert bodies(collect(bus, 1)) == [b"1"]


def test_a_full_server_is_told_as_overloaded_and_takes_entries_again_later() -> None:
    options = {"maxmemory": "8mb", "maxmemory-policy": "noeviction"}
    with closing(RedisServer(options)) as server, closing(RedisBus(server.url, ["s"])) as bus:
        sent, told = 0, ""
        while sent < 1_000 and not told:
            try:
                bus.publish("s", [("k", b"x" * 100_000)])
                sent += 1
            except Overloaded as error:
                told = str(error)
        assert sent
        assert "full" in told
        assert len(told) < 1_000, "it does not repeat what was to be published"
        with redis.Redis(port=server.port) as client:
            client.config_set("maxmemory", "100mb")
        bus.publish("s", [("k", b"fits")])
        assert len(collect(bus, sent + 1)) == sent + 1


def test_what_others_add_is_taken_and_what_has_no_body_is_shown_as_it_was(
    redis_server: RedisServer, client: "redis.Redis"
) -> None:
    client.xadd("theirs", {"body": b'{"id": 1}'})
    client.xadd("theirs", {"price": "1.5", b"\xff": b"\xfe"})
    with closing(RedisBus(redis_server.url, ["theirs"])) as bus:
        assert bodies(collect(bus, 2)) == [b'{"id": 1}', '{"price": "1.5", "�": "�"}'.encode()]


def test_what_all_groups_acknowledged_is_trimmed_and_nothing_else(
    redis_server: RedisServer, client: "redis.Redis", monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("steersman.backends.streams.redis_bus._TRIM_S", 0.0)
    buses = [RedisBus(redis_server.url, ["s"], group=group, partitions=1) for group in ("g", "h")]
    buses[0].publish("s", [("k", str(number).encode()) for number in range(10)])
    first, second = (collect(bus, 10, done=False) for bus in buses)
    buses[0].done(first)
    assert client.xlen("s") == 10
    buses[1].done([*second[:4], *second[5:]])
    assert client.xlen("s") == 6, "the fifth is not acknowledged"
    buses[1].done(second[4:5])
    assert client.xlen("s") == 0
    for bus in buses:
        assert bus.waiting() == 0
        bus.close()


def test_a_stream_that_was_removed_begins_anew(redis_server: RedisServer, client: "redis.Redis") -> None:
    with closing(RedisBus(redis_server.url, ["s"])) as bus:
        bus.publish("s", [("k", b"1")])
        assert len(collect(bus, 1)) == 1
        client.flushall()
        bus.publish("s", [("k", b"2")])
        assert bodies(collect(bus, 1)) == [b"2"]


def test_what_a_dead_consumer_left_is_taken_before_anything_new_however_much_it_is(redis_server: RedisServer) -> None:
    sent = [str(number).encode() for number in range(60)]
    with closing(RedisBus(redis_server.url, ["much"], consumer="first", partitions=1)) as first:
        first.publish("much", [("k", each) for each in sent[:40]])
        collect(first, 40, done=False)
        first.publish("much", [("k", each) for each in sent[40:]])
    with closing(RedisBus(redis_server.url, ["much"], consumer="second")) as second:
        found: list[bytes] = []
        while len(found) < 60 and (batch := second.take(7, 5.0)):
            found += bodies(batch)
        assert found == sent


@pytest.mark.parametrize("options", ["?protocol=3", "?decode_responses=true", "?protocol=3&decode_responses=true"])
def test_how_answers_are_written_makes_no_difference(redis_server: RedisServer, client: "redis.Redis", options: str) -> None:
    with closing(RedisBus(redis_server.url + options, ["s"])) as bus:
        bus.publish("s", [("k", b"\xff")])
        assert bodies(collect(bus, 1)) == [b"\xff"]
        assert bus.waiting() == 0


def test_a_server_that_does_not_answer_is_told(redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("steersman.backends.streams.redis_server.ANSWER_S", 0.3)
    with closing(RedisBus(redis_server.url, ["s"])) as bus:
        bus.publish("s", [("k", b"1")])
        redis_server.freeze()
        try:
            with pytest.raises(StoreError, match="cannot be reached"):
                bus.publish("s", [("k", b"2")])
            assert bus.take(1, 0.1) == []
        finally:
            redis_server.thaw()
        assert b"1" in bodies(collect(bus, 2))


def test_the_password_is_never_shown() -> None:
    with closing(RedisBus("redis://ann:secret@127.0.0.1:1/0", ["s"])) as bus:
        with pytest.raises(StoreError, match=r"127\.0\.0\.1:1/0") as told:
            bus.publish("s", [("k", b"")])
        assert "secret" not in f"{told.value} {bus.health()}"


@pytest.mark.parametrize("url", ["redis://127.0.0.1:port", "redis://127.0.0.1:6379/0?db=many"])
def test_a_url_that_cannot_be_read_is_refused(url: str) -> None:
    with pytest.raises(InvalidInput, match="redis://HOST:PORT"):
        RedisBus(url)

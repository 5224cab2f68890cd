"""Buses: where a URL leads, by which client."""

from collections.abc import Sequence
from contextlib import closing
from importlib import import_module
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

from steersman.backends.memory import MemoryBroker, MemoryBus
from steersman.core.errors import InvalidInput, Overloaded, StoreError, nearest
from steersman.core.ports import Bus

_SCHEMES = ("memory", "redis", "rediss", "kafka")
_BROKER = MemoryBroker()
_MOST_PARTITIONS = 256
_NOT_ALLOWED = ("AuthenticationError", "AuthenticationWrongNumberOfArgsError", "AuthorizationError", "NoPermissionError")


def open_bus(url: str, streams: Sequence[str] = (), *, group: str = "steersman", idle_s: float = 30.0) -> Bus:
    """Return one consumer of a group on the bus behind a URL; nothing is connected before its first use.

    url: `redis://HOST:PORT/DATABASE` (`rediss` with TLS), `kafka://HOST:PORT,HOST:PORT`, or `memory:`, which is one bus for
    all of the process. Of Redis, `?durable=no` accepts a server that may lose what it has acknowledged, and `?partitions=8`
    says how many a new stream has; further options are those of redis-py or of librdkafka. idle_s: after how long without
    an acknowledgement an entry comes again. Raises InvalidInput.
    """
    scheme = urlsplit(url).scheme
    if scheme == "memory":
        return MemoryBus(streams, broker=_BROKER, group=group, idle_s=idle_s)
    if scheme in ("redis", "rediss"):
        bare, ours = _redis_options(url)
        redis: Bus = _client("redis", "RedisBus")(bare, streams, group=group, idle_s=idle_s, **ours)
        return redis
    if scheme == "kafka":
        kafka: Bus = _client("kafka", "KafkaBus")(url, streams, group=group, idle_s=idle_s)
        return kafka
    raise InvalidInput(f"no bus for {url.partition('?')[0]!r}.{nearest(scheme, _SCHEMES)}")


def check_set_up(bus: Bus) -> None:
    """Raise StoreError where a bus answers, and is set up so that waiting cannot mend it. One that is away is no fault."""
    try:
        bus.waiting()
    except Overloaded:
        return
    except StoreError as error:
        if error.__cause__ is None or type(error.__cause__).__name__ in _NOT_ALLOWED:  # it was no failure of a call
            raise


def missing(url: str, streams: Sequence[str]) -> list[str]:
    """Return the streams that are not there: nothing was put into them, and nobody takes from them. Raises StoreError.

    Asked of Redis alone: what is asked for of Kafka is made, where brokers allow that.
    """
    if urlsplit(url).scheme not in ("redis", "rediss"):
        return []
    client = _client("redis", "Server")(_redis_options(url)[0], keeps=False)
    with closing(client), client.reach() as redis:
        return [each for each in streams if not redis.exists(each, *(f"{each}:{n}" for n in range(1, _MOST_PARTITIONS)))]


def _redis_options(url: str) -> tuple[str, dict[str, Any]]:
    """Return a URL of Redis without what is ours in it, and that by itself. Raises InvalidInput."""
    where = urlsplit(url)
    options = dict(parse_qsl(where.query, keep_blank_values=True))
    durable, partitions = options.pop("durable", "yes"), options.pop("partitions", "4")
    if durable not in ("yes", "no"):
        raise InvalidInput(f"durable={durable}: say yes or no.")
    if not (partitions.isdecimal() and 1 <= int(partitions) <= _MOST_PARTITIONS):
        raise InvalidInput(f"partitions={partitions}: from 1 to {_MOST_PARTITIONS}.")
    bare = where._replace(query=urlencode(options)).geturl()
    return bare, {"durable": durable == "yes", "partitions": int(partitions)}


def _client(name: str, bus: str) -> Any:
    """Return the bus of a client that is an extra. Raises InvalidInput where that is not installed."""
    try:
        return getattr(import_module(f"steersman.backends.streams.{name}_bus"), bus)
    except ImportError as error:
        raise InvalidInput(f"{name.capitalize()} needs its client: pip install 'steersman[{name}]' ({error}).") from error

"""The connection to a Redis server: how it is reached, whether it keeps what it says it has, and what its errors mean."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import redis
from redis import exceptions
from redis.backoff import NoBackoff
from redis.retry import Retry

from steersman.core.errors import InvalidInput, Overloaded, StoreError

CONNECT_S = 2.0
ANSWER_S = 3.0
_MOST_SAID = 300


class Server:
    """A Redis server. keeps: refuse one that could lose what it has acknowledged."""

    def __init__(self, url: str, *, keeps: bool = True) -> None:
        """Raises InvalidInput for a URL that cannot be read. Nothing is connected yet."""
        try:
            where = urlsplit(url)
            self.shown = f"{where.scheme}://{where.hostname}:{where.port or 6379}{where.path}"
            pool = redis.ConnectionPool.from_url(
                url,
                socket_connect_timeout=CONNECT_S,
                socket_timeout=ANSWER_S,
                retry=Retry(NoBackoff(), 1, (exceptions.ConnectionError,)),  # an outage shows in the next use alone
            )
            pool.connection_kwargs.update(protocol=2, decode_responses=False)  # one shape of answers, bytes in them
            pool.connection_class(**pool.connection_kwargs)  # which refuses options that it does not know
        except (TypeError, ValueError) as error:
            raise InvalidInput(f"cannot read the URL of Redis: {error}. Use redis://HOST:PORT/DATABASE.") from error
        self.client = redis.Redis(connection_pool=pool)
        self._keeps = keeps
        self._checked = False
        self.trouble = ""

    @contextmanager
    def reach(self) -> Iterator[Any]:
        """Give the client, typed loosely as its answers are. Raises StoreError or Overloaded for what goes wrong."""
        try:
            self._check()
            yield self.client
        except exceptions.RedisError as error:
            self._checked = False
            self.trouble = f"{self.shown}: {str(error)[:_MOST_SAID] or type(error).__name__}"
            raise _meaning(self.shown, error) from error
        self.trouble = ""

    def close(self) -> None:
        """Close all connections."""
        self.client.close()
        self.client.connection_pool.disconnect()

    def _check(self) -> None:
        """Raise StoreError, after each outage anew, for a server that could lose what it has acknowledged."""
        if self._checked:
            return
        if self._keeps and (wrong := _losses(self.client)):
            self.trouble = f"{self.shown}: {wrong}"
            raise StoreError(
                f"{self.shown} {wrong}. Start it with `--appendonly yes --appendfsync always` and without an eviction "
                "policy for all keys, or add ?durable=no to its URL to accept the loss."
            )
        self._checked = True


def _losses(client: Any) -> str:
    """Return how a server could lose what it has acknowledged; "" if it does not."""
    settings: dict[str, str] = {}
    try:
        for name in ("appendonly", "appendfsync", "maxmemory-policy"):
            settings |= {_text(key): _text(value) for key, value in client.config_get(name).items()}
    except exceptions.ResponseError as error:
        return f"does not tell how it keeps what it has acknowledged ({error})"
    if settings.get("appendonly") != "yes":
        return "keeps no append-only file, so that what it has acknowledged is gone when it ends"
    if settings.get("appendfsync") != "always":
        return f"acknowledges before its append-only file is on the disk (appendfsync {settings.get('appendfsync')})"
    policy = settings.get("maxmemory-policy", "")
    return f"throws keys away when its memory is full ({policy})" if policy.startswith("allkeys") else ""


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def _meaning(shown: str, error: exceptions.RedisError) -> StoreError:
    said = str(error)[:_MOST_SAID] or type(error).__name__  # it may repeat the whole command
    if isinstance(error, (exceptions.ConnectionError, exceptions.TimeoutError)):
        return StoreError(f"the bus at {shown} cannot be reached: {said}. Nothing is lost; try again later.")
    if "OOM" in said or isinstance(error, exceptions.OutOfMemoryError):
        return Overloaded(f"the bus at {shown} is full: {said}. Let consumers catch up, or raise its maxmemory.")
    return StoreError(f"the bus at {shown} refuses: {said}.")

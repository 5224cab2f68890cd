"""What tests of every kind share: one PostgreSQL and one Redis server for all of a run, a store of its own for each test."""

from collections.abc import Callable, Iterator
from contextlib import closing
from itertools import count

import psycopg
import pytest

from steersman.testing.postgres import postgres_url
from steersman.testing.redis import RedisServer

_numbers = count()


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """The URL of a server."""
    with postgres_url() as url:
        yield url


@pytest.fixture(scope="session")
def redis_server() -> Iterator[RedisServer]:
    """A server that is there for every test; who ends it starts it again."""
    with closing(RedisServer()) as server:
        yield server


@pytest.fixture
def store_url(postgres: str, worker_id: str) -> Iterator[str]:
    """The URL of an empty store."""
    schema = f"test_{worker_id}_{next(_numbers)}"
    with closing(psycopg.connect(postgres, autocommit=True)) as connection:
        connection.execute(f"DROP SCHEMA IF EXISTS {schema} CASCADE")
        yield f"{postgres}?schema={schema}"
        connection.execute(f"DROP SCHEMA IF EXISTS {schema} CASCADE")


Opener = Callable[[], object]

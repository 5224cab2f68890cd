"""What tests of every kind share: one PostgreSQL and one Redis server for all of a run, a store of its own for each test."""

import gc
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import closing
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import psycopg
import pytest
from filelock import FileLock

from steersman.testing.postgres import postgres_url
from steersman.testing.redis import RedisServer

MEMORY, PLENTY = Path("/dev/shm"), 4 * 2**30
_numbers = count()


def pytest_configure() -> None:
    """Do without what costs more time than it gives: the system's certificates, good machine code, and GC while importing.

    All servers are ours, and reading certificates takes a client 20 ms. Programs of JAX run for moments here: to compile
    them as well as in production takes longer than to run them. What is imported stays, so nobody needs to look for more.
    """
    os.environ.pop("SSL_CERT_FILE", None)
    os.environ["SSL_CERT_DIR"] = os.devnull
    os.environ.setdefault("JAX_DISABLE_MOST_OPTIMIZATIONS", "1")
    gc.disable()


def pytest_runtestloop() -> None:
    """Let the garbage collector begin, and leave alone what was imported."""
    gc.freeze()
    gc.enable()


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """The URL of a server. Its data are in memory where there is plenty: tables are made there in a third of the time."""
    plenty = os.access(MEMORY, os.W_OK) and shutil.disk_usage(MEMORY).free > PLENTY
    place = MEMORY if plenty else None
    with TemporaryDirectory(dir=place, ignore_cleanup_errors=True) as folder, postgres_url(Path(folder)) as url:
        yield url


@pytest.fixture(scope="session")
def redis_server() -> Iterator[RedisServer]:
    """A server that is there for every test; who ends it starts it again."""
    with closing(RedisServer()) as server:
        yield server


@pytest.fixture(scope="session")
def mlflow_database(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """A database of MLflow's with an experiment, to be copied; to make one takes seconds, so all processes share it."""
    from steersman.backends.mlflow import MlflowTracker

    own = tmp_path_factory.getbasetemp()
    path = (own if worker_id == "master" else own.parent) / "mlflow.db"
    with FileLock(f"{path}.lock"):
        if not path.exists():
            assert MlflowTracker(f"sqlite:///{path}")._client.search_experiments()
    return path


@pytest.fixture(scope="session")
def maker(postgres: str) -> Iterator[psycopg.Connection[tuple[Any, ...]]]:
    """A connection that makes the tables of one store after the other; a new one takes five times as long for them."""
    with closing(psycopg.connect(postgres, autocommit=True)) as connection:
        yield connection


@pytest.fixture
def new_store_url(postgres: str, maker: psycopg.Connection[tuple[Any, ...]], worker_id: str) -> Iterator[str]:
    """The URL of a store that is not there yet."""
    schema = f"test_{worker_id}_{next(_numbers)}"
    maker.execute(f"DROP SCHEMA IF EXISTS {schema} CASCADE")
    yield f"{postgres}?schema={schema}"
    maker.execute(f"DROP SCHEMA IF EXISTS {schema} CASCADE")


@pytest.fixture
def store_url(maker: psycopg.Connection[tuple[Any, ...]], new_store_url: str) -> str:
    """The URL of an empty store."""
    from steersman.backends.sql.postgres import connect, store

    where = connect.target(new_store_url)
    maker.execute(f"SET search_path TO {where.schema}")
    store.create(maker, where)
    return new_store_url


Opener = Callable[[], object]

"""Bare connections to SQLite, each with the settings that its use needs."""

import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

from steersman.core.errors import StoreError

BUSY_MS = 5_000
_LOOK_S = 0.001
_CHECKPOINT_PAGES = 4_000  # 16 MB: fewer, larger copies into the main file
_WAL_LIMIT_BYTES = 64 * 2**20
_CACHE_KB = 64 * 2**10


def writer(path: Path) -> sqlite3.Connection:
    """Return a connection whose commits are on the disk when they return (WAL, synchronous=FULL)."""
    connection = _connect(f"{path.absolute().as_uri()}?mode=rw")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute(f"PRAGMA wal_autocheckpoint = {_CHECKPOINT_PAGES}")
    connection.execute(f"PRAGMA journal_size_limit = {_WAL_LIMIT_BYTES}")
    connection.execute(f"PRAGMA cache_size = -{_CACHE_KB}")
    return connection


@contextmanager
def transaction(path: Path) -> Iterator[sqlite3.Connection]:
    """Give a connection in a transaction of its own, whoever writes beside; durable when the context ends.

    Raises StoreError, and then nothing of it is there, unless the commit itself failed.
    """
    try:
        with closing(writer(path)) as connection:
            _begin(connection)
            try:
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                with suppress(sqlite3.Error):  # after SQLITE_FULL it is rolled back already
                    connection.execute("ROLLBACK")
                raise
    except (sqlite3.Error, OSError) as error:
        raise unusable(path, error) from error


def _begin(connection: sqlite3.Connection) -> None:
    """Begin to write in the first gap that another writer leaves: SQLite by itself looks for one ten times a second."""
    deadline = time.monotonic() + BUSY_MS / 1000
    connection.execute("PRAGMA busy_timeout = 0")
    while not _began(connection, last=time.monotonic() > deadline):
        time.sleep(_LOOK_S)
    connection.execute(f"PRAGMA busy_timeout = {BUSY_MS}")


def _began(connection: sqlite3.Connection, *, last: bool) -> bool:
    try:
        connection.execute("BEGIN IMMEDIATE")
    except sqlite3.OperationalError as error:
        if last or not _is_busy(error):
            raise
        return False
    return True


def _is_busy(error: Exception) -> bool:
    return getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_BUSY  # the extended codes of it, too


def reader(path: Path) -> sqlite3.Connection:
    """Return a connection that cannot write."""
    connection = _connect(f"{path.absolute().as_uri()}?mode=ro")
    connection.execute("PRAGMA query_only = ON")
    return connection


def creator(path: Path) -> sqlite3.Connection:
    """Return a connection that makes the file if there is none."""
    return _connect(f"{path.absolute().as_uri()}?mode=rwc")


def _connect(uri: str) -> sqlite3.Connection:
    return sqlite3.connect(
        uri, uri=True, isolation_level=None, check_same_thread=False, timeout=BUSY_MS / 1000, cached_statements=256
    )


def unusable(path: Path, error: sqlite3.Error | OSError) -> StoreError:
    """Return what to raise for a store that cannot be opened or read."""
    if isinstance(error, sqlite3.DatabaseError) and not isinstance(error, sqlite3.OperationalError):
        return StoreError(
            f"{path} is no store, or a damaged one: {error}. Nothing was changed. Put a copy of it back, or save what "
            f"can be saved with `sqlite3 {path} .recover`, or name another file."
        )
    if _is_busy(error):
        return StoreError(f"cannot use the store {path}: {error}. Another process keeps it locked: try again in a moment.")
    return StoreError(
        f"cannot use the store {path}: {error}. Check that its folder exists and can be written, or name another file."
    )

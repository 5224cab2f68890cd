"""The writer of a file.

A commit that failed, and is there after all, is made durable by copying it into the main file: a failed fsync says nothing
about the pages it was for.
"""

import sqlite3
from contextlib import suppress
from pathlib import Path
from typing import ClassVar

from steersman.backends.sql.batch import Batch
from steersman.backends.sql.queue import Queue
from steersman.backends.sql.sqlite import connect, transaction
from steersman.backends.sql.sqlite.statements import SQL
from steersman.backends.sql.writer import Writer


class FileWriter(Writer[sqlite3.Connection]):
    """Writes into the file of its owner."""

    errors: ClassVar[tuple[type[Exception], ...]] = (sqlite3.Error,)

    def __init__(self, queue: Queue, path: Path, audit_key: bytes, taken_s: float) -> None:
        self._path = path
        self._audit_key = audit_key
        self._taken_s = taken_s
        super().__init__(queue)

    def open(self) -> sqlite3.Connection:
        """Return a connection whose commits are on the disk when they return."""
        return connect.writer(self._path)

    def write(self, connection: sqlite3.Connection, batch: Batch) -> None:
        """Store a batch durably."""
        transaction.write(connection, batch, self._audit_key, self._taken_s)

    def holds(self, connection: sqlite3.Connection, batch: Batch) -> bool:
        """Return whether a batch is in the store after all, having made sure that it is durable."""
        _, commits = connection.execute(SQL.head).fetchone()
        if commits < batch.number:
            return False
        busy, in_wal, copied = connection.execute("PRAGMA wal_checkpoint(FULL)").fetchone()
        if busy or in_wal != copied:
            raise sqlite3.OperationalError("an earlier commit is not safely in the main file yet; a reader holds it")
        return True

    def drop(self, connection: sqlite3.Connection) -> None:
        """Close a connection."""
        with suppress(sqlite3.Error):
            connection.close()

"""The one thread that writes: everything that waits goes into one transaction, and is acknowledged after its commit.

After an error nothing is tried again on the same connection. The store is opened anew and asked what it holds: a commit
that failed may still be there (then it is made durable by copying it into the main file) or not (then it is written
again). Meanwhile receipts stay open and rows wait in the queue.
"""

import sqlite3
import threading
from collections.abc import Callable
from contextlib import suppress

from steersman.backends.sql.batch import Batch
from steersman.backends.sql.queue import Queue
from steersman.backends.sql.sqlite import transaction
from steersman.backends.sql.sqlite.statements import SQL

_FIRST_PAUSE_S = 0.02
_LONGEST_PAUSE_S = 0.5


class Writer(threading.Thread):
    """Writes the batches of a queue through a connection that `connect` opens."""

    def __init__(self, queue: Queue, connect: Callable[[], sqlite3.Connection]) -> None:
        super().__init__(name="steersman-log", daemon=True)
        self._queue = queue
        self._connect = connect
        self.connection: sqlite3.Connection | None = connect()

    def run(self) -> None:
        """Write until the queue is closed, and empty or given up."""
        try:
            while (batch := self._queue.take()) is not None:
                if not self._store(batch):
                    break
        finally:
            self._queue.end()
            self._disconnect()

    def _store(self, batch: Batch) -> bool:
        """Store a batch, however long it takes; return False if the queue was closed before that succeeded."""
        pause_s = _FIRST_PAUSE_S
        while error := self._try(batch):
            self._disconnect()
            if not self._queue.fail(f"{type(error).__name__}: {error}", pause_s):
                return False
            pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)
        self._queue.settle(batch)
        return True

    def _try(self, batch: Batch) -> Exception | None:
        try:
            if not self._is_there(batch):
                self._write(batch)
        except (sqlite3.Error, ValueError, OverflowError) as error:
            return error
        return None

    def _write(self, batch: Batch) -> None:
        assert self.connection is not None  # noqa: S101 - `_is_there` opened it
        transaction.write(self.connection, batch)

    def _is_there(self, batch: Batch) -> bool:
        """Return whether a batch is in the store after all, and durable; opens the store if an error closed it."""
        if self.connection is not None:
            return False
        self.connection = self._connect()
        _, commits = self.connection.execute(SQL.head).fetchone()
        if commits < batch.number:
            return False
        self._copy_to_main_file()
        return True

    def _copy_to_main_file(self) -> None:
        """Write what the WAL holds again, elsewhere: a failed fsync says nothing about the pages it was for."""
        assert self.connection is not None  # noqa: S101 - as above
        busy, in_wal, copied = self.connection.execute("PRAGMA wal_checkpoint(FULL)").fetchone()
        if busy or in_wal != copied:
            raise sqlite3.OperationalError("an earlier commit is not safely in the main file yet; a reader holds it")

    def _disconnect(self) -> None:
        if self.connection is not None:
            with suppress(sqlite3.Error):
                self.connection.close()
            self.connection = None

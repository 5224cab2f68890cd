"""The writer of a process that shares a store."""

from collections.abc import Callable
from contextlib import suppress
from typing import ClassVar

import psycopg

from steersman.backends.sql.batch import Batch
from steersman.backends.sql.postgres import connect, transaction
from steersman.backends.sql.postgres.connect import Connection, Target
from steersman.backends.sql.postgres.statements import SQL
from steersman.backends.sql.queue import Queue
from steersman.backends.sql.writer import Writer


class SharedWriter(Writer[Connection]):
    """Writes under a name of its own, by which the store knows what it has committed.

    channel: where others listen. stream: gives the number of this process' stream of random numbers.
    """

    errors: ClassVar[tuple[type[Exception], ...]] = (psycopg.Error,)

    def __init__(
        self,
        queue: Queue,
        where: Target,
        name: str,
        channel: str,
        stream: Callable[[], int],
        audit_key: bytes,
        taken_s: float,
    ) -> None:
        self._where = where
        self.name_in_store = name
        self._channel = channel
        self._stream = stream
        self._audit_key = audit_key
        self._taken_s = taken_s
        super().__init__(queue)

    def open(self) -> Connection:
        """Return a connection whose commits are on the disk when they return."""
        return connect.writer(self._where)

    def write(self, connection: Connection, batch: Batch) -> int:
        """Store a batch durably and return the position of the log's last row."""
        sender = transaction.Sender(self.name_in_store, self._stream(), self._channel, self._audit_key, self._taken_s)
        return transaction.write(connection, batch, sender)

    def holds(self, connection: Connection, batch: Batch) -> bool:
        """Return whether a batch was committed after all: the answer may have been lost on the way."""
        (commits,) = connection.execute(SQL.commits, (self.name_in_store,)).fetchone() or (0,)
        return int(str(commits)) >= batch.number

    def drop(self, connection: Connection) -> None:
        """Close a connection."""
        with suppress(psycopg.Error):
            connection.close()

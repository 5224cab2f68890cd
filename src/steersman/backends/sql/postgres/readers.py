"""Read connections, lent to one caller at a time and kept for the next."""

import threading
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager, suppress
from itertools import count
from typing import Any

import psycopg
from psycopg.pq import TransactionStatus

from steersman.backends.sql.postgres import connect
from steersman.backends.sql.postgres.connect import Connection, Target
from steersman.core.errors import StoreError

_SCANNED_ROWS = 1_000
_cursors = count()


class Readers:
    """A pool of connections. Errors while reading become StoreError.

    writer: the name under which this process writes. `outage` says why the store cannot be reached, as far as is known, so
    that nobody waits for a connection then.
    """

    def __init__(self, where: Target, writer: str) -> None:
        self._where = where
        self.outage: Callable[[], str] = str
        self._writer = writer
        self._lock = threading.Lock()
        self._idle: list[Connection] = []
        self.closed = False

    @contextmanager
    def lend(self) -> Iterator[Connection]:
        """Lend a connection; a snapshot begun on it ends when it comes back."""
        if self.closed:
            raise StoreError("the log is closed. Open the store again to read.")
        if outage := self.outage():
            raise StoreError(f"the store {self._where.shown} cannot be reached: {outage}")
        connection = self._take()
        try:
            if connection is None:
                connection = connect.connect(self._where)
            yield connection
        except psycopg.Error as error:
            raise connect.unusable(self._where, error) from error
        finally:
            if connection is not None:
                self._take_back(connection)

    def begin(self, connection: Connection) -> int:
        """Begin a snapshot and return how many of this process' transactions are in it."""
        connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        found = connection.execute("SELECT commits FROM writers WHERE name = %s", (self._writer,)).fetchone()
        return 0 if found is None else int(str(found[0]))

    def ask(self, connection: Connection, statement: str, parameters: tuple[object, ...]) -> list[Any]:
        """Return the rows of an answer, planned for these very parameters.

        A plan for any agent walks the log and leaves out the others' rows: quick where one agent makes most of it, and for
        a rare one a walk through all of it.
        """
        return connection.execute(statement, parameters, prepare=False).fetchall()

    def scan(self, connection: Connection, statement: str, parameters: tuple[object, ...]) -> Generator[Any, None, None]:
        """Yield the rows of a long answer, fetched a thousand at a time."""
        with connection.cursor(name=f"scan_{next(_cursors)}") as cursor:
            cursor.itersize = _SCANNED_ROWS
            yield from cursor.execute(statement, parameters)

    def _take(self) -> Connection | None:
        """Return an idle connection that still lives: after an outage all of them are dead."""
        while True:
            with self._lock:
                connection = self._idle.pop() if self._idle else None
            if connection is None or not (connection.closed or connection.broken):
                return connection

    def _take_back(self, connection: Connection) -> None:
        with suppress(psycopg.Error):
            if connection.info.transaction_status != TransactionStatus.IDLE:
                connection.rollback()
            with self._lock:
                if not self.closed and not connection.closed:
                    self._idle.append(connection)
                    return
        connection.close()

    def close(self) -> None:
        """Close what is idle now, and the rest when it comes back."""
        with self._lock:
            self.closed = True
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()

    def drop_idle(self) -> None:
        """Close what is idle: it did not live through an outage."""
        with self._lock:
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()

    def connections(self) -> list[Connection]:
        """Return the idle connections."""
        return list(self._idle)

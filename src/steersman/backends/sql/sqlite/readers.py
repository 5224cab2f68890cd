"""Read connections, lent to one caller at a time and kept for the next."""

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from steersman.backends.sql.sqlite import connect
from steersman.backends.sql.sqlite.statements import SQL
from steersman.core.errors import StoreError


class Readers:
    """A pool of connections that cannot write. Errors while reading become StoreError."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()
        self._idle: list[sqlite3.Connection] = []
        self.closed = False

    @contextmanager
    def lend(self) -> Iterator[sqlite3.Connection]:
        """Lend a connection; a snapshot begun on it ends when it comes back."""
        if self.closed:
            raise StoreError(f"the log {self.path} is closed. Open the store again to read.")
        with self._lock:
            connection = self._idle.pop() if self._idle else None
        try:
            if connection is None:
                connection = connect.reader(self.path)
            yield connection
        except sqlite3.Error as error:
            raise connect.unusable(self.path, error) from error
        finally:
            if connection is not None:
                self._take_back(connection)

    def begin(self, connection: sqlite3.Connection) -> int:
        """Begin a snapshot and return how many transactions of the store are in it."""
        connection.execute("BEGIN")
        commits: int = connection.execute(SQL.head).fetchone()[1]
        return commits

    def ask(self, connection: sqlite3.Connection, statement: str, parameters: tuple[object, ...]) -> list[Any]:
        """Return the rows of an answer."""
        return connection.execute(statement, parameters).fetchall()

    def scan(self, connection: sqlite3.Connection, statement: str, parameters: tuple[object, ...]) -> sqlite3.Cursor:
        """Return the rows of a long answer, fetched as they are taken."""
        return connection.execute(statement, parameters)

    def _take_back(self, connection: sqlite3.Connection) -> None:
        with suppress(sqlite3.Error):
            if connection.in_transaction:
                connection.execute("ROLLBACK")
        with self._lock:
            if not self.closed:
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

    def connections(self) -> list[sqlite3.Connection]:
        """Return the idle connections."""
        return list(self._idle)

"""`SqliteReleases`: versions, moves and verdicts in the file of the log, for any process."""

import os
import sqlite3
from contextlib import AbstractContextManager
from pathlib import Path

from steersman.backends.sql import fork
from steersman.backends.sql.reads import Connection
from steersman.backends.sql.releases import StoredReleases
from steersman.backends.sql.sqlite import connect, store
from steersman.backends.sql.sqlite.readers import Readers
from steersman.backends.sql.sqlite.statements import RELEASES
from steersman.backends.sql.sqlite.transaction import write_words
from steersman.core.values import AuditEvent


class SqliteReleases(StoredReleases):
    """The `Registry` and `Releases` ports in an SQLite file, whoever owns its log. Close it before the log.

    audit_key: of the audit trail. read_only: moves and keeps nothing. Raises StoreVersionError for a store of another
    version, StoreError where there is none.
    """

    def __init__(self, path: str | os.PathLike[str], *, audit_key: bytes = b"", read_only: bool = False) -> None:
        self._path = Path(path)
        self._audit_key = audit_key
        try:
            store.check_current(self._path, pages=False)
        except (sqlite3.Error, OSError) as error:
            raise connect.unusable(self._path, error) from error
        self._pool = Readers(self._path)
        super().__init__(self._pool, RELEASES, str(self._path), read_only=read_only)
        fork.track(self)

    def close(self) -> None:
        """Let the file go."""
        self._pool.close()

    def abandon(self) -> None:
        """Let go without touching the file, in a process that was forked."""
        self._pool.closed = True
        fork.leak(self._pool.connections())

    def _transaction(self) -> AbstractContextManager[Connection]:
        return connect.transaction(self._path)

    def _hold(self, connection: Connection) -> None:
        """BEGIN IMMEDIATE holds already."""

    def _tell(self, connection: Connection, events: tuple[AuditEvent, ...]) -> None:
        assert isinstance(connection, sqlite3.Connection)  # noqa: S101 - `_transaction` gave it
        write_words(connection, events, self._audit_key)

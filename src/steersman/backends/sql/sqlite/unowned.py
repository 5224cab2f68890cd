"""Words from outside: a kill switch or an audit event, written to a store that another process may own.

Such rows have no position in the log, so that the owner's count of positions stays true without asking anybody.
"""

import os
import sqlite3
from collections.abc import Sequence
from contextlib import closing, suppress
from pathlib import Path

from steersman.backends.sql.rows import encode
from steersman.backends.sql.sqlite import connect, store
from steersman.backends.sql.sqlite.transaction import write_events
from steersman.core.errors import NotFound
from steersman.core.values import AuditEvent, Control


def append_unowned(path: str | os.PathLike[str], rows: Sequence[AuditEvent | Control]) -> None:
    """Write rows durably, whoever owns the store. Raises NotFound without a store, or StoreError."""
    file = Path(path)
    encode(rows)
    try:
        if store.inspect(file) is None:
            raise NotFound(f"no store at {file}. Name the store whose agents are meant.")
        with closing(connect.writer(file)) as connection:
            _write(connection, rows)
    except (sqlite3.Error, OSError) as error:
        raise connect.unusable(file, error) from error


def _write(connection: sqlite3.Connection, rows: Sequence[AuditEvent | Control]) -> None:
    connection.execute("BEGIN IMMEDIATE")
    try:
        audit = [each for each in rows if isinstance(each, AuditEvent)]
        write_events(connection, audit, [each for each in rows if isinstance(each, Control)])
        connection.execute("COMMIT")
    except sqlite3.Error:
        with suppress(sqlite3.Error):
            connection.execute("ROLLBACK")
        raise

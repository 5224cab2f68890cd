"""Words from a process that does nothing else: a kill switch or an audit event."""

from collections.abc import Sequence

import psycopg

from steersman.backends.sql.postgres import connect, store
from steersman.backends.sql.postgres.statements import SQL
from steersman.backends.sql.rows import encode
from steersman.core.errors import NotFound
from steersman.core.values import AuditEvent, Control


def append_unowned(url: str, rows: Sequence[AuditEvent | Control]) -> None:
    """Write rows durably. Raises NotFound without a store, or StoreError."""
    where = connect.target(url)
    columns = encode(rows)
    try:
        with connect.writer(where) as connection:
            if store.inspect(connection, where) is None:
                raise NotFound(f"no store at {where.shown}, schema {where.schema}. Name the store whose agents are meant.")
            with connection.transaction():
                for row, values in zip(rows, columns, strict=True):
                    statement = SQL.add_audit if isinstance(row, AuditEvent) else SQL.add_switches
                    connection.execute(statement, tuple([each] for each in values))
                connection.execute("SELECT pg_notify(%s, '')", (connect.channel(where),))
    except psycopg.Error as error:
        raise connect.unusable(where, error) from error

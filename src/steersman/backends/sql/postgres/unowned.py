"""Words from a process that does nothing else: a control, a key or an audit event."""

from collections.abc import Sequence

import psycopg

from steersman.backends.sql.postgres import connect, store
from steersman.backends.sql.postgres.statements import SQL
from steersman.backends.sql.postgres.transaction import write_audit
from steersman.backends.sql.rows import encode
from steersman.core.values import ApiKey, AuditEvent, Control


def append_unowned(url: str, rows: Sequence[AuditEvent | Control | ApiKey], audit_key: bytes = b"") -> None:
    """Write rows durably. Raises NotFound without a store, StoreVersionError for an older one, or StoreError."""
    where = connect.target(url)
    columns = encode(rows)
    try:
        with connect.writer(where) as connection:
            store.check_readable(connection, where)
            with connection.transaction():
                connection.execute(SQL.lock_head)
                write_audit(connection, [each for each in rows if isinstance(each, AuditEvent)], audit_key)
                for row, values in zip(rows, columns, strict=True):
                    if not isinstance(row, AuditEvent):
                        statement = SQL.put_keys if isinstance(row, ApiKey) else SQL.add_controls
                        connection.execute(statement, tuple([each] for each in values))
                connection.execute("SELECT pg_notify(%s, '')", (connect.channel(where),))
    except psycopg.Error as error:
        raise connect.unusable(where, error) from error

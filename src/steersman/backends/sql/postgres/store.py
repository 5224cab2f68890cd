"""The tables in their schema: made new, looked at before they are used, and brought up to date."""

import psycopg

from steersman.backends.sql.postgres import connect
from steersman.backends.sql.postgres.connect import Connection, Target
from steersman.backends.sql.postgres.statements import DEFINITIONS
from steersman.backends.sql.revisions import REVISIONS
from steersman.core.errors import NotFound, StoreError, StoreVersionError

OLDEST_SERVER = 130000
_MAKING = 0x53746565  # one process at a time makes or migrates a schema; the others wait


def prepare(connection: Connection, where: Target) -> None:
    """Make the tables if there are none, else check them and bring them up to date.

    Raises StoreError for a schema that is not ours, StoreVersionError for a server too old or tables of a newer version.
    """
    check_server(connection)
    connection.execute("SELECT pg_advisory_lock(%s, hashtext(%s))", (_MAKING, where.schema))
    try:
        revision = inspect(connection, where)
        if revision is None:
            create(connection, where)
        elif revision != REVISIONS[-1]:
            upgrade(where)
    finally:
        connection.execute("SELECT pg_advisory_unlock(%s, hashtext(%s))", (_MAKING, where.schema))


def check_server(connection: Connection) -> None:
    """Raise StoreVersionError for a server that is too old."""
    if connection.info.server_version < OLDEST_SERVER:
        raise StoreVersionError(
            f"the server is PostgreSQL {connection.info.server_version // 10000}; this needs {OLDEST_SERVER // 10000} or "
            "newer. Nothing was changed. Upgrade the server, or name another one."
        )


def inspect(connection: Connection, where: Target) -> str | None:
    """Return the revision of the tables, or None where there are none yet. Raises as `prepare` does."""
    found = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = %s", (where.schema,))
    tables = {str(name) for (name,) in found}
    if not tables:
        return None
    if connection.execute("SELECT has_schema_privilege(%s, 'USAGE')", (where.schema,)).fetchone() == (False,):
        raise psycopg.errors.InsufficientPrivilege(f"permission denied for schema {where.schema}")
    if not {"alembic_version", "log_head"} <= tables:
        raise StoreError(
            f"the schema {where.schema} of {where.shown} holds another program's tables. Nothing was changed. Name another "
            "one: …?schema=NAME."
        )
    (revision,) = connection.execute("SELECT version_num FROM alembic_version").fetchone() or ("",)
    if revision not in REVISIONS:
        raise StoreVersionError(
            f"{where.shown} was written by a newer Steersman (schema {revision}; this one knows up to "
            f"{REVISIONS[-1]}). Nothing was changed. Upgrade with `pip install -U steersman`, or name another store."
        )
    return str(revision)


def check_readable(connection: Connection, where: Target) -> None:
    """Raise NotFound if there is no store to read, StoreVersionError if it is an older one, or as `prepare` does."""
    check_server(connection)
    revision = inspect(connection, where)
    if revision is None:
        raise NotFound(
            f"no store at {where.shown}, schema {where.schema}. Name one with --store or STEERSMAN_STORE, or make one by "
            "deciding."
        )
    if revision != REVISIONS[-1]:
        raise StoreVersionError(
            f"{where.shown} was written by an older Steersman (schema {revision}; this one reads {REVISIONS[-1]}). "
            "Nothing was changed. Whatever writes to it next, such as a process that decides, brings it up to date."
        )


def create(connection: Connection, where: Target) -> None:
    """Make the tables of the newest revision in one transaction, and stamp them, without importing Alembic."""
    with connection.transaction():
        if connection.execute("SELECT to_regnamespace(%s)", (where.schema,)).fetchone() == (None,):
            connection.execute(f'CREATE SCHEMA "{where.schema}"')
        for statement in DEFINITIONS:
            connection.execute(statement)
        connection.execute("INSERT INTO alembic_version (version_num) VALUES (%s)", (REVISIONS[-1],))
        connection.execute("INSERT INTO log_head (id, position, commits) VALUES (1, 0, 0)")


def upgrade(where: Target, revision: str = "head") -> None:
    """Run the migrations that are due, however long they take. Raises psycopg.Error: then nothing was changed."""
    from sqlalchemy import URL
    from sqlalchemy.exc import DBAPIError

    from steersman.backends.sql import migrate

    def patient() -> Connection:
        connection = connect.connect(where)
        connection.execute("SET statement_timeout = 0")
        connection.autocommit = False
        return connection

    try:
        migrate.upgrade(URL.create("postgresql+psycopg"), revision, connect=patient)
    except DBAPIError as error:
        raise error.orig or error from error

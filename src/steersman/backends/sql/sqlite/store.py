"""The store file: made new, looked at before it is used, and brought up to date."""

import sqlite3
from contextlib import closing
from pathlib import Path

from steersman.backends.sql.revisions import APPLICATION_ID, REVISIONS
from steersman.backends.sql.sqlite import connect
from steersman.backends.sql.sqlite.statements import DEFINITIONS
from steersman.core.errors import StoreError, StoreVersionError

_QUICK_CHECK_BYTES = 32 * 2**20


def prepare(path: Path) -> None:
    """Make the store if there is none, else check it and bring it up to date. The caller owns it.

    Raises StoreError for what is no store of ours or is damaged, and StoreVersionError for one of a newer version; the
    file is untouched then.
    """
    try:
        revision = inspect(path)
        if revision is None:
            create(path)
        elif revision != REVISIONS[-1]:
            upgrade(path)
    except (sqlite3.Error, OSError) as error:
        raise connect.unusable(path, error) from error


def upgrade(path: Path, revision: str = "head") -> None:
    """Run the migrations that are due."""
    from sqlalchemy import URL

    from steersman.backends.sql import migrate

    migrate.upgrade(URL.create("sqlite", database=str(path)), revision, begin="BEGIN IMMEDIATE")


def inspect(path: Path, *, pages: bool = True) -> str | None:
    """Return the revision of the store, or None where there is nothing yet. Raises as `prepare` does.

    pages: check those of a small store as well. SQLite alone opens the file: whoever closes one lets go of all locks that
    its process holds on it (POSIX), those of a log that is open here too, and who leaves next takes its journal away.
    """
    if not path.exists() or not path.stat().st_size:
        return None
    with closing(connect.reader(path)) as connection:
        tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        if not tables:
            return None  # a store whose making was cut short
        _check_ours(path, connection, tables)
        revision = str(connection.execute("SELECT version_num FROM alembic_version").fetchone()[0])
        _check_revision(path, revision)
        if pages and path.stat().st_size <= _QUICK_CHECK_BYTES:
            _check_pages(path, connection)
    return revision


def check_current(path: Path, *, pages: bool = True) -> None:
    """Raise StoreVersionError for a store of an older version, StoreError where there is none, or as `prepare` does."""
    revision = inspect(path, pages=pages)
    if revision is None:
        raise StoreError(f"there is no store at {path} to read. Name another file.")
    if revision != REVISIONS[-1]:
        raise StoreVersionError(
            f"{path} was written by an older Steersman (schema {revision}; this one reads {REVISIONS[-1]}). Nothing "
            "was changed. Whatever writes to it next, such as `steersman up`, brings it up to date; until then use the "
            "version that runs on it."
        )


def verify(path: Path) -> list[str]:
    """Return what SQLite finds wrong in the whole store; reads all of it. Empty if nothing is."""
    try:
        with closing(connect.reader(path)) as connection:
            found = [str(line) for (line,) in connection.execute("PRAGMA integrity_check")]
    except sqlite3.Error as error:
        return [str(error)]
    return [] if found == ["ok"] else found


def create(path: Path) -> None:
    """Make the tables of the newest revision in one transaction, and stamp them, without importing Alembic."""
    with closing(connect.creator(path)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("BEGIN IMMEDIATE")
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        for statement in DEFINITIONS:
            connection.execute(statement)
        connection.execute("INSERT INTO alembic_version (version_num) VALUES (?)", (REVISIONS[-1],))
        connection.execute("INSERT INTO log_head (id, position, commits) VALUES (1, 0, 0)")
        connection.execute("COMMIT")


def _check_ours(path: Path, connection: sqlite3.Connection, tables: set[str]) -> None:
    (mark,) = connection.execute("PRAGMA application_id").fetchone()
    if mark != APPLICATION_ID or "alembic_version" not in tables:
        raise StoreError(f"{path} is the database of another program. Nothing was changed. Name another file.")


def _check_revision(path: Path, revision: str) -> None:
    if revision not in REVISIONS:
        raise StoreVersionError(
            f"{path} was written by a newer Steersman (schema {revision}; this one knows up to {REVISIONS[-1]}). "
            "Nothing was changed. Upgrade with `pip install -U steersman`, or name another file."
        )


def _check_pages(path: Path, connection: sqlite3.Connection) -> None:
    (found,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    if found != "ok":
        raise connect.unusable(path, sqlite3.DatabaseError(str(found).replace("\n", " ")))

"""The store file: made, checked and migrated; what does not fit is refused and left as it was."""

import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import create_engine

from steersman.backends.sql import SqliteLog, migrate, schema, verify
from steersman.backends.sql.revisions import APPLICATION_ID, REVISIONS
from steersman.backends.sql.sqlite import store
from steersman.core.chain import faults
from steersman.core.errors import Conflict, StoreError, StoreVersionError
from steersman.core.values import AuditEvent, Control
from steersman.testing.log_rows import decision


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "log.db"


def filled(path: Path, rows: int = 50) -> bytes:
    """Fill a store, close it and return its bytes."""
    log = SqliteLog(path)
    log.append([decision() for _ in range(rows)])
    log.close()
    return path.read_bytes()


def definitions(path: Path) -> dict[str, str]:
    """Return the names and columns of everything in a store, without Alembic's own table and without line breaks."""
    with closing(sqlite3.connect(path)) as connection:
        found = connection.execute("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL").fetchall()
    return {name: " ".join(sql.split()) for name, sql in found if name != "alembic_version"}


def refused(path: Path, error: type[StoreError], words: str) -> None:
    """Check that a store cannot be opened, in either way, and is untouched afterwards."""
    before = path.read_bytes()
    for read_only in (False, True):
        with pytest.raises(error, match=words):
            SqliteLog(path, read_only=read_only)
    assert path.read_bytes() == before


def test_migrations_equal_the_schema(path: Path) -> None:
    migrated = path.with_name("migrated.db")
    store.upgrade(migrated)
    store.create(path)
    engine = create_engine(f"sqlite:///{migrated}")
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), schema.metadata) == []
    engine.dispose()
    assert definitions(migrated) == definitions(path)


def test_a_migrated_store_works(path: Path) -> None:
    store.upgrade(path)
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA application_id").fetchone() == (APPLICATION_ID,)
        connection.execute("PRAGMA journal_mode = WAL")
    filled(path)
    assert store.inspect(path) == REVISIONS[-1]


def test_the_known_revisions_are_the_migrations() -> None:
    assert migrate.revisions() == REVISIONS


def test_an_older_store_is_brought_up_to_date(path: Path) -> None:
    store.upgrade(path, "0001")
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("INSERT INTO agents (name, decisions) VALUES ('qe/runner', 7)")
        connection.execute("INSERT INTO entries VALUES ('qe/runner', 'a state', 0, 0.5, 3, 0.1, 0.2, 0.3, 1.0)")
        connection.execute("INSERT INTO kill_switches (scope, active, actor, reason, at) VALUES ('qe', 1, 'me', 'why', 7.0)")
        connection.execute("INSERT INTO audit_events (at, actor, event, subject, detail) VALUES (7.0, 'me', 'old', '', '')")
    with pytest.raises(StoreVersionError, match="older Steersman"):
        SqliteLog(path, read_only=True)
    with closing(SqliteLog(path)) as log:
        assert (log.decision_count("qe/runner"), log.agents()) == (7, ["qe/runner"])
        assert log.controls() == [Control(scope="qe", active=True, actor="me", reason="why", at=7.0)]
        log.append((decision(), AuditEvent(at=8.0, actor="me", event="new", subject="", detail=""))).wait(5.0)
        assert [(each.event, each.number) for each in log.trail(-1)] == [("old", 1), ("new", 2)]
        assert list(faults(b"", log.trail(-1))) == []
    assert store.inspect(path) == REVISIONS[-1]
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT value, version FROM entries").fetchall() == [(0.5, 0)]
        assert connection.execute("SELECT agent, windows, td_bias FROM convergence ORDER BY agent").fetchall()[0][1:] == (
            0,
            None,
        )


def test_opening_imports_neither_alembic_nor_sqlalchemy(path: Path) -> None:
    code = (
        "import sys, steersman.app; from steersman.backends.sql import SqliteLog; SqliteLog(sys.argv[1]).close()\n"
        "assert not {'alembic', 'sqlalchemy'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code, str(path)], check=True)


def test_a_store_of_a_newer_version_is_refused(path: Path) -> None:
    filled(path)
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    refused(path, StoreVersionError, r"newer Steersman \(schema 9999.*pip install -U")


def test_the_database_of_another_program_is_refused(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE theirs (x)")
    refused(path, StoreError, "another program")


def test_what_is_no_database_is_refused(path: Path) -> None:
    path.write_bytes(b"hello, I am a text\n" * 400)
    refused(path, StoreError, "file is not a database")


def test_a_damaged_store_is_refused(path: Path) -> None:
    whole = filled(path, rows=500)
    path.write_bytes(whole[:4096] + b"\xff" * 8192 + whole[12288:])
    refused(path, StoreError, "damaged")
    assert verify(path)


def test_a_truncated_store_is_refused(path: Path) -> None:
    path.write_bytes(filled(path, rows=500)[:20_000])
    refused(path, StoreError, "damaged")


def test_a_whole_store_verifies(path: Path) -> None:
    filled(path)
    assert verify(path) == []


def test_a_store_whose_making_was_cut_short_is_made_again(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
    filled(path)


@pytest.mark.parametrize("folder", ["missing", "a-file"])
def test_a_folder_that_cannot_hold_a_store_is_named(tmp_path: Path, folder: str) -> None:
    (tmp_path / "a-file").write_text("")
    with pytest.raises(StoreError, match=r"cannot use the store .*folder"):
        SqliteLog(tmp_path / folder / "log.db")


def test_a_folder_on_a_read_only_file_system_is_named() -> None:
    with pytest.raises(StoreError, match="cannot use the store"):
        SqliteLog("/proc/log.db")


def test_reading_needs_a_store(path: Path) -> None:
    with pytest.raises(StoreError, match="no store"):
        SqliteLog(path, read_only=True)
    assert not path.exists()


def test_a_store_has_one_owner(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("steersman.backends.sql.sqlite.owner.WAIT_S", 0.1)
    log = SqliteLog(path)
    with pytest.raises(Conflict, match=r"in use by process \d+"):
        SqliteLog(path)
    log.close()
    SqliteLog(path).close()


def test_bodies_are_readable_with_json_extract(path: Path) -> None:
    filled(path, rows=1)
    with closing(sqlite3.connect(path)) as connection:
        found = connection.execute("SELECT json_extract(body, '$.state.files'), action FROM decisions").fetchone()
    assert found == (3, '{"workers":2,"order":"recent"}')

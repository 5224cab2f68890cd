"""The schema that holds the store: made, checked and migrated; what does not fit is refused and left as it was."""

import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import psycopg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import create_engine

from steersman.backends.sql import schema
from steersman.backends.sql.postgres import PostgresLog, append_unowned, store
from steersman.backends.sql.postgres.connect import Target, connect, target
from steersman.backends.sql.revisions import REVISIONS
from steersman.core.errors import InvalidInput, NotFound, SteersmanError, StoreError, StoreVersionError
from steersman.core.values import Control
from steersman.testing.log_rows import AGENT, decision, learned, outcome, window
from steersman.testing.postgres import PostgresServer

PASSWORD = "s3cret-word"
SWITCH = Control(scope="*", active=True, actor="someone", reason="a test", at=1.0)


@pytest.fixture
def where(new_store_url: str) -> Target:
    return target(new_store_url)


@pytest.fixture(scope="module")
def guarded() -> Iterator[PostgresServer]:
    """A server that asks for passwords, with users who may do little."""
    server = PostgresServer(password=PASSWORD)
    with closing(psycopg.connect(server.url().partition("?")[0], autocommit=True)) as connection:
        for name in ("guest", "reader", "member"):
            connection.execute(f"CREATE ROLE {name} LOGIN PASSWORD '{PASSWORD}'")
    yield server
    server.close()


def ask(where: Target, query: str, *parameters: object) -> list[tuple[Any, ...]]:
    """Run a statement and return what it found."""
    with closing(connect(where)) as connection:
        found = connection.execute(query, parameters)
        return found.fetchall() if found.description else []


def empty(where: Target) -> None:
    ask(where, f'CREATE SCHEMA "{where.schema}"')


def migrated(where: Target, revision: str = "head") -> None:
    """Make a store as older versions did, migration by migration."""
    empty(where)
    store.upgrade(where, revision)


def definitions(where: Target) -> dict[str, set[tuple[Any, ...]]]:
    """Return the columns, constraints, indexes and views of a store, without Alembic's own table."""
    asked = {
        "columns": "SELECT table_name, column_name, data_type, is_nullable, column_default FROM information_schema.columns "
        "WHERE table_schema = %s",
        "constraints": "SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid) FROM pg_constraint "
        "WHERE connamespace = to_regnamespace(%s)",
        "indexes": "SELECT tablename, indexname, indexdef FROM pg_indexes WHERE schemaname = %s",
        "views": "SELECT viewname, viewname, definition FROM pg_views WHERE schemaname = %s",
    }
    found = {name: ask(where, query, where.schema) for name, query in asked.items()}
    return {
        name: {tuple(str(each).replace(where.schema, "") for each in row) for row in rows if row[0] != "alembic_version"}
        for name, rows in found.items()
    }


def contents(where: Target) -> dict[str, list[tuple[Any, ...]]]:
    """Return all rows of all tables of a schema."""
    tables = [name for (name,) in ask(where, "SELECT tablename FROM pg_tables WHERE schemaname = %s", where.schema)]
    return {name: sorted(ask(where, f'SELECT * FROM "{where.schema}"."{name}"'), key=str) for name in tables}


def refusal(url: str, kind: type[SteersmanError], *, read_only: bool = False) -> str:
    """Check that a store cannot be opened and that no password is told; return what is said."""
    with pytest.raises(kind) as refused:
        PostgresLog(url, read_only=read_only).close()
    assert PASSWORD not in str(refused.value)
    return str(refused.value)


def refused(where: Target, url: str, error: type[StoreError]) -> str:
    """Check that a store cannot be opened, in any way, and is untouched afterwards; return what is said."""
    before = contents(where)
    said = {refusal(url, error), refusal(url, error, read_only=True)}
    assert contents(where) == before
    assert len(said) == 1
    return said.pop()


# made and migrated


def test_migrations_equal_the_schema(where: Target, postgres: str) -> None:
    migrated(where)
    engine = create_engine("postgresql+psycopg://", creator=lambda: psycopg.connect(where.conninfo))
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), schema.metadata) == []
    engine.dispose()
    made = target(f"{postgres}?schema={where.schema}_made")
    try:
        PostgresLog(f"{postgres}?schema={made.schema}").close()
        for name, expected in definitions(made).items():
            found = {tuple(each.replace("_made", "") for each in row) for row in expected}
            assert definitions(where)[name] == found
    finally:
        ask(made, f"DROP SCHEMA IF EXISTS {made.schema} CASCADE")


def test_opening_imports_neither_alembic_nor_sqlalchemy(new_store_url: str) -> None:
    code = (
        "import sys; from steersman.backends.sql.postgres import PostgresLog; PostgresLog(sys.argv[1]).close()\n"
        "assert not {'alembic', 'sqlalchemy'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code, new_store_url], check=True)


def test_a_migrated_store_works(where: Target, new_store_url: str) -> None:
    migrated(where)
    with closing(PostgresLog(new_store_url)) as log:
        made = decision()
        log.append((made, outcome(made), SWITCH), learned({("s", 0): 1.0}, windows=[window(0)])).wait(10)
        assert log.position == 2
    assert ask(where, "SELECT version_num FROM alembic_version") == [(REVISIONS[-1],)]


def test_an_older_store_is_brought_up_to_date_and_keeps_its_rows(where: Target, new_store_url: str) -> None:
    migrated(where, "0001")
    ask(where, "INSERT INTO agents (name, decisions) VALUES ('qe/runner', 7)")
    ask(where, "INSERT INTO entries VALUES ('qe/runner', 'a state', 0, 0.5, 3, 0.1, 0.2, 0.3, to_timestamp(1.0))")
    with closing(PostgresLog(new_store_url)) as log:
        assert (log.decision_count("qe/runner"), log.agents()) == (7, ["qe/runner"])
        log.append((decision(),)).wait(10)
    assert ask(where, "SELECT version_num FROM alembic_version") == [(REVISIONS[-1],)]
    assert ask(where, "SELECT value, visits, version FROM entries") == [(0.5, 3, 0)]


def test_a_migration_without_the_rights_changes_nothing_and_says_what_to_do(guarded: PostgresServer) -> None:
    where = target(guarded.url("older"))
    migrated(where, "0001")
    for grant in ("SCHEMA older", "ALL TABLES IN SCHEMA older"):
        ask(where, f"GRANT ALL ON {grant} TO reader")
    before = contents(where)
    assert "must be owner" in refusal(guarded.url("older", user="reader"), StoreError)
    assert contents(where) == before


def test_an_older_store_is_not_brought_up_to_date_by_reading_it(where: Target, new_store_url: str) -> None:
    migrated(where, "0001")
    before = contents(where)
    assert "older Steersman (schema 0001" in refusal(new_store_url, StoreVersionError, read_only=True)
    with pytest.raises(StoreVersionError, match="older Steersman"):  # whoever runs on it has its own hand on the switch
        append_unowned(new_store_url, (SWITCH,))
    assert contents(where) == before


def test_many_that_open_an_empty_database_at_once_make_one_store(where: Target, new_store_url: str) -> None:
    code = (
        "import sys; from steersman.backends.sql.postgres import PostgresLog\n"
        "from steersman.testing.log_rows import decision\n"
        "log = PostgresLog(sys.argv[1]); log.append((decision(),)).wait(20); log.close()"
    )
    processes = [subprocess.Popen([sys.executable, "-c", code, new_store_url]) for _ in range(2)]
    failed: list[Exception] = []

    def open_one() -> None:
        try:
            with closing(PostgresLog(new_store_url)) as log:
                log.append((decision(),)).wait(20)
        except Exception as error:  # noqa: BLE001 - any of them is what this test looks for
            failed.append(error)

    threads = [threading.Thread(target=open_one) for _ in range(6)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert ([each.wait(60) for each in processes], failed) == ([0, 0], [])
    assert ask(where, "SELECT position FROM log_head") == [(8,)]
    assert ask(where, "SELECT count(*) FROM alembic_version") == [(1,)]


def test_a_schema_named_as_a_word_of_sql_will_do(where: Target, postgres: str) -> None:
    url = f"{postgres}?schema=select"
    try:
        with closing(PostgresLog(url)) as log:
            log.append((decision(),)).wait(10)
    finally:
        ask(where, 'DROP SCHEMA "select" CASCADE')


def test_reading_needs_a_store(where: Target, new_store_url: str) -> None:
    assert "no store at" in refusal(new_store_url, NotFound, read_only=True)
    with pytest.raises(NotFound, match="no store at"):
        append_unowned(new_store_url, (SWITCH,))
    assert ask(where, "SELECT to_regnamespace(%s)", where.schema) == [(None,)]


# what is refused


def test_a_store_of_a_newer_version_is_refused(where: Target, new_store_url: str) -> None:
    PostgresLog(new_store_url).close()
    ask(where, "UPDATE alembic_version SET version_num = '9999'")
    said = refused(where, new_store_url, StoreVersionError)
    assert "newer Steersman (schema 9999" in said
    assert "pip install -U" in said


def test_the_tables_of_another_program_are_refused(where: Target, new_store_url: str) -> None:
    empty(where)
    ask(where, "CREATE TABLE theirs (x integer)")
    assert "another program's tables" in refused(where, new_store_url, StoreError)


def test_a_server_too_old_is_refused(where: Target, new_store_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    PostgresLog(new_store_url).close()
    monkeypatch.setattr(store, "OLDEST_SERVER", 990000)
    assert "needs 99 or newer" in refused(where, new_store_url, StoreVersionError)


@pytest.mark.parametrize(
    ("place", "words"),
    [
        pytest.param("127.0.0.1:1", "Check that the server runs, and host and port", id="nothing listens"),
        pytest.param("nowhere.invalid:5432", "Check that the server runs, and host and port", id="no such host"),
    ],
)
def test_a_server_that_is_not_there_is_named(place: str, words: str) -> None:
    said = refusal(f"postgresql://me:{PASSWORD}@{place}/mine", StoreError)
    assert f"cannot use the store postgresql://me@{place}/mine" in said
    assert words in said


def test_a_database_that_is_not_there_is_named(guarded: PostgresServer) -> None:
    said = refusal(guarded.url(database="nowhere"), StoreError)
    assert "There is no such database: create it, or name another." in said


@pytest.mark.parametrize("given", ["wrong", ""], ids=["wrong", "missing"])
def test_a_password_that_is_wrong_or_missing_is_told(guarded: PostgresServer, given: str) -> None:
    said = refusal(guarded.url().replace(f":{PASSWORD}", f":{given}" if given else ""), StoreError)
    assert "The login was refused: check user and password." in said


def test_who_may_not_make_a_store_is_told_what_the_owner_has_to_run(guarded: PostgresServer) -> None:
    url = guarded.url("guests", user="guest")
    assert "CREATE SCHEMA guests AUTHORIZATION guest" in refusal(url, StoreError)
    ask(target(guarded.url()), "CREATE SCHEMA guests AUTHORIZATION guest")
    with closing(PostgresLog(url)) as log:
        log.append((decision(),)).wait(10)


def test_who_may_not_use_a_store_is_told_what_its_owner_has_to_run(guarded: PostgresServer) -> None:
    url, where = guarded.url("shared", user="member"), target(guarded.url("shared"))
    PostgresLog(guarded.url("shared")).close()
    said = refused(where, url, StoreError)
    assert "permission denied for schema shared" in said
    ask(where, "GRANT USAGE ON SCHEMA shared TO member")
    assert "permission denied for table" in refusal(url, StoreError)
    for grant in said.partition("owner run ")[2].rstrip(".").split("; "):
        ask(where, grant)
    with closing(PostgresLog(url)) as log:
        made = decision()
        log.append((made, outcome(made), SWITCH), learned({("s", 0): 1.0})).wait(10)


# URLs


@pytest.mark.parametrize(
    ("url", "words"),
    [
        pytest.param("postgresql://me@here:many/mine", "There is no port 'many'", id="port in words"),
        pytest.param("postgresql://me@here:99999/mine", "There is no port '99999'", id="port too large"),
        pytest.param("postgresql://me@here/mine?colour=red", "colour", id="unknown option"),
        pytest.param("postgresql://[::1/mine", "IPv6", id="half a host"),
        pytest.param(f"postgresql://me:%zz{PASSWORD}@here/mine", "must be written %25", id="percent"),
        pytest.param(f"postgresql://me:{PASSWORD}/x@here/mine", "/ %2F", id="slash"),
        pytest.param(f"postgresql://me:{PASSWORD}@x@here/mine", "@ must be written %40", id="at"),
        pytest.param(f"postgresql://me:{PASSWORD}?x@here/mine", "? %3F", id="question mark"),
        pytest.param(f"postgresql://me:{PASSWORD}#x@here/mine", "# %23", id="hash"),
        pytest.param("postgresql://me@here/mine?schema=My-Store", "schema 'My-Store': use", id="schema with a hyphen"),
        pytest.param("postgresql://me@here/mine?schema=pg_mine", "not with pg_", id="schema of the server's"),
        pytest.param(f"postgresql://me@here/mine?schema={'a' * 54}", "at most 53", id="long schema"),
        pytest.param("postgresql://me@here/mine?schema=x;drop", "schema 'x;drop'", id="more than a schema"),
    ],
)
def test_a_url_that_cannot_be_read_is_told_with_the_way_out(url: str, words: str) -> None:
    assert words in refusal(url, InvalidInput)


def test_options_of_libpq_reach_it_as_they_are(new_store_url: str) -> None:
    where = target(f"{new_store_url}&options=-c%20geqo_threshold%3D14&application_name=a+b%26c")
    assert ask(where, "SELECT current_setting('geqo_threshold'), current_setting('application_name')") == [("14", "a+b&c")]
    assert ask(where, "SELECT current_setting('search_path')") == [(where.schema,)]


def test_a_socket_on_this_machine_will_do() -> None:
    where = target("postgresql:///mine?host=/tmp/sockets&user=me")
    assert (where.schema, where.shown) == ("steersman", "postgresql://me@/tmp/sockets:5432/mine")


# the view


def test_an_empty_store_shows_no_convergence(where: Target, new_store_url: str) -> None:
    PostgresLog(new_store_url).close()
    assert ask(where, "SELECT * FROM convergence") == []


def test_an_agent_without_windows_has_none_of_the_measures(where: Target, new_store_url: str) -> None:
    with closing(PostgresLog(new_store_url)) as log:
        log.append((decision(),)).wait(10)
    assert ask(where, "SELECT * FROM convergence") == [(AGENT, 0, None, None, 0, 0, None, None, None, None, None)]


def test_the_view_sums_up_the_last_ten_windows(where: Target, new_store_url: str) -> None:
    with closing(PostgresLog(new_store_url)) as log:
        log.append((decision(),), learned({}, windows=[window(number, reward=number / 10) for number in range(12)])).wait(10)
    (found,) = ask(
        where,
        "SELECT agent, windows, outcomes, updates, td_bias, reward_mean, success_rate, policy_change_rate FROM convergence",
    )
    assert found[:4] == (AGENT, 10, 1_000, 990)
    assert [float(each) for each in found[4:]] == pytest.approx([-0.0125, 0.65, 0.61, 3 / 99])

"""What only releases in PostgreSQL have: text that it cannot hold, stores of other versions, and the plans of its looks."""

import time
from collections.abc import Callable
from contextlib import closing

import psycopg
import pytest

from steersman.backends.sql.postgres import PostgresLog, PostgresReleases, connect, store
from steersman.backends.sql.postgres.connect import target
from steersman.backends.sql.postgres.listener import Listener
from steersman.backends.sql.postgres.statements import RELEASES, SQL
from steersman.core.errors import Conflict, InvalidInput, NotFound, StoreError, StoreVersionError
from steersman.core.versions import Deployment
from steersman.testing.log_rows import AGENT, decision, outcome
from steersman.testing.release_contract import event, move


def plan(url: str, statement: str, parameters: tuple[object, ...] = ()) -> str:
    """Return how a statement is carried out for its parameters."""
    with closing(psycopg.connect(target(url).conninfo, autocommit=True, cursor_factory=psycopg.ClientCursor)) as connection:
        return "\n".join(str(line) for (line,) in connection.execute(f"EXPLAIN {statement}", parameters))


def test_what_is_behind_a_position_is_found_by_the_indexes_of_the_agent(store_url: str) -> None:
    mine = decision()
    with closing(PostgresLog(store_url)) as log:
        log.append((mine, outcome(mine)))
        for _ in range(10):
            made = [decision(agent="ops/scaler") for _ in range(500)]
            log.append([*made, *map(outcome, made)])
        log.flush(60)
        with closing(psycopg.connect(target(store_url).conninfo, autocommit=True)) as connection:
            connection.execute("ANALYZE decisions, outcomes")
        for _ in range(12):  # by then, the driver prepares what it may, and the server has one plan for all
            assert log.since(AGENT, 0) == [(1, mine), (2, outcome(mine))]
        with log._readers.lend() as kept:
            assert (
                kept.execute("SELECT statement FROM pg_prepared_statements WHERE statement LIKE '%half%'").fetchall() == []
            )
    found = plan(store_url, SQL.since, (AGENT, 0, 100) * 2 + (100,))
    for table in ("decisions", "outcomes"):
        assert f"Index Scan using ix_{table}_agent_position on {table}" in found
    assert "Filter" not in found
    assert "Seq Scan" not in found


def test_what_is_in_production_is_found_by_the_index(store_url: str) -> None:
    PostgresLog(store_url).close()
    with closing(psycopg.connect(target(store_url).conninfo, autocommit=True)) as connection:
        connection.execute(
            "INSERT INTO deployments SELECT 'agent ' || a, n, to_timestamp(n), '{}' "
            "FROM generate_series(1, 3) AS a, generate_series(1, 3000) AS n"
        )
        connection.execute("ANALYZE deployments")
    found = plan(store_url, RELEASES.current)
    assert "Index Scan Backward using pk_deployments" in found
    assert "Seq Scan" not in found
    assert "Aggregate" not in found


def heard(opened: PostgresReleases, expected: list[Deployment]) -> bool:
    """Return whether a process hears what is in production, within the time that a trial waits for it at most."""
    deadline = time.monotonic() + 10
    while opened.current() != expected and time.monotonic() < deadline:
        time.sleep(0.01)
    return opened.current() == expected


def test_beside_a_log_moves_made_here_are_seen_at_once_and_others_are_heard_of(store_url: str) -> None:
    with (
        closing(PostgresLog(store_url)) as log,
        closing(PostgresReleases(store_url, log=log)) as here,
        closing(PostgresReleases(store_url)) as elsewhere,
    ):
        assert here.current() == []
        here.move(move(1))
        assert here.current() == elsewhere.current() == [move(1)]
        elsewhere.move(move(2))
        elsewhere.move(move(1, agent="a/first"))
        assert heard(here, [move(1, agent="a/first"), move(2)])
        here.move(move(3))
        assert here.current() == [move(1, agent="a/first"), move(3)]
        with pytest.raises(Conflict):
            here.move(move(3))


def test_beside_a_log_nobody_who_asks_what_is_in_production_waits_for_the_network(
    store_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with closing(PostgresLog(store_url)) as log, closing(PostgresReleases(store_url, log=log)) as here:
        here.move(move(1))
        deadline = time.monotonic() + 10

        def gone(*_: object) -> None:
            raise psycopg.OperationalError("the network is gone")

        with monkeypatch.context() as cut:
            cut.setattr(Listener, "_look", gone)
            cut.setattr(connect, "connect", gone)
            while refused(log.production) == "":
                assert time.monotonic() < deadline
            assert "s ago: the network is gone" in refused(here.current)
            assert "cannot be reached: the network is gone" in refused(lambda: here.moves(AGENT))
        assert back(log)
        assert heard(here, [move(1)])


def refused(ask: Callable[[], object]) -> str:
    """Return why a question is not answered; "" where it is."""
    try:
        ask()
    except StoreError as error:
        return str(error)
    return ""


def back(log: PostgresLog) -> bool:
    """Return whether a log can be read again after an outage."""
    deadline = time.monotonic() + 10
    while log.health() or log._listener.outage():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


def test_text_that_the_server_cannot_hold_is_refused_with_the_move(store_url: str) -> None:
    PostgresLog(store_url).close()
    with closing(PostgresReleases(store_url)) as opened:
        with pytest.raises(InvalidInput, match="cannot be stored"):
            opened.move(move(1), event("nul \x00"))
        with pytest.raises(InvalidInput, match="cannot be stored"):
            opened.move(move(1, agent="nul \x00"))
        assert opened.current() == []


def test_a_server_that_does_not_answer_is_named(store_url: str) -> None:
    PostgresLog(store_url).close()
    with closing(PostgresReleases(store_url)) as opened:
        with closing(psycopg.connect(target(store_url).conninfo, autocommit=True)) as connection:
            connection.execute(f"ALTER SCHEMA {target(store_url).schema} RENAME TO gone")
            with pytest.raises(StoreError, match="cannot use the store postgresql://"):
                opened.move(move(1))
            with pytest.raises(StoreError, match="cannot use the store postgresql://"):
                opened.current()
            connection.execute(f"ALTER SCHEMA gone RENAME TO {target(store_url).schema}")
        assert opened.current() == []


@pytest.mark.parametrize("read_only", [False, True])
def test_a_store_of_an_older_version_is_refused(new_store_url: str, read_only: bool) -> None:
    where = target(new_store_url)
    with pytest.raises(NotFound, match="no store at"):
        PostgresReleases(new_store_url, read_only=read_only)
    with closing(psycopg.connect(where.conninfo, autocommit=True)) as connection:
        connection.execute(f"CREATE SCHEMA {where.schema}")
    store.upgrade(where, "0003")
    with pytest.raises(StoreVersionError, match=r"older Steersman \(schema 0003; this one reads 0005\)"):
        PostgresReleases(new_store_url, read_only=read_only)

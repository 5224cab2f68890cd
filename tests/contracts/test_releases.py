"""What is released in memory, in SQLite and in PostgreSQL keeps the contract of releases."""

import sqlite3
from contextlib import closing
from pathlib import Path

import psycopg
import pytest

from steersman.app.stores import EmbeddedReleases, audit_key, open_log, open_releases
from steersman.backends.memory import MemoryLog, MemoryReleases
from steersman.backends.sql import SqliteLog, SqliteReleases
from steersman.backends.sql.postgres import PostgresLog, PostgresReleases, connect
from steersman.core.chain import faults
from steersman.core.errors import StoreError
from steersman.core.ports import Log
from steersman.testing.log_rows import AGENT
from steersman.testing.release_contract import ReleaseContract, event, judgement, move, version


class TestMemoryReleases(ReleaseContract):
    first: MemoryReleases | None

    @pytest.fixture(autouse=True)
    def _place(self) -> None:
        self.first = None

    def open_log(self) -> Log:
        return MemoryLog()

    def open(self, log: Log, *, read_only: bool = False) -> EmbeddedReleases:
        if self.first is not None:
            return self.first.over(log)
        self.first = MemoryReleases(log)
        return self.first

    def tamper(self, agent: str, version: str, artefact: bytes) -> None:
        assert self.first is not None
        kept, _ = self.first._kept.versions[agent][version]
        self.first._kept.versions[agent][version] = kept, artefact


class TestSqliteReleases(ReleaseContract):
    path: Path

    @pytest.fixture(autouse=True)
    def _place(self, tmp_path: Path) -> None:
        self.path = tmp_path / "log.db"

    def open_log(self) -> Log:
        return SqliteLog(self.path)

    def open(self, log: Log, *, read_only: bool = False) -> EmbeddedReleases:
        return SqliteReleases(self.path, read_only=read_only)

    def tamper(self, agent: str, version: str, artefact: bytes) -> None:
        with closing(sqlite3.connect(self.path)) as connection, connection:
            connection.execute(
                "UPDATE policy_versions SET artefact = ? WHERE (agent, id) = (?, ?)", (artefact, agent, version)
            )


class TestPostgresReleases(ReleaseContract):
    url: str

    @pytest.fixture(autouse=True)
    def _place(self, store_url: str) -> None:
        self.url = store_url

    def open_log(self) -> Log:
        return PostgresLog(self.url)

    def open(self, log: Log, *, read_only: bool = False) -> EmbeddedReleases:
        return PostgresReleases(self.url, read_only=read_only)

    def tamper(self, agent: str, version: str, artefact: bytes) -> None:
        with closing(psycopg.connect(connect.target(self.url).conninfo, autocommit=True)) as connection:
            connection.execute(
                "UPDATE policy_versions SET artefact = %s WHERE (agent, id) = (%s, %s)", (artefact, agent, version)
            )


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
def test_who_only_reads_moves_nothing(kind: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    reader: EmbeddedReleases
    if kind == "sqlite":
        SqliteLog(tmp_path / "log.db").close()
        reader = SqliteReleases(tmp_path / "log.db", read_only=True)
    else:
        url = request.getfixturevalue("store_url")
        PostgresLog(url).close()
        reader = PostgresReleases(url, read_only=True)
    with pytest.raises(StoreError, match="read-only"):
        reader.keep(version(b"x"), b"x")
    with pytest.raises(StoreError, match="read-only"):
        reader.move(move(1))
    with pytest.raises(StoreError, match="read-only"):
        reader.judge(judgement("a"))
    assert (reader.versions(AGENT), reader.current(), reader.judgements(AGENT)) == ([], [], [])
    reader.close()


@pytest.mark.parametrize("kind", ["memory", "sqlite", "postgres"])
def test_the_releases_of_a_store_are_opened_by_its_url(kind: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    urls = {"memory": "memory:", "sqlite": f"sqlite:///{tmp_path / 'log.db'}"}
    url = urls.get(kind) or request.getfixturevalue("store_url")
    log = open_log(url, queue_rows=100)
    with closing(log), closing(open_releases(url, log)) as releases:
        releases.move(move(1), event("first"))
        assert releases.current() == [move(1)]
        assert [each.subject for each in log.trail()] == ["first"]
        assert list(faults(audit_key(url), log.trail())) == []

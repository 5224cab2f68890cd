"""The log on PostgreSQL keeps the contract of a log."""

import time
from collections.abc import Iterator
from contextlib import closing, contextmanager

import psycopg
import pytest

from steersman.backends.sql.postgres import PostgresLog, connect
from steersman.core.ports import Log
from steersman.testing.log_contract import LogContract


class TestPostgresLog(LogContract):
    url: str

    @pytest.fixture(autouse=True)
    def _place(self, store_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
        self.url = store_url
        monkeypatch.setattr(connect, "LOCK_MS", 30)

    def open(self, *, queue_rows: int = 100_000) -> Log:
        return PostgresLog(self.url, queue_rows=queue_rows)

    @contextmanager
    def stalled(self, log: Log) -> Iterator[None]:
        with closing(psycopg.connect(connect.target(self.url).conninfo)) as rival:
            rival.execute("SELECT position FROM log_head FOR UPDATE")  # another writer, who does not let go
            yield
            deadline = time.monotonic() + 5
            while not log.health() and time.monotonic() < deadline:
                time.sleep(0.01)
            assert "lock" in log.health()

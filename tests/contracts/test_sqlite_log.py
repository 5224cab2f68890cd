"""The log on SQLite keeps the contract of a log."""

import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from steersman.backends.sql import SqliteLog
from steersman.backends.sql.sqlite import connect
from steersman.core.ports import Log
from steersman.testing.log_contract import LogContract

pytestmark = pytest.mark.usefixtures("impatient")


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have a locked store seen at once."""
    monkeypatch.setattr(connect, "BUSY_MS", 50)


class TestSqliteLog(LogContract):
    path: Path

    @pytest.fixture(autouse=True)
    def _place(self, tmp_path: Path) -> None:
        self.path = tmp_path / "log.db"

    def open(self, *, queue_rows: int = 100_000) -> Log:
        return SqliteLog(self.path, queue_rows=queue_rows)

    @contextmanager
    def stalled(self, log: Log) -> Iterator[None]:
        with closing(sqlite3.connect(self.path, isolation_level=None)) as rival:
            rival.execute("BEGIN IMMEDIATE")  # another writer, who does not let go
            yield
            deadline = time.monotonic() + 5
            while not log.health() and time.monotonic() < deadline:
                time.sleep(0.01)
            assert "locked" in log.health()

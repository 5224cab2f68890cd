"""A storage error never becomes an acknowledgement (P5): full disk, failed fsync, read-only; and writing goes on after."""

import os
import resource
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from steersman.backends.sql import SqliteLog
from steersman.backends.sql.batch import Batch
from steersman.backends.sql.sqlite import connect, transaction
from steersman.core.errors import DeadlineExceeded, StoreError
from steersman.core.ports import Receipt
from steersman.core.values import Decision
from steersman.testing.log_rows import AGENT, decision, learned, outcome

RESUMES_S = 5.0


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "log.db"


class Faults:
    """Connections for the writer that fail in a way of SQLite's own, while `pragma` says so."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.pragma = ""
        self._writer = connect.writer
        self.connections: list[sqlite3.Connection] = []
        monkeypatch.setattr(connect, "writer", self.connect)

    def connect(self, path: Path) -> sqlite3.Connection:
        connection = self._writer(path)
        self.connections.append(connection)
        if self.pragma:
            connection.execute(self.pragma)
        return connection


@pytest.fixture
def faults(monkeypatch: pytest.MonkeyPatch) -> Faults:
    return Faults(monkeypatch)


def fill(log: SqliteLog) -> list[tuple[Decision, Receipt]]:
    """Append until the log says that it cannot write."""
    made: list[tuple[Decision, Receipt]] = []
    for _ in range(2_000):
        each = decision()
        made.append((each, log.append((each, outcome(each)), learned({(each.id, 0): 1.0}))))
        if len(made) % 50 == 0:
            time.sleep(0.02)
        if log.health():
            break
    assert log.health()
    return made


def check_recovery(log: SqliteLog, made: list[tuple[Decision, Receipt]], mend: Callable[[], object]) -> None:
    """Check that only what is durable was acknowledged, that reading goes on, and that all is written after mending."""
    time.sleep(0.2)
    with closing(connect.reader(log.path)) as connection:
        durable = {name for (name,) in connection.execute("SELECT id FROM decisions")}
    acknowledged = {each.id for each, receipt in made if receipt.done()}
    assert acknowledged <= durable
    assert len(acknowledged) < len(made)
    with pytest.raises(DeadlineExceeded):
        made[-1][1].wait(0.1)
    assert log.decision(made[-1][0].id) == made[-1][0]
    assert log.decision_count(AGENT) == len(made)
    after = decision()
    receipt = log.append((after,))
    mend()
    started = time.monotonic()
    receipt.wait(RESUMES_S)
    assert time.monotonic() - started < RESUMES_S
    assert log.health() == ""
    log.close()
    again = SqliteLog(log.path)
    assert [row.id for row in again.rows() if isinstance(row, Decision)] == [*(each.id for each, _ in made), after.id]
    table = again.learned(AGENT)
    assert table is not None
    assert len(table[0].entries) == len(made)
    again.close()


@pytest.mark.parametrize(
    ("pragma", "words"),
    [
        pytest.param("PRAGMA max_page_count = 60", "full", id="a store at its greatest size"),
        pytest.param("PRAGMA query_only = ON", "readonly", id="a store that turned read-only"),
    ],
)
def test_errors_of_sqlite(path: Path, faults: Faults, pragma: str, words: str) -> None:
    faults.pragma = pragma
    log = SqliteLog(path)
    made = fill(log)
    assert words in log.health()
    check_recovery(log, made, lambda: setattr(faults, "pragma", ""))


def test_a_rollback_that_fails_does_not_end_the_writer(path: Path, faults: Faults) -> None:
    log = SqliteLog(path)
    faults.connections[0].close()  # every statement fails now, ROLLBACK too
    made = decision()
    log.append((made,)).wait(RESUMES_S)
    assert log.health() == ""
    log.close()


def test_closing_a_log_that_cannot_write_says_how_much_is_lost(path: Path, faults: Faults) -> None:
    faults.pragma = "PRAGMA query_only = ON"
    log = SqliteLog(path)
    receipt = log.append([decision() for _ in range(7)])
    with pytest.raises(DeadlineExceeded):
        receipt.wait(0.2)
    with pytest.raises(StoreError, match="7 rows could not be stored"):
        log.close()
    with pytest.raises(StoreError, match="not stored"):
        receipt.wait(1)
    assert not receipt.done()


def test_a_commit_that_failed_and_is_there_after_all_is_not_written_twice(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write, calls = transaction.write, list[Batch]()

    def written_and_then_failed(connection: sqlite3.Connection, batch: Batch, audit_key: bytes, taken_s: float) -> None:
        write(connection, batch, audit_key, taken_s)
        calls.append(batch)
        if len(calls) == 1:
            raise sqlite3.OperationalError("disk I/O error")

    monkeypatch.setattr(transaction, "write", written_and_then_failed)
    log = SqliteLog(path)
    made = decision()
    log.append((made, outcome(made)), learned({("s", 0): 1.0})).wait(RESUMES_S)
    later = decision()
    log.append((later,)).wait(RESUMES_S)
    assert list(log.rows()) == [made, outcome(made), later]
    log.close()


def limited(path: Path) -> None:
    """Fill a store under a limit of the file size, mend it and check; runs in a process of its own."""
    log = SqliteLog(path)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, hard))
    made = fill(log)
    check_recovery(log, made, lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard)))


def test_a_file_that_may_not_grow(path: Path) -> None:
    code = (
        "import importlib.util, pathlib, sys; spec = importlib.util.spec_from_file_location('faults', sys.argv[1])\n"
        "module = importlib.util.module_from_spec(spec); spec.loader.exec_module(module)\n"
        "module.limited(pathlib.Path(sys.argv[2]))"
    )
    subprocess.run([sys.executable, "-c", code, __file__, str(path)], check=True, timeout=60)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = shutil.which("mount")
    if mount is None or os.geteuid() != 0:
        pytest.skip("mounting a small file system takes root")
    made = subprocess.run([mount, "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(disk)], capture_output=True, check=False)
    if made.returncode:
        pytest.skip(f"a small file system cannot be mounted here: {made.stderr.decode().strip()}")
    yield disk
    subprocess.run(["umount", "-l", str(disk)], check=True)


def test_a_full_disk(small_disk: Path) -> None:
    ballast = small_disk / "ballast"
    ballast.write_bytes(b"x" * 1_450_000)
    log = SqliteLog(small_disk / "log.db")
    made: list[tuple[Decision, Receipt]] = []
    for _ in range(400):
        each = decision()
        made.append((each, log.append((each, outcome(each)), learned({(each.id, 0): 1.0}))))
    deadline = time.monotonic() + RESUMES_S
    while not log.health() and time.monotonic() < deadline:
        time.sleep(0.01)
    check_recovery(log, made, ballast.unlink)


def test_a_failed_fsync_is_never_taken_for_an_acknowledgement(tmp_path: Path) -> None:
    strace = shutil.which("strace")
    if strace is None:
        pytest.skip("strace is not here to make fsync fail")
    path = tmp_path / "log.db"
    code = (
        "import sys, time; from steersman.backends.sql import SqliteLog\n"
        "from steersman.testing.log_rows import decision\n"
        "log = SqliteLog(sys.argv[1]); failed = 0\n"
        "for _ in range(60):\n"
        "    made = decision(); log.append((made,)).wait(10); print(made.id, flush=True)\n"
        "log.close()"
    )
    inject = [strace, "-f", "-qq", "-o", str(tmp_path / "trace"), "-e", "trace=fdatasync,fsync"]
    inject += ["-e", "inject=fdatasync:error=EIO:when=12+7"]
    run = subprocess.run(
        [*inject, sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=False, timeout=100
    )
    if "EIO" not in (tmp_path / "trace").read_text():
        pytest.skip(f"strace cannot make fsync fail here: {run.stderr.strip()[-200:]}")
    assert run.returncode == 0, run.stderr
    log = SqliteLog(path)
    assert [row.id for row in log.rows() if isinstance(row, Decision)] == run.stdout.split()
    log.close()

"""What only the log on SQLite has: readers and writers in other processes, forks, and the end of a process."""

import os
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from steersman.backends.sql import SqliteLog, append_unowned
from steersman.backends.sql.sqlite import connect
from steersman.core.errors import NotFound, StoreError
from steersman.core.values import AuditEvent, Control
from steersman.testing.log_rows import AGENT, decision, episode, learned, outcome

SWITCH = Control(scope="*", active=True, actor="someone", reason="a test", at=1.0)
EVENT = AuditEvent(at=1.0, actor="someone", event="kill switch on", subject="*", detail="a test")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "log.db"


@pytest.fixture
def log(path: Path) -> Iterator[SqliteLog]:
    log = SqliteLog(path)
    yield log
    log.close()


def test_a_reader_sees_what_is_durable_and_cannot_append(log: SqliteLog, path: Path) -> None:
    made = decision()
    log.append((made, outcome(made)), learned({("s", 0): 1.0}, episodes=[episode("e")])).wait(10)
    reader = SqliteLog(path, read_only=True)
    assert reader.position == 2
    assert list(reader.history(AGENT)) == [(2, made, outcome(made))]
    assert (reader.decision_count(AGENT), reader.agents(), reader.health()) == (1, [AGENT], "")
    assert reader.learned(AGENT) == log.learned(AGENT)
    assert (reader.recent(AGENT, 1), reader.waiting(AGENT, 2_000.0)) == ([made], [])
    later = decision()
    log.append((later,)).wait(10)
    assert reader.decision(later.id) == later
    for attempt in (lambda: reader.append((decision(),)), reader.flush, reader.reserve):
        with pytest.raises(StoreError, match="read-only"):
            attempt()
    reader.close()
    with pytest.raises(StoreError, match="closed"):
        reader.decision(later.id)


def test_words_from_outside_reach_the_owner_and_leave_its_positions_alone(log: SqliteLog, path: Path) -> None:
    log.append((decision(),))
    append_unowned(path, (SWITCH, EVENT))
    assert log.controls() == [SWITCH]
    assert [replace(each, number=0, digest="") for each in log.audit()] == [EVENT]
    log.append((decision(),)).wait(10)
    assert log.position == 2


def test_words_from_another_process_while_the_owner_writes(log: SqliteLog, path: Path) -> None:
    code = (
        "import sys; from steersman.backends.sql import append_unowned; from steersman.core.values import Control\n"
        "for i in range(20):\n"
        "    append_unowned(sys.argv[1], (Control(scope='qe', active=i % 2 == 1, actor=str(i), reason='', at=1.0),))"
    )
    other = subprocess.Popen([sys.executable, "-c", code, str(path)])
    while other.poll() is None:
        log.append((decision(),)).wait(10)
    assert other.returncode == 0
    assert [(each.actor, each.active) for each in log.controls()] == [("19", True)]
    assert log.decision_count(AGENT) == log.position


def test_words_from_outside_need_a_store(path: Path) -> None:
    with pytest.raises(NotFound):
        append_unowned(path, (SWITCH,))
    assert not path.exists()


def test_a_forked_child_neither_writes_nor_harms(log: SqliteLog) -> None:
    log.append((decision(),)).wait(10)
    child = os.fork()
    if not child:
        code = 1
        try:
            log.append((decision(),))
        except StoreError as error:
            code = 0 if "forked" in str(error) else 2
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    log.append((decision(),)).wait(10)
    assert log.position == 2


def test_a_forked_child_does_not_keep_the_store_locked(path: Path) -> None:
    log = SqliteLog(path)
    child = os.fork()
    if not child:
        time.sleep(30)
        os._exit(0)
    try:
        log.close()
        SqliteLog(path).close()
    finally:
        os.kill(child, 9)
        os.waitpid(child, 0)


def test_rows_of_a_program_that_ends_without_closing_are_written(path: Path) -> None:
    code = (
        "import sys; from steersman.backends.sql import SqliteLog; from steersman.testing.log_rows import decision\n"
        "log = SqliteLog(sys.argv[1]); log.append([decision() for _ in range(100)])"
    )
    subprocess.run([sys.executable, "-c", code, str(path)], check=True)
    log = SqliteLog(path)
    assert log.position == 100
    log.close()


def test_closing_leaves_one_file_and_may_be_done_twice(path: Path) -> None:
    log = SqliteLog(path)
    log.append((decision(),))
    log.close()
    log.close()
    assert {each.name for each in path.parent.iterdir()} == {"log.db", "log.db.lock"}


def test_what_only_reads_is_closed_before_the_writer_however_long_that_takes(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reader = connect.reader
    monkeypatch.setattr(connect, "reader", lambda path: Leisurely(reader(path)))
    log = SqliteLog(path)
    log.append((decision(),))
    log.close()
    assert {each.name for each in path.parent.iterdir()} == {"log.db", "log.db.lock"}


class Leisurely:
    """A connection that takes its time to close."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)

    def close(self) -> None:
        time.sleep(0.3)
        self._connection.close()


def test_rows_are_grouped_into_few_commits(log: SqliteLog) -> None:
    for _ in range(500):
        receipt = log.append((decision(),))
    receipt.wait(10)
    assert log._owned is not None
    assert log._owned.queue.commits < 100

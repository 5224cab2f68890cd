"""What only releases in SQLite have: deaths in the middle of a move, an owner of the log beside, and what a look costs."""

import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import msgspec
import pytest
from msgspec.structs import replace

from steersman.backends.sql import SqliteLog, SqliteReleases
from steersman.backends.sql.sqlite import connect, store
from steersman.backends.sql.sqlite.statements import RELEASES, SQL
from steersman.core.chain import faults
from steersman.core.errors import StoreError, StoreVersionError
from steersman.core.versions import Deployment, address
from steersman.testing.log_rows import AGENT, decision, outcome
from steersman.testing.release_contract import event, judgement, move, version

KEY = b"key"
Step = Callable[[SqliteReleases, int], None]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A store that nobody owns just now."""
    SqliteLog(tmp_path / "log.db", audit_key=lambda: KEY).close()
    return tmp_path / "log.db"


@pytest.fixture
def opened(path: Path) -> Iterator[SqliteReleases]:
    opened = SqliteReleases(path, audit_key=KEY)
    yield opened
    opened.close()


def artefact(number: int) -> bytes:
    """Return what the champion of a move is."""
    return b"%d " % number * 5_000


def moved(number: int) -> Deployment:
    """Return a move to that champion."""
    return move(number, champion=address(artefact(number)))


def release(opened: SqliteReleases, number: int) -> None:
    """Keep a version, and move to it."""
    opened.keep(version(artefact(number)), artefact(number))
    opened.move(moved(number), event(str(number)))


def release_before_keeping(opened: SqliteReleases, number: int) -> None:
    """Do the same the wrong way round."""
    opened.move(moved(number), event(str(number)))
    opened.keep(version(artefact(number)), artefact(number))


def mixtures(path: Path, sure: int) -> list[str]:
    """Return what is wrong with a store in which `sure` releases were acknowledged and one more may have been made."""
    with closing(SqliteReleases(path, read_only=True)) as found, closing(SqliteLog(path, read_only=True)) as log:
        moves = found.moves(AGENT, limit=10_000)[::-1]
        trail = log.trail(limit=10_000)
        wrong = list(faults(KEY, trail))
        if moves != [moved(number) for number in range(1, len(moves) + 1)] or len(moves) not in (sure, sure + 1):
            wrong.append(f"{len(moves)} moves after {sure}")
        if found.current() != moves[-1:] or [each.subject for each in trail] != [str(each.number) for each in moves]:
            wrong.append("pointer, moves and trail differ")
        for each in moves[-1:]:
            try:
                found.artefact(AGENT, each.champion)
            except Exception as error:  # noqa: BLE001 - whatever keeps it from being served
                wrong.append(str(error))
    return wrong


def die_at(path: Path, statement: int, step: Step, number: int) -> bool:
    """Take a step in a process that dies before its n-th statement; return whether it died."""
    child = os.fork()
    if not child:
        try:
            _count_down(statement)
            step(SqliteReleases(path, audit_key=KEY), number)
        except BaseException:  # noqa: BLE001 - the tests are the parent's
            os._exit(2)
        os._exit(0)
    ended = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert ended in (0, -signal.SIGKILL)
    return ended != 0


def _count_down(left: int) -> None:
    writer = connect.writer

    def traced(_: str) -> None:
        nonlocal left
        left -= 1
        if not left:
            os.kill(os.getpid(), signal.SIGKILL)

    def tracing(path: Path) -> sqlite3.Connection:
        connection = writer(path)
        connection.set_trace_callback(traced)
        return connection

    connect.writer = tracing


@pytest.mark.parametrize("step", [release, release_before_keeping])
def test_a_death_before_any_statement_leaves_the_old_pointer_or_the_new_one(path: Path, step: Step) -> None:
    with closing(SqliteReleases(path, audit_key=KEY)) as first:
        release(first, 1)
    made, wrong, statement = 1, list[str](), 1
    while die_at(path, statement, step, made + 1):
        wrong += mixtures(path, made)
        with closing(SqliteReleases(path, read_only=True)) as found:
            made = found.current()[0].number
        statement += 1
    assert statement > 10
    assert (wrong == []) == (step is release), "the order is what keeps this true, and the harness sees it"


def test_deaths_at_any_moment_leave_the_old_pointer_or_the_new_one(path: Path) -> None:
    code = (
        "import importlib.util, pathlib, sys; spec = importlib.util.spec_from_file_location('deaths', sys.argv[1])\n"
        "module = importlib.util.module_from_spec(spec); spec.loader.exec_module(module)\n"
        "module.release_for_ever(pathlib.Path(sys.argv[2]))"
    )
    moments, sure = random.Random(7), 0
    for _ in range(3):
        with subprocess.Popen([sys.executable, "-c", code, __file__, str(path)], stdout=subprocess.PIPE) as child:
            assert child.stdout is not None
            said = [child.stdout.readline()]
            time.sleep(moments.uniform(0.0, 0.1))
            child.kill()
            said += child.stdout.readlines()
        sure = int([line for line in said if line.endswith(b"\n")][-1])
        assert mixtures(path, sure) == []
    assert sure >= 3


def release_for_ever(path: Path) -> None:
    """Release and say so, until killed."""
    opened = SqliteReleases(path, audit_key=KEY)
    number = opened.current()[0].number if opened.current() else 0
    while True:
        number += 1
        release(opened, number)
        print(number, flush=True)


def test_another_process_moves_while_the_owner_writes(path: Path) -> None:
    with closing(SqliteLog(path, audit_key=lambda: KEY)) as log, closing(SqliteReleases(path, audit_key=KEY)) as opened:
        child = os.fork()
        if not child:
            code = 1
            try:
                for number in range(1, 21):
                    release(SqliteReleases(path, audit_key=KEY), number)
                code = 0
            finally:
                os._exit(code)
        ended = 0, 0
        while not ended[0]:
            log.append((decision(), event("from the owner"))).wait(10)
            ended = os.waitpid(child, os.WNOHANG)
        assert os.waitstatus_to_exitcode(ended[1]) == 0
        assert opened.current() == [moved(20)]
        assert list(faults(KEY, log.trail(limit=10_000))) == []
        assert log.decision_count(AGENT) == log.position


# what is refused


def test_a_store_that_stays_locked_is_told_with_the_way_out(
    path: Path, opened: SqliteReleases, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connect, "BUSY_MS", 30)
    with closing(sqlite3.connect(path, isolation_level=None)) as rival:
        rival.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreError, match=r"Another process keeps it locked: try again"):
            opened.move(moved(1))
        assert opened.current() == []
    opened.move(moved(1))


def test_a_store_that_cannot_be_written_keeps_nothing_of_a_move(
    opened: SqliteReleases, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = connect.writer

    def small(path: Path) -> sqlite3.Connection:
        connection = writer(path)
        connection.execute("PRAGMA max_page_count = 1")  # what there is, and no page more
        return connection

    monkeypatch.setattr(connect, "writer", small)
    with pytest.raises(StoreError, match="full"):
        opened.move(replace(moved(1), reason="long" * 100_000), event("1"))
    monkeypatch.undo()
    assert opened.current() == []
    opened.move(moved(1), event("1"))


@pytest.mark.parametrize("read_only", [False, True])
def test_a_store_of_an_older_version_is_refused(tmp_path: Path, read_only: bool) -> None:
    store.upgrade(tmp_path / "old.db", "0003")
    before = (tmp_path / "old.db").read_bytes()
    with pytest.raises(
        StoreVersionError, match=r"older Steersman \(schema 0003; this one reads 0005\).*brings it up to date"
    ):
        SqliteReleases(tmp_path / "old.db", read_only=read_only)
    assert (tmp_path / "old.db").read_bytes() == before


def test_what_was_decided_under_an_older_version_is_behind_a_position(tmp_path: Path) -> None:
    store.upgrade(tmp_path / "old.db", "0003")
    made = decision()
    columns = "position, id, agent, episode, step, arm, action, decided_at, body"
    body = store_body(made)
    with closing(sqlite3.connect(tmp_path / "old.db")) as connection, connection:
        connection.execute(
            f"INSERT INTO decisions ({columns}) VALUES (1, ?, ?, '', 0, 'champion', '{{}}', 1.0, ?)",
            (made.id, made.agent, body),
        )
        connection.execute("UPDATE log_head SET position = 1")
    with closing(SqliteLog(tmp_path / "old.db")) as log:
        assert log.since(AGENT, 0) == [(1, made)]


def store_body(made: object) -> str:
    """Return a decision as older versions kept it: without what is known of trials."""
    plain = msgspec.to_builtins(made)
    for name in ("version", "release", "challenger_share", "shadow", "shadow_probability"):
        del plain[name]
    return msgspec.json.encode(plain).decode()


def test_reading_needs_a_store(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="there is no store"):
        SqliteReleases(tmp_path / "none.db")
    assert list(tmp_path.iterdir()) == []


def test_a_forked_child_neither_reads_nor_harms(path: Path, opened: SqliteReleases) -> None:
    opened.move(moved(1))
    child = os.fork()
    if not child:
        code = 1
        try:
            opened.current()
        except StoreError as error:
            code = 0 if "closed" in str(error) else 2
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert opened.current() == [moved(1)]


# what a look costs


def steps(path: Path, statement: str, parameters: tuple[object, ...]) -> int:
    """Return how many steps SQLite takes for a statement, in tens."""
    taken = 0

    def count() -> int:
        nonlocal taken
        taken += 1
        return 0

    with closing(connect.reader(path)) as connection:
        connection.execute(statement, parameters).fetchall()  # compiled, and the schema read
        connection.set_progress_handler(count, 10)
        connection.execute(statement, parameters).fetchall()
    return taken


def test_what_is_behind_a_position_costs_what_is_found_however_busy_others_are(path: Path) -> None:
    mine = decision()
    asked = (AGENT, 0, 100) * 2 + (100,)
    with closing(SqliteLog(path)) as log:
        log.append((mine, outcome(mine))).wait(10)
        few = steps(path, SQL.since, asked)
        for _ in range(20):
            made = [decision(agent="ops/scaler") for _ in range(200)]
            log.append([*made, *map(outcome, made)])
        log.flush(30)
        assert len(log.since(AGENT, 0)) == 2
    assert steps(path, SQL.since, asked) <= few + 1
    with closing(connect.reader(path)) as connection:
        plan = " ".join(row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {SQL.since}", asked))
    assert "decisions USING INDEX ix_decisions_agent_position (agent=? AND position>?)" in plan
    assert "outcomes USING INDEX ix_outcomes_agent_position (agent=? AND position>?)" in plan
    assert "SCAN decisions" not in plan
    assert "SCAN outcomes" not in plan


def test_what_is_in_production_costs_the_same_after_many_moves(path: Path, opened: SqliteReleases) -> None:
    opened.move(move(1))
    few = steps(path, RELEASES.current, ())
    for number in range(2, 60):
        opened.move(move(number))
    assert steps(path, RELEASES.current, ()) <= few + 1
    opened.judge(judgement("a"))
    assert opened.current() == [move(59)]

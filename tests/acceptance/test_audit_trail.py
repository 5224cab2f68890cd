"""P23: the audit trail is tamper-evident. Each single change to a stored trail is found, by whoever has key and anchor."""

import json
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from itertools import pairwise
from pathlib import Path

import pytest

from steersman import Steersman
from steersman.core.chain import Anchor
from steersman.testing.specs import small_agent

EVENTS = 8


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """A store in which people did things, in several transactions and from two processes' doors."""
    path = tmp_path / "log.db"
    with Steersman.open(path, agents=[small_agent()], settings={}) as steersman:
        steersman.agent("lab/small")
        for number in range(EVENTS - 1):
            steersman.kill("lab/small", actor=f"ann {number}", reason="drill", active=number % 2 == 0)
    Steersman.control_in(path, "pause", "*", actor="ben", reason="from outside")
    return path


def faults(path: Path, anchors: list[Anchor]) -> list[str]:
    with Steersman.open(path, settings={}, read_only=True) as steersman:
        return steersman.verify_audit(anchors)


def head(path: Path) -> Anchor:
    with Steersman.open(path, settings={}, read_only=True) as steersman:
        return steersman.anchor()


def changes(path: Path) -> Iterator[tuple[str, list[str]]]:
    """Yield each single change, with the statements that make it."""
    with closing(sqlite3.connect(path)) as connection:
        numbers = [number for (number,) in connection.execute("SELECT number FROM audit_events ORDER BY number")]
    assert len(numbers) >= EVENTS
    for each in numbers:
        for column, value in (
            ("at", "at + 1"),
            ("actor", "'eve'"),
            ("event", "event || '!'"),
            ("subject", "'qe'"),
            ("detail", "detail || ' '"),
            ("digest", "replace(digest, substr(digest, 1, 1), '-')"),
            ("number", "number + 1000"),
        ):
            yield f"edit {column} of {each}", [f"UPDATE audit_events SET {column} = {value} WHERE number = {each}"]
        yield f"delete {each}", [f"DELETE FROM audit_events WHERE number = {each}"]
        yield f"truncate at {each}", [f"DELETE FROM audit_events WHERE number >= {each}"]
        yield (
            f"delete {each} and close the gap",
            [
                f"DELETE FROM audit_events WHERE number = {each}",
                f"UPDATE audit_events SET number = -number WHERE number > {each}",
                "UPDATE audit_events SET number = -number - 1 WHERE number < 0",
            ],
        )
    for one, other in pairwise(numbers):
        yield (
            f"swap {one} and {other}",
            [
                f"UPDATE audit_events SET number = -1 WHERE number = {one}",
                f"UPDATE audit_events SET number = {one} WHERE number = {other}",
                f"UPDATE audit_events SET number = {other} WHERE number = -1",
            ],
        )


def test_each_single_change_to_the_store_is_found(store: Path, tmp_path: Path) -> None:
    anchor = head(store)
    assert anchor.number >= EVENTS
    assert faults(store, [anchor]) == []
    copy = tmp_path / "copy.db"
    unseen = []
    for name, statements in changes(store):
        shutil.copy(store, copy)
        shutil.copy(f"{store}.audit-key", f"{copy}.audit-key")
        with closing(sqlite3.connect(copy)) as connection:
            for each in statements:
                assert connection.execute(each).rowcount > 0 or "-number" in each, name
            connection.commit()
        if not faults(copy, [anchor]):
            unseen.append(name)
    assert unseen == []


def test_a_change_is_told_by_the_command_line(store: Path, command: Callable[..., object], tmp_path: Path) -> None:
    def audit(*more: str) -> tuple[int, str]:
        done = command("audit", "--store", str(store), "--anchor", str(anchors), *more)
        return done.code, done.out + done.err  # type: ignore[attr-defined]

    anchors = tmp_path / "anchors.jsonl"
    assert audit()[0] == 0
    assert json.loads(anchors.read_text().splitlines()[-1])["number"] >= EVENTS
    assert audit("--verify")[0] == 0
    with closing(sqlite3.connect(store)) as connection:
        connection.execute("DELETE FROM audit_events WHERE number = (SELECT max(number) FROM audit_events)")
        connection.commit()
    code, told = audit("--verify")
    assert code == 1
    assert "gone" in told

"""How many outcomes a second the SQLite log takes in, durably.

Beside it, in the same run and on the same disk: the floor (the same bytes appended to a file, fdatasync after each
batch) and SQLite with one commit for each row. Everything uses synchronous=FULL. Usage: python benchmarks/ingest.py
"""

import argparse
import json
import os
import sqlite3
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path

import msgspec

from steersman.backends.sql import SqliteLog
from steersman.core.values import Decision, Outcome
from steersman.testing.log_rows import decision, outcome


@dataclass(frozen=True, kw_only=True)
class Rate:
    """Rows and seconds of one way to store them."""

    name: str
    rows: int
    seconds: float

    @property
    def rows_per_s(self) -> float:
        """Rows a second."""
        return self.rows / self.seconds


def timed(name: str, rows: int, work: Callable[[], object]) -> Rate:
    """Return the rate of some work."""
    started = time.perf_counter()
    work()
    return Rate(name=name, rows=rows, seconds=time.perf_counter() - started)


def append_all(log: SqliteLog, rows: list[Decision] | list[Outcome], batch: int) -> None:
    """Append rows in batches, waiting where the queue is half full, and until all is durable."""
    half = 50_000 // batch
    receipts = []
    for start in range(0, len(rows), batch):
        receipts.append(log.append(rows[start : start + batch]))
        if len(receipts) > half:
            receipts[-half].wait()
    log.flush()


def measure_log(folder: Path, outcomes: int, batch: int) -> list[Rate]:
    """Measure decisions, outcomes, and reading them back."""
    log = SqliteLog(folder / "log.db")
    decisions = [decision() for _ in range(outcomes)]
    rows = [outcome(each) for each in decisions]
    rates = [
        timed("log: decisions", outcomes, lambda: append_all(log, decisions, batch)),
        timed("log: outcomes", outcomes, lambda: append_all(log, rows, batch)),
        timed("log: history, read back", outcomes, lambda: sum(1 for _ in log.history(decisions[0].agent))),
    ]
    log.close()
    return rates


def measure_floor(folder: Path, outcomes: int, batch: int) -> Rate:
    """Append the same bytes to a file and fdatasync after each batch."""
    rows = [msgspec.json.encode(outcome(decision())) + b"\n" for _ in range(batch)]
    together = b"".join(rows)
    file = os.open(folder / "floor", os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def work() -> None:
        for _ in range(outcomes // batch):
            os.write(file, together)
            os.fdatasync(file)

    rate = timed("floor: append + fdatasync", outcomes // batch * batch, work)
    os.close(file)
    return rate


def measure_single(folder: Path, rows: int) -> Rate:
    """Commit each row by itself."""
    bodies = [msgspec.json.encode(outcome(decision())).decode() for _ in range(rows)]
    with closing(sqlite3.connect(folder / "single.db", isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("CREATE TABLE outcomes (position INTEGER PRIMARY KEY, body TEXT NOT NULL)")

        def work() -> None:
            for body in bodies:
                connection.execute("INSERT INTO outcomes (body) VALUES (?)", (body,))

        return timed("sqlite: one commit a row", rows, work)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--outcomes", type=int, default=200_000)
    parser.add_argument("--batch", type=int, default=1_000)
    parser.add_argument("--folder", type=Path, help="where to write; default: the system's temporary folder")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        folder = Path(name)
        rates = [
            *measure_log(folder, options.outcomes, options.batch),
            measure_floor(folder, options.outcomes, options.batch),
            measure_single(folder, 1_000),
        ]
    if options.json:
        print(json.dumps([asdict(each) | {"rows_per_s": each.rows_per_s} for each in rates]))
    else:
        print(f"batches of {options.batch}, synchronous=FULL")
        for each in rates:
            print(f"{each.name:28} {each.rows_per_s:12,.0f} rows/s")


if __name__ == "__main__":
    main()

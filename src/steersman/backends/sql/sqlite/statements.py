"""What is run in SQLite, as text, and how many rows are written at once."""

import re
import sqlite3
from collections.abc import Sequence
from functools import cache
from itertools import chain
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

from steersman.backends.sql import texts

if TYPE_CHECKING:
    from steersman.backends.sql.release_queries import ReleaseQueries
    from steersman.backends.sql.sqlite.composed import SqliteQueries

_WRITTEN = texts.read(Path(__file__).parent)
DEFINITIONS = _WRITTEN.definitions
SQL = cast("SqliteQueries", SimpleNamespace(**_WRITTEN.log))
RELEASES = cast("ReleaseQueries", SimpleNamespace(**_WRITTEN.releases))

_GROUP = re.compile(r"VALUES (\(\?[?, ]*\))")
_CHUNKS = (512, 64, 8, 1)


def insert_many(connection: sqlite3.Connection, statement: str, rows: Sequence[Sequence[Any]]) -> None:
    """Insert rows by statements of up to 512 rows each.

    The driver lets go of the interpreter once for each statement: row by row, a busy thread would make the writer wait
    for its turn (5 ms) at every row.
    """
    start = 0
    for size in _CHUNKS:
        text = _repeated(statement, size)
        while len(rows) - start >= size:
            connection.execute(text, list(chain.from_iterable(rows[start : start + size])))
            start += size


@cache
def _repeated(statement: str, size: int) -> str:
    return _GROUP.sub(lambda match: f"VALUES {', '.join([match[1]] * size)}", statement)

"""The queue of a store with one owner, who knows all that is in it and refuses at once what may not enter."""

import sqlite3
from collections.abc import Sequence
from contextlib import suppress

from steersman.backends.sql.batch import Batch
from steersman.backends.sql.queue import Queue
from steersman.backends.sql.sqlite.admission import Admission
from steersman.backends.sql.sqlite.statements import SQL
from steersman.core.ports import Row
from steersman.core.values import Decision


class OwnedQueue(Queue):
    """`reader` is a connection that sees what is durable, used under the queue's lock alone."""

    def __init__(self, reader: sqlite3.Connection, *, capacity: int, linger_s: float) -> None:
        position, commits = reader.execute(SQL.head).fetchone()
        super().__init__(position=position, commits=commits, capacity=capacity, linger_s=linger_s)
        self._reader = reader
        self._admission = Admission(reader)
        self._counts: dict[tuple[str, int], int] = {
            (agent, stream): decisions for agent, stream, decisions in reader.execute(SQL.counts)
        }

    def admit(self, rows: Sequence[Row], batches: Sequence[Batch]) -> None:
        """Raise Conflict for a decision or a revision that the log holds, NotFound for an outcome of no decision."""
        self._admission.check(rows, batches)

    def took(self, decision: Decision) -> None:
        """Count a decision."""
        self._admission.took(decision)
        place = decision.agent, decision.stream
        self._counts[place] = self._counts.get(place, 0) + 1

    def closed(self) -> None:
        """Close the reader before the writer wakes: who leaves last tidies the WAL away, and only the writer can."""
        with suppress(sqlite3.Error):
            self._reader.close()

    def counts(self) -> dict[tuple[str, int], int]:
        """Return how many decisions each agent has made in each stream, durable or not."""
        with self._lock:
            return dict(self._counts)

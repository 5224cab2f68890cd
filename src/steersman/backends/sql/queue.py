"""The bounded queue between the threads that append and the one that writes."""

import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from typing import TypeVar

from steersman.backends.sql.admission import Admission
from steersman.backends.sql.batch import Batch
from steersman.backends.sql.rows import Columns
from steersman.backends.sql.statements import SQL
from steersman.core.errors import DeadlineExceeded, Overloaded, StoreError
from steersman.core.ports import Row
from steersman.core.values import AuditEvent, Decision, Learned, Outcome

T = TypeVar("T")

_STUCK_S = 5.0
_COMPANY_ROWS = 512  # that many together need not wait for more


class QueueReceipt:
    """The acknowledgement of everything appended up to a ticket: one number, no object for each row to wait on."""

    __slots__ = ("_queue", "_ticket")

    def __init__(self, queue: "Queue", ticket: int) -> None:
        self._queue = queue
        self._ticket = ticket

    def wait(self, timeout_s: float | None = None) -> None:
        """Return once the rows are durable. Raises DeadlineExceeded after `timeout_s`, StoreError if they never will be."""
        if self._queue.durable < self._ticket:
            self._queue.wait_for(self._ticket, timeout_s)

    def done(self) -> bool:
        """Return whether the rows are durable."""
        return self._queue.durable >= self._ticket


class Queue:
    """Two batches: the one being written, and the one that fills meanwhile and will be the next transaction.

    `reader` is a connection that sees what is durable, used under the queue's lock alone.
    """

    def __init__(self, reader: sqlite3.Connection, *, position: int, commits: int, capacity: int, linger_s: float) -> None:
        self.position = position
        self.commits = commits
        self.durable = 0
        self.error = ""
        self._capacity = capacity
        self._linger_s = linger_s
        self._admission = Admission(reader)
        self._counts: dict[str, int] = dict(reader.execute(SQL.agents))
        self._lock = threading.Lock()
        self._work = threading.Condition(self._lock)
        self._settled = threading.Condition(self._lock)
        self._pending = Batch()
        self._writing: Batch | None = None
        self._since = 0.0
        self._ticket = 0
        self._waiters = 0
        self._idle = False
        self._closing = False
        self._ended = False

    # what the threads that append see

    def put(self, rows: Sequence[Row], columns: Sequence[Columns], learned: Learned | None) -> QueueReceipt:
        """Take rows in, in order, or none of them: raises Overloaded, StoreError after the end, and as `Admission.check`."""
        with self._lock:
            if self._closing:
                raise StoreError("the log is closed. Open the store again to append.")
            if learned is None and any(isinstance(row, Decision | Outcome) for row in rows):
                self._check_room(len(rows))  # a person's hand on the switch always finds room
            self._admission.check(rows, self._batches())
            batch = self._pending
            for row, values in zip(rows, columns, strict=True):
                self._take(batch, row, values)
            if learned is not None:
                batch.learn(learned, self.position)
            if rows or learned is not None:
                self._ticket += 1
                batch.size += len(rows) or 1
                batch.ticket, batch.position = self._ticket, self.position
                if self._idle:
                    self._work.notify()
            return QueueReceipt(self, self._ticket)

    def reserve(self, rows: int) -> None:
        """Return if there is room for rows. Raises Overloaded if not."""
        with self._lock:
            self._check_room(rows)

    def wait_for(self, ticket: int, timeout_s: float | None) -> None:
        """Return once everything up to a ticket is durable. Raises DeadlineExceeded, or StoreError if it never will be."""
        with self._lock:
            self._waiters += 1
            self._work.notify()  # the writer need not wait for company any longer
            try:
                reached = self._settled.wait_for(lambda: self.durable >= ticket or self._ended, timeout_s)
            finally:
                self._waiters -= 1
            if not reached:
                raise DeadlineExceeded(f"not durable after {timeout_s} s: {self.error or 'the disk is slow'}.")
            if self.durable < ticket:
                raise StoreError(f"the rows were not stored: {self.error or 'the log was closed'}. Report them again.")

    @property
    def ticket(self) -> int:
        """The ticket of the last append."""
        return self._ticket

    def health(self) -> str:
        """Return "" or what keeps the log from writing."""
        writing = self._writing
        if not self.error and writing is not None and time.monotonic() - self._since > _STUCK_S:
            return f"the disk has not answered for {time.monotonic() - self._since:.0f} s"
        return self.error

    def look(self, found: Callable[[Batch], T]) -> list[T]:
        """Return what `found` says of each batch that may not be durable yet, oldest first."""
        with self._lock:
            return [found(each) for each in self._batches()]

    def view(self, reader: sqlite3.Connection, found: Callable[[Batch], T]) -> list[T]:
        """Begin a snapshot on a connection, and return what `found` says of each batch that is not in it."""
        with self._lock:
            reader.execute("BEGIN")
            _, commits = reader.execute(SQL.head).fetchone()
            return [found(each) for each in self._batches() if each.number == 0 or each.number > commits]

    def counts(self) -> dict[str, int]:
        """Return how many decisions each agent has made."""
        with self._lock:
            return dict(self._counts)

    def count(self, agent: str) -> int:
        """Return how many decisions an agent has made."""
        return self._counts.get(agent, 0)

    def _batches(self) -> list[Batch]:
        return [self._pending] if self._writing is None else [self._writing, self._pending]

    def _check_room(self, rows: int) -> None:
        waiting = sum(each.size for each in self._batches())
        if waiting + rows > self._capacity:
            raise Overloaded(
                f"{waiting} rows wait for the disk and the queue holds {self._capacity}"
                f"{f' ({self.error})' if self.error else ''}; nothing was taken. Try again later."
            )

    def _take(self, batch: Batch, row: Row, columns: Columns) -> None:
        if isinstance(row, Decision):
            self.position += 1
            batch.add_decision(self.position, row, columns)
            self._admission.took(row)
            self._counts[row.agent] = self._counts.get(row.agent, 0) + 1
        elif isinstance(row, Outcome):
            self.position += 1
            batch.add_outcome(self.position, row, columns)
        elif isinstance(row, AuditEvent):
            batch.audit.append(row)
        else:
            batch.switches.append(row)

    # what the writer sees

    def take(self) -> Batch | None:
        """Return all that waits as one batch, once there is something; None when the queue is closed and empty."""
        with self._lock:
            self._idle = True
            self._work.wait_for(lambda: self._pending.size or self._closing)
            self._idle = False
            if self._linger_s and self._pending.size < _COMPANY_ROWS:
                self._work.wait_for(lambda: self._waiters or self._closing, self._linger_s)
            if not self._pending.size:
                return None
            self._writing, self._pending = self._pending, Batch()
            self._writing.number = self.commits + 1
            self._since = time.monotonic()
            return self._writing

    def settle(self, batch: Batch) -> None:
        """Acknowledge a batch: it is durable."""
        with self._lock:
            self.durable, self.commits = batch.ticket, batch.number
            self._writing = None
            self.error = ""
            self._settled.notify_all()

    def fail(self, reason: str, pause_s: float) -> bool:
        """Say what keeps the log from writing, wait a little, and return whether to try again."""
        with self._lock:
            self.error = reason
            last = self._closing
            self._work.wait_for(lambda: self._closing, pause_s)
            return not last

    def stop(self) -> None:
        """Take nothing more in; the writer writes what there is, or gives up after one more try."""
        with self._lock:
            self._closing = True
            self._work.notify_all()

    def end(self) -> None:
        """Nothing more will be written: whoever waits is told."""
        with self._lock:
            self._ended = True
            self._settled.notify_all()

    @property
    def unwritten(self) -> int:
        """How many rows are not durable."""
        return sum(each.size for each in self._batches())

"""`SqliteLog`: the log in one SQLite file, with one owner, one writer and any number of readers."""

import os
import sqlite3
import weakref
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path

from steersman.backends.sql import fork
from steersman.backends.sql.answers import Answers
from steersman.backends.sql.queue import QueueReceipt
from steersman.backends.sql.reads import Reads
from steersman.backends.sql.rows import check_learned, encode, text
from steersman.backends.sql.sqlite import connect, store
from steersman.backends.sql.sqlite.owner import Owner
from steersman.backends.sql.sqlite.queue import OwnedQueue
from steersman.backends.sql.sqlite.readers import Readers
from steersman.backends.sql.sqlite.statements import SQL
from steersman.backends.sql.sqlite.writer import FileWriter
from steersman.core.errors import StoreError
from steersman.core.ports import Row
from steersman.core.values import TAKEN_S, Control, Decision, Learned, Outcome


class SqliteLog(Answers):
    """The `Log` port on SQLite: WAL, synchronous=FULL, group commit by one writer thread.

    path: the store's file; made if it does not exist. queue_rows: how many rows may wait for the disk. read_only: read
    beside the process that owns the store; needs no lock, sees what is durable and cannot append. linger_s: how long
    the writer waits for more rows while nobody waits for a receipt. audit_key: gives the key of the
    audit trail, once the store is there. taken_s: for how long taken events are remembered.

    Raises Conflict if another process owns the store, StoreError or StoreVersionError if it cannot be used.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        queue_rows: int = 100_000,
        read_only: bool = False,
        linger_s: float = 0.005,
        audit_key: Callable[[], bytes] = bytes,
        taken_s: float = TAKEN_S,
    ) -> None:
        self.path = Path(path)
        self._owned = None if read_only else _Owned(self.path, queue_rows, linger_s, audit_key, taken_s)
        self._queue = None if self._owned is None else self._owned.queue
        if self._queue is None:
            _check_readable(self.path)
        self._readers = Readers(self.path)
        self._reads = Reads(self._readers, self._queue, SQL)
        self._finalizer = None if self._owned is None else weakref.finalize(self, self._owned.close)
        fork.track(self)

    def append(self, rows: Sequence[Row], learned: Learned | None = None) -> QueueReceipt:
        """Put rows at the end and return at once.

        Raises Overloaded when the queue is full (not where something was learned), Conflict for an id or revision that
        the log holds, NotFound for an outcome of no decision, InvalidInput for a number that is not finite: nothing was
        taken then.
        """
        owned = self._writable()
        columns = encode(rows)
        if learned is not None:
            check_learned(learned)
        return owned.queue.put(rows, columns, learned)

    def reserve(self, rows: int = 1) -> None:
        """Return if the queue has room for rows. Raises Overloaded if not."""
        self._writable().queue.reserve(rows)

    @property
    def position(self) -> int:
        """The position of the last row."""
        if self._queue is not None:
            return self._queue.position
        with self._readers.lend() as connection:
            position: int = connection.execute(SQL.head).fetchone()[0]
            return position

    @property
    def shared(self) -> bool:
        """Whether other processes append as well: not to a file, which has one owner."""
        return False

    @property
    def stream(self) -> int:
        """The owner is alone."""
        return 0

    def flush(self, timeout_s: float | None = None) -> None:
        """Wait until all that was appended is durable. Raises DeadlineExceeded or StoreError."""
        queue = self._writable().queue
        QueueReceipt(queue, queue.ticket).wait(timeout_s)

    def health(self) -> str:
        """Return "" when the log is writing, else what keeps it from writing."""
        return "" if self._owned is None else self._owned.queue.health()

    def sample(self, agent: str, shares: Sequence[float]) -> list[tuple[Decision, Outcome]]:
        """Return a decision with its last outcome for each share of the agent's span of positions."""
        return self._reads.sample(agent, shares, text)

    def decision_count(self, agent: str, stream: int | None = None) -> int:
        """Return how many decisions of the agent, of one stream or of all, are in the log, durable or not."""
        counts = self._counts()
        return sum(count for (name, each), count in counts.items() if name == agent and stream in (None, each))

    def agents(self) -> list[str]:
        """Return the names of the agents that have decided, sorted."""
        return sorted({name for name, _ in self._counts()})

    def _counts(self) -> dict[tuple[str, int], int]:
        if self._queue is not None:
            return self._queue.counts()
        with self._readers.lend() as connection:
            return {(agent, stream): decisions for agent, stream, decisions in connection.execute(SQL.counts)}

    def cut(self, base: Learned) -> QueueReceipt:
        """Put what was learned up to a position in the place of the agent's rows up to there, for good."""
        check_learned(base)
        return self._writable().queue.cut(base)

    def reserve_tokens(self, agent: str, period: int, count: int, budget: int) -> QueueReceipt:
        """Ask for exploring decisions of a period's budget, and return at once."""
        return self._writable().queue.ask(agent, period, count, budget)

    def controls(self) -> list[Control]:
        """Return the latest word of each kind for each scope, as written by any process."""
        return self._reads.controls()

    def close(self) -> None:
        """Make everything durable and release the store. Raises StoreError naming how many rows could not be."""
        self._readers.close()
        if self._finalizer is not None and self._finalizer.detach() is not None:
            assert self._owned is not None  # noqa: S101 - the finalizer is its
            self._owned.close()

    def abandon(self) -> None:
        """Let go without touching the store: it belongs to the process that this one was forked from."""
        connections = self._readers.connections()
        self._readers.closed = True
        if self._finalizer is not None and self._owned is not None:
            self._finalizer.detach()
            connections += self._owned.abandon()
        fork.leak(connections)

    def _writable(self) -> "_Owned":
        if self._owned is None:
            raise StoreError(f"the log {self.path} was opened read-only. Open it without read_only to append.")
        if self._owned.owner.pid != os.getpid():
            raise StoreError(
                f"the log {self.path} belongs to process {self._owned.owner.pid}, which this one was forked from. Open "
                "a store after forking."
            )
        return self._owned


class _Owned:
    """What only the owner of a store has: the lock, the queue and the writer."""

    def __init__(self, path: Path, queue_rows: int, linger_s: float, audit_key: Callable[[], bytes], taken_s: float) -> None:
        self.owner = Owner(path)
        try:
            store.prepare(path)
            self._reader = connect.reader(path)
            self.queue = OwnedQueue(self._reader, capacity=queue_rows, linger_s=linger_s)
            self._writer = FileWriter(self.queue, path, audit_key(), taken_s)
        except (sqlite3.Error, OSError) as error:
            self.owner.release()
            raise connect.unusable(path, error) from error
        except BaseException:
            self.owner.release()
            raise
        self._path = path
        self._writer.start()

    def close(self) -> None:
        self.queue.stop()
        self._writer.join()
        self.owner.release()
        if lost := self.queue.unwritten:
            raise StoreError(
                f"{lost} rows could not be stored in {self._path} and were not acknowledged: {self.queue.error}. Free "
                "space or mend the disk, open the store again and report them again."
            )

    def abandon(self) -> list[sqlite3.Connection]:
        self.owner.release()
        connections = [self._reader]
        if self._writer.connection is not None:
            connections.append(self._writer.connection)
        return connections


def _check_readable(path: Path) -> None:
    try:
        store.check_current(path)
        with closing(connect.reader(path)) as connection:
            connection.execute(SQL.head).fetchone()
    except (sqlite3.Error, OSError) as error:
        raise connect.unusable(path, error) from error

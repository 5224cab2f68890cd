"""`PostgresLog`: the log in PostgreSQL, with any number of processes that append, read and take turns to learn."""

import os
import socket
import time
import uuid
import weakref
from collections.abc import Sequence
from contextlib import suppress

import psycopg

from steersman.backends.sql import fork
from steersman.backends.sql.answers import Answers
from steersman.backends.sql.postgres import connect, store
from steersman.backends.sql.postgres.leases import Leases
from steersman.backends.sql.postgres.listener import Listener
from steersman.backends.sql.postgres.queue import SharedQueue
from steersman.backends.sql.postgres.readers import Readers
from steersman.backends.sql.postgres.statements import SQL
from steersman.backends.sql.postgres.writer import SharedWriter
from steersman.backends.sql.queue import QueueReceipt
from steersman.backends.sql.reads import Reads
from steersman.backends.sql.rows import check_learned, encode
from steersman.core.errors import InvalidInput, StoreError
from steersman.core.ports import Row
from steersman.core.values import (
    TAKEN_S,
    Control,
    ControlKind,
    Decision,
    Learned,
    Outcome,
)
from steersman.core.versions import Deployment


class PostgresLog(Answers):
    """The `SharedLog` port on PostgreSQL: set-based transactions, group commit, one writer thread in each process.

    url: see `connect.target`. queue_rows: how many rows may wait in memory for the server. read_only: never writes, makes
    or migrates anything. linger_s: how long the writer waits for more rows while nobody waits for a receipt. audit_key: with
    which the audit trail is chained. taken_s: for how long taken events are remembered.

    Raises StoreError or StoreVersionError if the store cannot be used, NotFound if there is none to read, InvalidInput for
    a URL that cannot be read.
    """

    def __init__(
        self,
        url: str,
        *,
        queue_rows: int = 100_000,
        read_only: bool = False,
        linger_s: float = 0.002,
        audit_key: bytes = b"",
        taken_s: float = TAKEN_S,
    ) -> None:
        self._where = connect.target(url)
        self._name = f"{socket.gethostname()}:{os.getpid()}:{uuid.uuid4().hex[:8]}"
        self._pid = os.getpid()
        self._readers = Readers(self._where, self._name)
        self._leases = Leases(self._readers, self._name)
        self._queue: SharedQueue | None = None
        self._said: dict[tuple[ControlKind, str], _Said] = {}
        self._audit_key = audit_key
        self._taken_s = taken_s
        try:
            self._open(queue_rows, linger_s, read_only=read_only)
        except psycopg.Error as error:
            raise connect.unusable(self._where, error) from error
        self._reads = Reads(self._readers, self._queue, SQL)
        self._finalizer = weakref.finalize(self, _close, self._queue, self._writer, self._listener, self._readers)
        fork.track(self)

    def _open(self, queue_rows: int, linger_s: float, *, read_only: bool) -> None:
        self._writer: SharedWriter | None = None
        with connect.connect(self._where) as connection:
            if read_only:
                store.check_readable(connection, self._where)
            else:
                store.prepare(connection, self._where)
                position = int(str((connection.execute("SELECT position FROM log_head").fetchone() or (0,))[0]))
                self._queue = SharedQueue(position=position, commits=0, capacity=queue_rows, linger_s=linger_s)
        channel = connect.channel(self._where)
        self._listener = Listener(self._where, channel, writer="" if read_only else self._name)
        self._listener.each_look = self._leases.renew
        self._listener.after_outage = self._readers.drop_idle
        self._readers.outage = self._listener.outage
        if self._queue is not None:
            try:
                self._writer = SharedWriter(
                    self._queue,
                    self._where,
                    self._name,
                    channel,
                    lambda: self.stream,
                    self._audit_key,
                    self._taken_s,
                )
            except BaseException:
                self._listener.close()
                raise
            self._writer.start()
        self._listener.start()

    def append(self, rows: Sequence[Row], learned: Learned | None = None) -> QueueReceipt:
        """Put rows at the end, all of them or none, and return at once.

        Raises Overloaded when the queue is full (not where something was learned), Conflict for an id or revision that
        this process has appended, InvalidInput for what cannot be stored: nothing was taken then. What other processes
        were first to is told by the receipt's `wait`.
        """
        queue = self._writable()
        columns = encode(rows)
        for row, values in zip(rows, columns, strict=True):
            _check_text(row, values)
        if learned is not None:
            check_learned(learned)
        receipt = queue.put(rows, columns, learned)
        self._said.update({(row.kind, row.scope): _Said(row, receipt) for row in rows if isinstance(row, Control)})
        return receipt

    def reserve(self, rows: int = 1) -> None:
        """Return if the queue has room for rows. Raises Overloaded if not."""
        self._writable().reserve(rows)

    @property
    def position(self) -> int:
        """The position of the last row, as far as this process knows; what it has appended counts already."""
        return self.head() if self._queue is None else self._queue.position

    def head(self) -> int:
        """Return the position of the last row in the store, whoever appended it: every row up to it can be read."""
        with self._readers.lend() as connection:
            return int(str((connection.execute("SELECT position FROM log_head").fetchone() or (0,))[0]))

    @property
    def shared(self) -> bool:
        """Other processes append as well."""
        return True

    @property
    def stream(self) -> int:
        """The number of this process' stream of random numbers, its own for as long as it is at work."""
        return max(self._listener.stream, 0)

    def flush(self, timeout_s: float | None = None) -> None:
        """Wait until all that was appended is durable. Raises DeadlineExceeded or StoreError."""
        queue = self._writable()
        QueueReceipt(queue, queue.ticket).wait(timeout_s)

    def health(self) -> str:
        """Return "" when the log is writing, else what keeps it from writing."""
        return "" if self._queue is None else self._queue.health()

    def outage(self) -> str:
        """Return "" or why the store cannot be reached, as far as is known."""
        return self._listener.outage()

    def sample(self, agent: str, shares: Sequence[float]) -> list[tuple[Decision, Outcome]]:
        """Return a decision with its last outcome for each share of the agent's span of positions."""
        return self._reads.sample(agent, shares, list)

    def decision_count(self, agent: str, stream: int | None = None) -> int:
        """Return how many decisions of the agent, of one stream or of all, are in the log, durable or not."""
        counts = self._reads.counts()
        return sum(count for (name, each), count in counts.items() if name == agent and stream in (None, each))

    def agents(self) -> list[str]:
        """Return the names of the agents that have decided, sorted."""
        return sorted({name for name, _ in self._reads.counts()})

    def learned_since(self, agent: str, version: int) -> Learned | None:
        """Return what was stored of an agent's table after a version, all of it after 0; None if nothing was."""
        return self._reads.learned_since(agent, version)

    def controls(self) -> list[Control]:
        """Return the latest word of each kind for each scope, as the listener saw it a moment ago, or as appended here."""
        looked_at = self._listener.looked_at
        latest = {(each.kind, each.scope): each for each in self._listener.controls()}
        for place, said in list(self._said.items()):
            if said.seen_by(looked_at):
                self._said.pop(place, None)
            else:
                latest[place] = said.control
        return [latest[place] for place in sorted(latest)]

    def production(self) -> list[Deployment]:
        """Return the last move of each agent, as the listener saw it a moment ago. Raises StoreError if it cannot."""
        return self._listener.production()

    def cut(self, base: Learned) -> QueueReceipt:
        """Put what was learned up to a position in the place of the agent's rows up to there, for good."""
        check_learned(base)
        return self._writable().cut(base)

    def reserve_tokens(self, agent: str, period: int, count: int, budget: int) -> QueueReceipt:
        """Ask for exploring decisions of a period's budget, and return at once."""
        return self._writable().ask(agent, period, count, budget)

    def lease(self, agent: str) -> int | None:
        """Take or renew the right to learn for an agent; return its fence, or None while another process has it."""
        self._writable()
        return self._leases.take(agent)

    def release(self, agent: str) -> None:
        """Give the right to learn back at once, if this process has it."""
        self._leases.release(agent)

    def learner(self, agent: str) -> str:
        """Return who learns for an agent now, as host, process and a tag; "" if nobody does."""
        return self._leases.holder(agent)

    def watch(self, timeout_s: float) -> bool:
        """Wait until rows or tables have changed in the store; return whether they have."""
        return self._listener.watch(timeout_s)

    def close(self) -> None:
        """Make everything durable and let go. Raises StoreError naming how many rows could not be."""
        self._leases.release_all()
        if self._finalizer.detach() is not None:
            lost = _close(self._queue, self._writer, self._listener, self._readers)
            if lost and self._queue is not None:
                raise StoreError(
                    f"{lost} rows could not be stored in {self._where.shown} and were not acknowledged: "
                    f"{self._queue.error}. Mend the server and report them again."
                )

    def abandon(self) -> None:
        """Let go without touching the store: its connections belong to the process that this one was forked from."""
        self._finalizer.detach()
        connections = [*self._readers.connections(), *self._listener.abandon()]
        if self._writer is not None and self._writer.connection is not None:
            connections.append(self._writer.connection)
        self._readers.closed = True
        fork.leak(connections)

    def _writable(self) -> SharedQueue:
        if self._queue is None:
            raise StoreError(f"the log {self._where.shown} was opened read-only. Open it without read_only to append.")
        if self._pid != os.getpid():
            raise StoreError(
                f"the log {self._where.shown} belongs to process {self._pid}, which this one was forked from. Open a store "
                "after forking."
            )
        return self._queue


def _close(queue: SharedQueue | None, writer: SharedWriter | None, listener: Listener, readers: Readers) -> int:
    """End the threads and return how many rows could not be stored."""
    if queue is not None and writer is not None:
        queue.stop()
        writer.join()
        with suppress(StoreError), readers.lend() as connection:
            connection.execute(SQL.forget_writers, (writer.name_in_store,))
    listener.close()
    readers.close()
    return 0 if queue is None else queue.unwritten


class _Said:
    """A control that was set here: it counts at once, until a look at the store can have seen it."""

    def __init__(self, control: Control, receipt: QueueReceipt) -> None:
        self.control = control
        self._receipt = receipt
        self._durable_at = float("inf")

    def seen_by(self, looked_at: float) -> bool:
        """Return whether a look that began then has seen it, or it was refused: from there on the store alone decides."""
        if self._receipt.refusal is not None:
            return True
        if self._durable_at == float("inf") and self._receipt.done():
            self._durable_at = time.monotonic()
        return looked_at > self._durable_at


def _check_text(row: Row, columns: Sequence[object]) -> None:
    """Raise InvalidInput for text that PostgreSQL cannot hold. Inside the body JSON escapes it."""
    if any(isinstance(each, str) and "\x00" in each for each in columns):
        raise InvalidInput(f"a row holds the character NUL in a name, which this store cannot keep: {row}.")

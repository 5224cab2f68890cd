"""The bounded queue between the threads that append and the one that writes."""

import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import ClassVar, TypeVar

from msgspec.structs import replace

from steersman.backends.sql.batch import Batch, Group
from steersman.backends.sql.rows import Columns
from steersman.core.errors import DeadlineExceeded, Overloaded, SteersmanError, StoreError
from steersman.core.ports import Row
from steersman.core.values import ApiKey, AuditEvent, Contribution, Decision, Learned, Outcome, Taken

T = TypeVar("T")

_STUCK_S = 5.0
_LOGGED = (Decision, Outcome, Taken)
_COMPANY_ROWS = 512  # that many together need not wait for more
_PATIENCE = 0.25  # of what the last commit took: clients that it released come back together, or take turns for ever
_MOST_PATIENCE_S = 0.005


class QueueReceipt:
    """The acknowledgement of everything appended up to a ticket: one number, no object for each row to wait on.

    `refusal` is what a shared store said to these rows, where others were there first.
    """

    __slots__ = ("_queue", "_ticket", "promised", "refusal")

    def __init__(self, queue: "Queue", ticket: int) -> None:
        self._queue = queue
        self._ticket = ticket
        self.refusal: SteersmanError | None = None
        self.promised = 0

    def wait(self, timeout_s: float | None = None) -> None:
        """Return once the rows are durable. Raises DeadlineExceeded after `timeout_s`, StoreError if they never will be."""
        if self._queue.durable < self._ticket:
            self._queue.wait_for(self._ticket, timeout_s)
        if self.refusal is not None:
            raise self.refusal

    def done(self) -> bool:
        """Return whether the rows are durable."""
        return self._queue.durable >= self._ticket and self.refusal is None

    def settled(self) -> bool:
        """Return whether `wait` would return, or raise, at once."""
        return self._queue.settled(self._ticket)

    def notify(self, callback: Callable[[], None]) -> None:
        """Have a callback called from the writer's thread once this is settled; at once if it is."""
        if self._queue.settled(self._ticket) or not self._queue.notify(self._ticket, callback):
            callback()

    @property
    def granted(self) -> int:
        """How many tokens there are, once it is done; 0 before."""
        return self.promised if self.done() else 0


class Queue(ABC):
    """Two batches: the one being written, and the one that fills meanwhile and will be the next transaction.

    grouped: keep together what each append gave, because the store may refuse it as a whole.
    """

    grouped: ClassVar[bool] = False

    def __init__(self, *, position: int, commits: int, capacity: int, linger_s: float) -> None:
        self.position = position
        self.commits = commits
        self.durable = 0
        self.error = ""
        self._capacity = capacity
        self._linger_s = linger_s
        self._lock = threading.Lock()
        self._work = threading.Condition(self._lock)
        self._pending = Batch()
        self._writing: Batch | None = None
        self._since = 0.0
        self._ticket = 0
        self._waiters = 0
        self._expected = 0
        self._patience_s = 0.0
        self._idle = False
        self._closing = False
        self._ended = False

    # what a kind of store decides

    @abstractmethod
    def admit(self, rows: Sequence[Row], batches: Sequence[Batch]) -> None:
        """Raise Conflict or NotFound for rows that may not enter, as far as this process knows."""

    @abstractmethod
    def took(self, decision: Decision) -> None:
        """Note that a decision is in the log now."""

    @abstractmethod
    def closed(self) -> None:
        """Let go of what `admit` needs: from now on nothing is taken in."""

    # what the threads that append see

    def put(self, rows: Sequence[Row], columns: Sequence[Columns], learned: Learned | None) -> QueueReceipt:
        """Take rows in, in order, or none of them: raises Overloaded, StoreError after the end, and as `admit`."""
        with self._lock:
            if self._closing:
                raise StoreError("the log is closed. Open the store again to append.")
            if learned is None and any(isinstance(row, _LOGGED) for row in rows):
                self._check_room(len(rows))  # a person's hand on the switch always finds room
            self.admit(rows, self._batches())
            batch = self._pending
            for row, values in zip(rows, columns, strict=True):
                self._take(batch, row, values)
            if learned is not None:
                batch.learn(learned, self.position if learned.position is None else learned.position)
            if not rows and learned is None:
                return QueueReceipt(self, self._ticket)
            return self._ticketed(batch, len(rows) or 1, rows, columns, learned)

    def ask(self, agent: str, period: int, count: int, budget: int) -> QueueReceipt:
        """Ask for tokens in the next transaction."""
        with self._lock:
            if self._closing:
                raise StoreError("the log is closed. Open the store again.")
            receipt = self._ticketed(self._pending, 1)
            self._pending.asked.append((receipt, agent, period, count, budget))
            return receipt

    def cut(self, base: Learned) -> QueueReceipt:
        """Have an agent's rows up to a position replaced by what was learned of them, in the next transaction."""
        with self._lock:
            if self._closing:
                raise StoreError("the log is closed. Open the store again.")
            self._pending.cuts.append(base)
            return self._ticketed(self._pending, 1, cut=base)

    def _ticketed(
        self,
        batch: Batch,
        size: int,
        rows: Sequence[Row] = (),
        columns: Sequence[Columns] = (),
        learned: Learned | None = None,
        cut: Learned | None = None,
    ) -> QueueReceipt:
        self._ticket += 1
        batch.size += size
        batch.ticket, batch.position = self._ticket, self.position
        if self._idle:
            self._work.notify()
        receipt = QueueReceipt(self, self._ticket)
        if self.grouped:
            batch.groups.append(Group(receipt, rows, columns, learned and _copy(learned), cut))
        return receipt

    def reserve(self, rows: int) -> None:
        """Return if there is room for rows. Raises Overloaded if not."""
        with self._lock:
            self._check_room(rows)

    def wait_for(self, ticket: int, timeout_s: float | None) -> None:
        """Return once everything up to a ticket is durable. Raises DeadlineExceeded, or StoreError if it never will be.

        Each waits at a gate of its own, which opens with its batch: nobody wakes for the batches of others.
        """
        with self._lock:
            if self.durable < ticket and not self._ended:
                batch = next(each for each in self._batches() if ticket <= each.ticket)
                gate = threading.Lock()
                gate.acquire()
                batch.gates.append(gate)
                self._waiters += 1
                self._work.notify()  # the writer need not wait for company any longer
            else:
                gate = None
        if gate is not None and not gate.acquire(timeout=-1 if timeout_s is None else timeout_s):
            self._give_up(batch, gate)
        if self.durable < ticket:
            if not self._ended:
                raise DeadlineExceeded(f"not durable after {timeout_s} s: {self.error or 'the disk is slow'}.")
            raise StoreError(f"the rows were not stored: {self.error or 'the log was closed'}. Report them again.")

    def settled(self, ticket: int) -> bool:
        """Return whether it is known what became of everything up to a ticket."""
        return self.durable >= ticket or self._ended

    def notify(self, ticket: int, callback: Callable[[], None]) -> bool:
        """Have a callback called once everything up to a ticket is settled; return False if it is already.

        However often a batch is asked to, it calls a callback once: who waits for many rows wakes once for all of them.
        """
        with self._lock:
            if self.settled(ticket):
                return False
            batch = next(each for each in self._batches() if ticket <= each.ticket)
            batch.callbacks[callback] = batch.callbacks.get(callback, 0) + 1
            self._waiters += 1
            self._work.notify()
            return True

    def _give_up(self, batch: Batch, gate: threading.Lock) -> None:
        with self._lock:
            if gate in batch.gates:
                batch.gates.remove(gate)
                self._waiters -= 1

    def _open_gates(self, batch: Batch) -> int:
        """Let go on who waits for a batch, and return how many that were."""
        gates, batch.gates = batch.gates, []
        for gate in gates:
            gate.release()
        callbacks, batch.callbacks = batch.callbacks, {}
        for callback in callbacks:
            with suppress(RuntimeError):  # a loop that was closed meanwhile waits for nothing
                callback()
        released = len(gates) + sum(callbacks.values())
        self._waiters -= released
        return released

    @property
    def ticket(self) -> int:
        """The ticket of the last append."""
        return self._ticket

    def health(self) -> str:
        """Return "" or what keeps the log from writing."""
        writing = self._writing
        if not self.error and writing is not None and time.monotonic() - self._since > _STUCK_S:
            return f"the store has not answered for {time.monotonic() - self._since:.0f} s"
        return self.error

    def look(self, found: Callable[[Batch], T]) -> list[tuple[Batch, T]]:
        """Return each batch that may not be durable yet, oldest first, with what `found` says of it."""
        with self._lock:
            return [(each, found(each)) for each in self._batches()]

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
            self.took(row)
        elif isinstance(row, Outcome):
            self.position += 1
            batch.add_outcome(self.position, row, columns)
        elif isinstance(row, AuditEvent):
            batch.audit.append(row)
        elif isinstance(row, Contribution):
            batch.contributions[row.pool, row.source, row.key, row.role] = row
        elif isinstance(row, Taken):
            batch.taken[row.stream, row.event] = row
        elif isinstance(row, ApiKey):
            batch.keys[row.id] = row
        else:
            batch.controls.append(row)

    # what the writer sees

    def take(self) -> Batch | None:
        """Return all that waits as one batch, once there is something; None when the queue is closed and empty."""
        with self._lock:
            self._idle = True
            self._work.wait_for(lambda: self._pending.size or self._closing)
            self._idle = False
            if self._linger_s and self._pending.size < _COMPANY_ROWS:
                self._work.wait_for(lambda: self._waiters or self._closing, self._linger_s)
                self._work.wait_for(lambda: self._waiters >= self._expected or self._closing, self._patience_s)
            if not self._pending.size:
                return None
            self._writing, self._pending = self._pending, Batch()
            self._writing.number = self.commits + 1
            self._since = time.monotonic()
            return self._writing

    def settle(self, batch: Batch, position: int | None = None) -> None:
        """Acknowledge a batch: it is durable. `position` is that of the log's last row, where others append as well."""
        with self._lock:
            self.durable, self.commits = batch.ticket, batch.number
            if position is not None:
                self.position = position + len(self._pending.rows)
            self._writing = None
            self.error = ""
            self._patience_s = min(_PATIENCE * (time.monotonic() - self._since), _MOST_PATIENCE_S)
            self._expected = self._waiters
            if not self._open_gates(batch):
                self._expected = 0  # nobody waited for it, so nobody is about to come back

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
            self.closed()

    def end(self) -> None:
        """Nothing more will be written: whoever waits is told."""
        with self._lock:
            self._ended = True
            for each in self._batches():
                self._open_gates(each)

    @property
    def unwritten(self) -> int:
        """How many rows are not durable."""
        return sum(each.size for each in self._batches())


def _copy(learned: Learned) -> Learned:
    """Return what was learned as it is now; the caller goes on with its collections."""
    return replace(
        learned,
        entries=dict(learned.entries),
        states=dict(learned.states),
        removed=set(learned.removed),
        episodes=dict(learned.episodes),
        windows=list(learned.windows),
    )

"""The one thread of a process that writes: everything that waits goes into one transaction, acknowledged after its commit.

After an error nothing is tried again on the same connection. The store is opened anew and asked what it holds: a commit
that failed may still be there, or not; then it is written again. Meanwhile receipts stay open and rows wait in the queue.
"""

import threading
from abc import abstractmethod
from typing import ClassVar, Generic, TypeVar

from steersman.backends.sql.batch import Batch
from steersman.backends.sql.queue import Queue

C = TypeVar("C")

_FIRST_PAUSE_S = 0.02
_LONGEST_PAUSE_S = 0.5


class Writer(threading.Thread, Generic[C]):
    """Writes the batches of a queue, on a connection that it opens anew after each error."""

    errors: ClassVar[tuple[type[Exception], ...]]

    def __init__(self, queue: Queue) -> None:
        super().__init__(name="steersman-log", daemon=True)
        self.queue = queue
        self.connection: C | None = self.open()

    @abstractmethod
    def open(self) -> C:
        """Return a connection to write with."""

    @abstractmethod
    def write(self, connection: C, batch: Batch) -> int | None:
        """Store a batch durably; return the position of the log's last row, where others append as well."""

    @abstractmethod
    def holds(self, connection: C, batch: Batch) -> bool:
        """Return whether a batch is in the store after all, and durable."""

    @abstractmethod
    def drop(self, connection: C) -> None:
        """Close a connection, whatever state it is in."""

    def run(self) -> None:
        """Write until the queue is closed, and empty or given up."""
        try:
            while (batch := self.queue.take()) is not None:
                if not self._store(batch):
                    break
        finally:
            self.queue.end()
            self._disconnect()

    def _store(self, batch: Batch) -> bool:
        """Store a batch, however long it takes; return False if the queue was closed before that succeeded."""
        pause_s = _FIRST_PAUSE_S
        while error := self._try(batch):
            self._disconnect()
            if not self.queue.fail(f"{type(error).__name__}: {' '.join(str(error).split()).rstrip('.')}", pause_s):
                return False
            pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)
        return True

    def _try(self, batch: Batch) -> Exception | None:
        try:
            position = None
            if not self._is_there(batch):
                assert self.connection is not None  # noqa: S101 - `_is_there` opened it
                position = self.write(self.connection, batch)
        except Exception as error:
            if not isinstance(error, (*self.errors, ValueError, OverflowError)):
                self.queue.error = f"the writer ended: {type(error).__name__}: {error}"
                raise
            return error
        self.queue.settle(batch, position)
        return None

    def _is_there(self, batch: Batch) -> bool:
        """Return whether a batch is in the store already; opens the store if an error closed it."""
        if self.connection is not None:
            return False
        self.connection = self.open()
        return self.holds(self.connection, batch)

    def _disconnect(self) -> None:
        if self.connection is not None:
            self.drop(self.connection)
            self.connection = None

"""The log in memory keeps the contract of a log."""

from collections.abc import Iterator
from contextlib import contextmanager

from steersman.backends.memory import MemoryLog
from steersman.core.ports import Log
from steersman.testing.log_contract import LogContract


class TestMemoryLog(LogContract):
    def open(self, *, queue_rows: int = 100_000) -> Log:
        return MemoryLog(queue_rows=queue_rows)

    def reopen(self, log: Log) -> Log:
        return log  # nothing outlives it

    @contextmanager
    def stalled(self, log: Log) -> Iterator[None]:
        assert isinstance(log, MemoryLog)
        log.stall("the disk is full")
        yield
        log.resume()

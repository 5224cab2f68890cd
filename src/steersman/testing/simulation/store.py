"""A log whose disk is simulated: it is slow, full or gone, and a crash forgets what was not durable."""

from collections.abc import Callable, Sequence
from copy import copy
from typing import NamedTuple, Protocol, Self

from msgspec.structs import replace

from steersman.backends.memory.log import MemoryGrant, MemoryLog, MemoryReceipt
from steersman.core.errors import DeadlineExceeded, StoreError
from steersman.core.ports import Log, Row
from steersman.core.values import Control, Learned

_ON_ITS_WAY = "on its way to the disk"


class FaultyLog(Log, Protocol):
    """A log whose faults a simulation commands. An author's own needs these beside the port."""

    unreadable: bool
    """Whether kill switches cannot be read."""
    read_at: float
    """When kill switches were last read, by the timer."""

    def commit(self) -> None:
        """Make durable what was appended, unless the disk is full."""

    def fill(self, reason: str) -> None:
        """Let nothing become durable from now on; "" ends it."""

    def waiting_entries(self) -> int:
        """Return how many appends wait for the disk."""

    def crashed(self, torn: int) -> Self:
        """Return the log as the next process finds it: what was durable, and the first `torn` appends that waited.

        Those had reached the disk, but nobody was told. This log takes nothing any more.
        """


class Append(NamedTuple):
    """What one append wrote, rows and what was learned together, as a transaction does; or what else was asked for."""

    rows: tuple[Row, ...]
    learned: Learned | None = None
    tokens: tuple[str, int, int, int] | None = None
    cut: Learned | None = None


class SimulatedLog(MemoryLog):
    """`MemoryLog` behind a disk that commits when it is told to. Nothing waits: a wait lets a working disk commit."""

    def __init__(self, *, queue_rows: int = 100_000, timer: Callable[[], float] = lambda: 0.0) -> None:
        super().__init__(queue_rows=queue_rows)
        self._room = queue_rows
        self._timer = timer
        self._journal: list[Append] = []
        self._committed = 0
        self._full = ""
        self._over = False
        self.unreadable = False
        self.read_at = timer()
        self.stall(_ON_ITS_WAY)

    def append(self, rows: Sequence[Row], learned: Learned | None = None) -> MemoryReceipt:
        """Put rows at the end, durable with the next commit."""
        receipt = super().append(rows, learned)
        if rows or learned is not None:
            self._journal.append(Append(tuple(rows), _copy(learned)))
        return receipt

    def reserve_tokens(self, agent: str, period: int, count: int, budget: int) -> MemoryGrant:
        """Grant as many of a period's tokens as are left, durable with the next commit."""
        self._journal.append(Append((), tokens=(agent, period, count, budget)))
        return super().reserve_tokens(agent, period, count, budget)

    def cut(self, base: Learned) -> MemoryReceipt:
        """Put what was learned in the place of rows, durable with the next commit."""
        self._journal.append(Append((), cut=_copy(base)))
        return super().cut(base)

    def commit(self) -> None:
        """Make durable what was appended, unless the disk is full."""
        if not self._full:
            self.resume()
            self.stall(_ON_ITS_WAY)
            self._committed = len(self._journal)

    def fill(self, reason: str) -> None:
        """Let nothing become durable from now on; "" ends it."""
        self._full = reason

    def waiting_entries(self) -> int:
        """Return how many appends wait for the disk."""
        return len(self._journal) - self._committed

    def crashed(self, torn: int) -> Self:
        """Return the log as the next process finds it; this one takes nothing any more."""
        found = type(self)(queue_rows=self._room, timer=self._timer)
        for each in self.survivors(torn):
            found.take_in(each)
            found.commit()
        self._over = True
        super().stall("the process died")
        return found

    def take_in(self, one: Append) -> None:
        """Do again what one append did."""
        if one.tokens is not None:
            self.reserve_tokens(*one.tokens)
        elif one.cut is not None:
            self.cut(one.cut)
        else:
            self.append(one.rows, one.learned)

    def survivors(self, torn: int) -> Sequence[Append]:
        """Return the appends that a crash leaves: a prefix, with all that was durable in it."""
        return self._journal[: self._committed + torn]

    def health(self) -> str:
        """Return "" or why nothing becomes durable."""
        return self._full

    def controls(self) -> list[Control]:
        """Return the latest word for each scope. Raises StoreError while they cannot be read."""
        if self.unreadable:
            raise StoreError("the disk does not answer.")
        self.read_at = self._timer()
        return super().controls()

    def notify(self, ticket: int, callback: Callable[[], None]) -> None:
        """Have a callback called once everything up to a ticket is durable; who waits makes the log write."""
        self.commit()
        super().notify(ticket, callback)

    def wait_for(self, ticket: int, timeout_s: float | None) -> None:
        """Return once everything up to a ticket is durable; on a full disk, the time is over at once."""
        if self._over:
            raise StoreError("the process died.")
        self.commit()
        if self.durable < ticket and self.settled(ticket):
            raise StoreError(f"the rows were not stored: {self._full}.")
        if self.durable < ticket:
            raise DeadlineExceeded(f"not durable after {timeout_s} s: {self._full}.")

    def close(self) -> None:
        """End the log. Raises StoreError if rows wait for a full disk."""
        self.commit()
        super().close()


def _copy(learned: Learned | None) -> Learned | None:
    """Return what was learned in containers of its own, as a disk would hold it."""
    if learned is None:
        return None
    return replace(learned, **{name: copy(getattr(learned, name)) for name in learned.__struct_fields__})

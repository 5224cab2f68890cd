"""The order of slots in a buffer: who is oldest, who is new, whose time is over and who is there already."""

from collections.abc import Hashable, Iterator

import numpy as np
from numpy.typing import NDArray

from steersman.core.errors import InvalidInput

Ints = NDArray[np.int64]


class Ring:
    """Slots 0 to capacity − 1, filled in order and then over the oldest; entries leave in the order in which they came."""

    def __init__(self, capacity: int, *, retention_s: float | None, dedupe: bool) -> None:
        if retention_s is not None and not retention_s > 0.0:
            raise InvalidInput(f"replay: retention_s {retention_s!r} must be above 0; None keeps entries of any age.")
        self.capacity = capacity
        self.size = 0
        self.next = 0
        """The slot of the next entry."""
        self.fresh = 0
        """How many of the newest entries nobody has taken note of; set to 0 by who does."""
        self._retention_s = retention_s
        self._at = None if retention_s is None else np.zeros(capacity)
        self._slot_of: dict[Hashable, int] | None = {} if dedupe else None
        self._names: list[Hashable] = [None] * capacity if dedupe else []

    @property
    def nbytes(self) -> int:
        """Bytes of the times held."""
        return 0 if self._at is None else self._at.nbytes

    def advance(self, count: int = 1) -> None:
        """Count entries that were written from `next` on."""
        following = self.next + count
        self.next = following if following < self.capacity else following % self.capacity
        self.size = min(self.size + count, self.capacity)
        self.fresh = min(self.fresh + count, self.capacity)

    def note(self, slot: int, name: Hashable, at: float) -> None:
        """Keep time and id of the entry in a slot, in the place of those that were there."""
        if self._at is not None:
            self._at[slot] = at
        if self._slot_of is not None:
            self._release(slot)
            self._slot_of[name] = slot
            self._names[slot] = name

    def holds(self, name: Hashable) -> bool:
        """Return whether an id is there already. Raises InvalidInput for None where ids are kept."""
        if self._slot_of is None:
            return False
        if name is None:
            raise InvalidInput("replay: a buffer with dedupe=True needs the id of each entry.")
        return name in self._slot_of

    def expired(self, now: float) -> int:
        """Return how many of the oldest entries are past the retention; one behind a younger one waits for that."""
        if self._at is None or self._retention_s is None:
            return 0
        before, count = now - self._retention_s, 0
        while count < self.size and self._at[(self._first + count) % self.capacity] < before:
            count += 1
        return count

    def spoiled(self) -> int:
        """Return how many of the oldest entries a write to `next` that broke off has damaged: one where all is full."""
        return int(self.size == self.capacity)

    def forget(self, count: int) -> None:
        """Let the oldest entries leave."""
        if self._slot_of is not None:
            for start, stop, _ in self.oldest(count):
                for slot in range(start, stop):
                    self._release(slot)
        self.size -= count
        self.fresh = min(self.fresh, self.size)

    def slots(self, ranks: Ints) -> Ints:
        """Return the slots of entries by rank, 0 the oldest; shape (n,)."""
        return (self._first + ranks) % self.capacity

    def spans(self, count: int) -> Iterator[tuple[int, int, int]]:
        """Yield (start, stop, how many before) of the slots that the next entries will take."""
        return self._pieces(self.next, count)

    def newest(self) -> Iterator[tuple[int, int, int]]:
        """Yield the spans of the fresh entries."""
        return self._pieces((self.next - self.fresh) % self.capacity, self.fresh)

    def oldest(self, count: int) -> Iterator[tuple[int, int, int]]:
        """Yield the spans of the oldest entries."""
        return self._pieces(self._first, count)

    @property
    def _first(self) -> int:
        return (self.next - self.size) % self.capacity

    def _pieces(self, start: int, count: int) -> Iterator[tuple[int, int, int]]:
        head = min(count, self.capacity - start)
        if head:
            yield start, start + head, 0
        if count > head:
            yield 0, count - head, head

    def _release(self, slot: int) -> None:
        if self._slot_of is not None and self._slot_of.get(self._names[slot], -1) == slot:
            del self._slot_of[self._names[slot]]
            self._names[slot] = None

"""Blocks: a window that stays and one that moves on, in pieces, so that what is counted adds up and memory is bounded."""

from collections import deque
from typing import Generic, TypeVar

from steersman.core.errors import InvalidInput

Block = TypeVar("Block")
_PARTS = 10
"""Blocks of the current window: it moves on by a tenth, and they show how much counts vary anyway."""


class Blocks(Generic[Block]):
    """The first `reference` rows, and the last `current` of those that came after, in blocks of a tenth of the latter."""

    def __init__(self, *, reference: int, current: int) -> None:
        if not 10 * _PARTS <= current <= reference:
            raise InvalidInput(
                f"windows of {reference} and {current} rows: the current one needs {10 * _PARTS} or more, and the reference "
                "at least as many."
            )
        self.size, self.reference_size = current // _PARTS, reference
        self.looks = 0
        self.reference: list[Block] = []
        self.current: deque[Block] = deque(maxlen=_PARTS)
        self._reference_blocks = -(-reference // self.size)

    @property
    def full(self) -> bool:
        """Whether both windows are filled, so that they can be compared."""
        return len(self.current) == _PARTS

    def close(self, block: Block) -> bool:
        """Take a block that holds `size` rows; return whether there is now something new to compare."""
        if len(self.reference) < self._reference_blocks:
            self.reference.append(block)
            return False
        self.current.append(block)
        self.looks += self.full
        return self.full

    def rebase(self) -> None:
        """Make the current window the reference, and begin a new one; without a full window nothing changes."""
        if self.full:
            self._reference_blocks = _PARTS
            self.reference, self.looks = list(self.current), 0
            self.current.clear()

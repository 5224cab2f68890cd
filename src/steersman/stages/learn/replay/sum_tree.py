"""A sum tree: priorities in the leaves, sums above them, and a draw in proportion to priority without reading them all.

Each sum is over sixteen nodes of the level below; the top is not one node but up to 512, searched by a running sum. A
batch descends together, so a level costs a few array operations. Written sums are always recomputed from what lies below
them, so rounding never builds up.
"""

import numpy as np
from numpy.typing import NDArray

from steersman.core.errors import InvalidInput

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

FANOUT = 16
TOP = 512
BELOW = 1.0 - 2.0**-53
"""The largest number below 1: keeps a draw inside a block, whatever rounding did to the sums."""

_LINE = 64
_TOGETHER = 512  # draws that descend at once: a product of matrices of this size stays on one core
_PREFIX = np.tril(np.ones((FANOUT + 1, FANOUT)), k=-1)


class SumTree:
    """Priorities ≥ 0 of `capacity` leaves, all 0 at first. `set` and `find` cost O(log capacity) for each leaf."""

    def __init__(self, capacity: int) -> None:
        sizes = [_padded(capacity)]
        while sizes[-1] // FANOUT > TOP:
            sizes.append(_padded(sizes[-1] // FANOUT))
        top = sizes[-1] // FANOUT
        self.nodes: Floats = _aligned_zeros(sum(sizes) + top)
        self.offsets: Ints = np.cumsum([0, *sizes])
        """Where each level begins in `nodes`, leaves first, the top last."""
        self.leaves = self.nodes[: sizes[0]]
        self._levels = [
            self.nodes[start : start + size].reshape(-1, FANOUT)
            for start, size in zip(self.offsets.tolist(), sizes, strict=False)
        ]
        self._top = self.nodes[self.offsets[-1] :]
        self._sums = [*(level.reshape(-1) for level in self._levels[1:]), self._top]
        self._running: Floats = np.zeros(top + 1)

    @property
    def total(self) -> float:
        """The sum of all priorities."""
        return float(np.cumsum(self._top)[-1])

    @property
    def nbytes(self) -> int:
        """Bytes held."""
        return int(self.nodes.nbytes + self._running.nbytes)

    def set(self, indices: Ints, priorities: Floats) -> None:
        """Set the priorities of leaves; arrays of shape (n,). Of an index that is named twice the last counts."""
        self.leaves[indices] = priorities
        blocks = indices
        for level, sums in zip(self._levels, self._sums, strict=True):
            blocks = blocks // FANOUT
            sums[blocks] = _sums(level.take(blocks, axis=0))

    def fill(self, start: int, stop: int, priority: float) -> None:
        """Set the leaves from `start` to before `stop` to one priority."""
        self.leaves[start:stop] = priority
        for level, sums in zip(self._levels, self._sums, strict=True):
            start, stop = start // FANOUT, -(-stop // FANOUT)
            sums[start:stop] = _sums(level[start:stop])

    def find(self, uniforms: Floats) -> Ints:
        """Return the leaf below which each share of the total ends, shape (n,): i with Σ_{j<i} p_j ≤ u·Σ p < Σ_{j≤i} p_j.

        Uniforms in [0, 1) draw leaves in proportion to priority; a leaf of priority 0 is never returned. Raises
        InvalidInput where all priorities are 0.
        """
        if len(uniforms) > _TOGETHER:
            parts = range(0, len(uniforms), _TOGETHER)
            return np.concatenate([self.find(uniforms[start : start + _TOGETHER]) for start in parts])
        running = self._running
        np.cumsum(self._top, out=running[1:])
        if not running[-1] > 0.0:
            raise InvalidInput("nothing can be drawn: every priority is 0. Add entries first.")
        rest = uniforms * (running[-1] * BELOW)
        blocks: Ints = running[1:].searchsorted(rest, side="right")
        rest -= running.take(blocks)
        batch = np.arange(len(uniforms))
        for level in reversed(self._levels):
            below = np.dot(_PREFIX, level.take(blocks, axis=0).T)  # what lies left of each node, shape (17, n)
            np.minimum(rest, below[-1] * BELOW, out=rest)
            column = np.add.reduce((below[1:] <= rest).view(np.int8), axis=0, dtype=np.int8)
            rest -= below[column, batch]
            blocks = blocks * FANOUT + column
        return blocks


def _aligned_zeros(count: int) -> Floats:
    """Return zeros that begin on a cache line, so that a block of sixteen lies on two lines and not on three."""
    spare = np.zeros(count + _LINE // 8)
    skipped = -spare.ctypes.data % _LINE // 8
    return spare[skipped : skipped + count]


def _padded(count: int) -> int:
    """Return the next multiple of the fan-out."""
    return -(-count // FANOUT) * FANOUT


def _sums(blocks: Floats) -> Floats:
    """Return the sum of each row, added from left to right: the order is the same in each path, and so are the bits."""
    return np.add.reduce(blocks.T.copy(), axis=0)  # type: ignore[no-any-return]

"""The sum tree compiled by numba (extra `fast`): the same leaves for the same numbers, several times as fast."""

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

from steersman.core.errors import InvalidInput
from steersman.stages.learn.replay.sum_tree import BELOW, FANOUT, Floats, Ints, SumTree


class CompiledSumTree(SumTree):
    """A sum tree whose `set` and `find` run compiled. Raises InvalidInput where numba is not installed."""

    def __init__(self, capacity: int) -> None:
        functions = compiled()
        if functions is None:
            raise InvalidInput("compiled replay needs numba. Install steersman[fast], or leave out compiled=True.")
        super().__init__(capacity)
        self._set, self._find = functions

    def set(self, indices: Ints, priorities: Floats) -> None:
        """Set the priorities of leaves; arrays of shape (n,). Of an index that is named twice the last counts."""
        if len(indices) and not 0 <= indices.min() <= indices.max() < len(self.leaves):
            raise IndexError(f"leaves {indices.min()} to {indices.max()} of a tree of {len(self.leaves)}")
        self._set(self.nodes, self.offsets, indices, priorities)

    def find(self, uniforms: Floats) -> Ints:
        """Return the leaf below which each share of the total ends, shape (n,), as the uncompiled tree does."""
        found, rests = np.empty(len(uniforms), dtype=np.int64), np.empty(len(uniforms))
        if not self._find(self.nodes, self.offsets, uniforms, self._running, found, rests):
            raise InvalidInput("nothing can be drawn: every priority is 0. Add entries first.")
        return found


@cache
def compiled() -> tuple[Callable[..., None], Callable[..., bool]] | None:
    """Return `set` and `find` compiled by numba, or None where numba is not installed."""
    try:
        import numba
    except ImportError:
        return None
    jit: Callable[..., Callable[..., Any]] = numba.njit
    return jit(_set), jit(_find_with(jit(_scan, inline="always")))


def _set(nodes: Floats, offsets: Ints, indices: Ints, priorities: Floats) -> None:
    for i in range(len(indices)):
        nodes[indices[i]] = priorities[i]
    width = 1
    for level in range(len(offsets) - 1):
        width *= FANOUT
        last = -1
        for i in range(len(indices)):
            block = indices[i] // width
            if block == last:
                continue
            last = block
            first = offsets[level] + block * FANOUT
            total = nodes[first]
            for node in range(first + 1, first + FANOUT):
                total += nodes[node]
            nodes[offsets[level + 1] + block] = total


def _scan(nodes: Floats, first: int, rest: float) -> tuple[int, float, float]:
    """Return the first node of a block whose running sum passes `rest`, the sum before it and the block's.

    All sixteen are looked at, without a branch: the processor works on several draws at once that way.
    """
    column, before, inside = 0, 0.0, 0.0
    for node in range(first, first + FANOUT):
        inside += nodes[node]
        under = inside <= rest
        column += under
        before = inside if under else before
    return column, before, inside


def _find_with(scan: Callable[[Floats, int, float], tuple[int, float, float]]) -> Callable[..., bool]:
    def find(nodes: Floats, offsets: Ints, uniforms: Floats, running: Floats, found: Ints, rests: Floats) -> bool:
        top = offsets[-1]
        total = 0.0
        for i in range(len(nodes) - top):
            total += nodes[top + i]
            running[i + 1] = total
        if not total > 0.0:
            return False
        for i in range(len(uniforms)):
            rest = uniforms[i] * (total * BELOW)
            low, size = 0, len(running) - 1
            while size > 1:  # halving without a branch, for the same reason
                half = size >> 1
                low = low + half if running[low + half] <= rest else low
                size -= half
            found[i], rests[i] = low, rest - running[low]
        for level in range(len(offsets) - 2, -1, -1):
            touched = 0.0
            for i in range(len(uniforms)):  # fetches all blocks into the cache at once; waiting for each takes twice as long
                first = offsets[level] + found[i] * FANOUT
                touched += nodes[first] + nodes[first + FANOUT // 2]
            running[0] = 0.0 * touched  # stays 0; a sum that nobody used would not be computed
            for i in range(len(uniforms)):
                first = offsets[level] + found[i] * FANOUT
                column, before, inside = scan(nodes, first, rests[i])
                if column == FANOUT:
                    rests[i] = inside * BELOW
                    column, before, inside = scan(nodes, first, rests[i])
                found[i], rests[i] = found[i] * FANOUT + column, rests[i] - before
        return True

    return find

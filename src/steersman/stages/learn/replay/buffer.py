"""A replay buffer over plain arrays: a ring of entries, drawn evenly or in proportion to their TD error.

Prioritised replay after Schaul et al. (2016), "Prioritized experience replay": p = (|δ| + 1e-6)^α, draws stratified over
the total (section B.2.1), importance weights (N·P(i))^−β over the largest of the batch.
"""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from steersman.core.errors import InvalidInput
from steersman.stages.learn.replay.compiled import CompiledSumTree
from steersman.stages.learn.replay.ring import Ring
from steersman.stages.learn.replay.sum_tree import Floats, Ints, SumTree

Fields = Mapping[str, tuple[tuple[int, ...], DTypeLike]]


@dataclass(frozen=True, kw_only=True)
class Priorities:
    """How draws follow TD errors: p = (|δ| + margin)^alpha; beta, the correction for it, rises to 1 by a step a draw."""

    alpha: float = 0.6
    beta: float = 0.4
    beta_step: float = 0.001
    margin: float = 1e-6

    def __post_init__(self) -> None:
        if not (self.alpha >= 0.0 and 0.0 <= self.beta <= 1.0 and self.beta_step >= 0.0 and self.margin > 0.0):
            raise InvalidInput(f"{self}: need alpha ≥ 0, beta in [0, 1], beta_step ≥ 0 and margin > 0.")


@dataclass(frozen=True, kw_only=True, slots=True)
class Batch:
    """What was drawn: slots and importance weights, both of shape (n,), and each field, shape (n, *shape)."""

    indices: Ints
    weights: Floats
    values: dict[str, NDArray[Any]]


class ReplayBuffer:
    """Up to `capacity` entries of the given fields ({name: (shape, dtype)}); the oldest make room for new ones.

    All memory is taken at once: the fields, and for priorities 8.6 bytes an entry. `priorities=None` draws evenly.
    With `retention_s`, entries need their time and leave once they are older (8 bytes each); with `dedupe`, they need an
    id, and an id that is held is not taken again (a dictionary, about 100 bytes each). `compiled` runs the tree through
    numba and draws the same entries. `rng` is needed for `sample` alone. Not for use by several threads at once.
    """

    def __init__(
        self,
        capacity: int,
        fields: Fields,
        *,
        rng: np.random.Generator | None = None,
        priorities: Priorities | None = None,
        retention_s: float | None = None,
        dedupe: bool = False,
        compiled: bool = False,
    ) -> None:
        if capacity < 1:
            raise InvalidInput(f"replay: capacity {capacity!r} must be at least 1.")
        self.capacity = capacity
        self.fields = {name: np.zeros((capacity, *shape), dtype=dtype) for name, (shape, dtype) in fields.items()}
        self._columns = tuple(self.fields.items())
        self._ring = Ring(capacity, retention_s=retention_s, dedupe=dedupe)
        self._free = retention_s is None and not dedupe
        self._rng = rng
        self._priorities = priorities
        self._tree = None if priorities is None else (CompiledSumTree if compiled else SumTree)(capacity)
        self._highest = 1.0
        self.beta = 1.0 if priorities is None else priorities.beta
        """The exponent of the next batch's importance weights."""

    def __len__(self) -> int:
        return self._ring.size

    @property
    def nbytes(self) -> int:
        """Bytes of the arrays held; ids apart."""
        tree = 0 if self._tree is None else self._tree.nbytes
        return sum(each.nbytes for each in self.fields.values()) + self._ring.nbytes + tree

    def add(self, values: Mapping[str, Any], *, name: Hashable = None, at: float = 0.0) -> bool:
        """Add one entry at the highest priority seen and return True; False for an id (`name`) that is held already.

        `at` is the entry's time (unix seconds). Raises InvalidInput for a missing field or one of another shape.
        """
        ring = self._ring
        if not self._free and not self._admit(name, at):
            return False
        slot = ring.next
        try:
            for field, column in self._columns:
                column[slot] = values[field]
        except (KeyError, ValueError, TypeError) as error:
            self._drop(ring.spoiled())
            raise InvalidInput(f"replay: an entry needs {self._shapes()}; {type(error).__name__}: {error}.") from error
        ring.advance()
        if not self._free:
            ring.note(slot, name, at)
        return True

    def extend(
        self, columns: Mapping[str, ArrayLike], *, names: Sequence[Hashable] | None = None, at: ArrayLike = 0.0
    ) -> int:
        """Add entries by field, each of shape (n, *shape), oldest first, and return how many were taken.

        `names` and `at` have shape (n,). Raises InvalidInput where fields are missing or do not fit together.
        """
        arrays = self._fitting(columns)
        count = len(next(iter(arrays.values()))) if arrays else 0
        if not self._free:
            times = np.broadcast_to(np.asarray(at, dtype=np.float64), (count,)).tolist()
            given = names if names is not None else [None] * count
            return sum(
                self.add({field: column[i] for field, column in arrays.items()}, name=given[i], at=times[i])
                for i in range(count)
            )
        kept = min(count, self.capacity)
        for start, stop, first in self._ring.spans(kept):
            for field, column in self._columns:
                column[start:stop] = arrays[field][count - kept + first : count - kept + first + stop - start]
        self._ring.advance(kept)
        return count

    def sample(self, count: int) -> Batch:
        """Draw `count` entries, with replacement, and raise β by its step.

        Raises InvalidInput for an empty buffer, or one without a generator.
        """
        if self._rng is None:
            raise InvalidInput("replay: this buffer has no generator. Give one as rng=, or call draw(uniforms).")
        return self.draw(self._rng.random(count))

    def draw(self, uniforms: Floats) -> Batch:
        """Draw as `sample` does, by uniforms in [0, 1) that the caller brings, shape (n,)."""
        shares = uniforms
        if self._tree is not None:  # the i-th uniform draws inside the i-th of n equal parts of the total
            shares = uniforms + np.arange(len(uniforms))
            shares /= len(uniforms)
        indices = self.pick(shares)
        weights = self.weights(indices)
        if self._priorities is not None:
            self.beta = min(1.0, self.beta + self._priorities.beta_step)
        values = {field: column.take(indices, axis=0) for field, column in self._columns}
        return Batch(indices=indices, weights=weights, values=values)

    def pick(self, shares: Floats) -> Ints:
        """Return the slots that shares in [0, 1) of all priority (or of all entries) fall on, shape (n,)."""
        if not self._ring.size:
            raise InvalidInput("replay: the buffer is empty. Add entries before drawing.")
        if self._tree is None:
            return self._ring.slots((shares * self._ring.size).astype(np.int64))
        self._settle(self._tree)
        return self._tree.find(shares)

    def weights(self, indices: Ints) -> Floats:
        """Return importance weights (N·P(i))^−β over the batch's largest, shape (n,); 1 where draws are even.

        N and the sum of priorities cancel out: w = (p / min p)^−β.
        """
        if self._tree is None:
            return np.ones(len(indices))
        priorities = self._tree.leaves.take(indices)
        priorities /= priorities.min()
        return priorities**-self.beta

    def update(self, indices: Ints, td_errors: ArrayLike) -> None:
        """Set priorities from TD errors, both of shape (n,); entries that have left the buffer stay out.

        Does nothing where draws are even. Raises InvalidInput for errors that are not finite.
        """
        if self._tree is None or self._priorities is None or not len(indices):
            return
        self._settle(self._tree)
        priorities = np.abs(np.asarray(td_errors, dtype=np.float64))
        priorities += self._priorities.margin
        priorities **= self._priorities.alpha
        highest = float(priorities.max())
        if not highest < np.inf:
            raise InvalidInput("replay: a TD error is NaN or infinite; nothing was changed.")
        priorities *= self._tree.leaves.take(indices) > 0.0
        self._highest = max(self._highest, highest)
        self._tree.set(indices, priorities)

    def expire(self, now: float) -> int:
        """Let entries leave that are older than the retention at a time (unix seconds); return how many."""
        return self._drop(self._ring.expired(now))

    def _admit(self, name: Hashable, at: float) -> bool:
        self.expire(at)
        return not self._ring.holds(name)

    def _settle(self, tree: SumTree) -> None:
        """Give entries that are new to the tree the highest priority seen; adding alone then costs nothing there."""
        if self._ring.fresh:
            for start, stop, _ in self._ring.newest():
                tree.fill(start, stop, self._highest)
            self._ring.fresh = 0

    def _drop(self, count: int) -> int:
        """Let the oldest entries leave."""
        if count and self._tree is not None:
            self._settle(self._tree)
            for start, stop, _ in self._ring.oldest(count):
                self._tree.fill(start, stop, 0.0)
        self._ring.forget(count)
        return count

    def _fitting(self, columns: Mapping[str, ArrayLike]) -> dict[str, NDArray[Any]]:
        try:
            arrays = {field: np.asarray(columns[field], dtype=column.dtype) for field, column in self._columns}
        except (KeyError, ValueError, TypeError) as error:
            raise InvalidInput(f"replay: entries need {self._shapes()}; {type(error).__name__}: {error}.") from error
        counts = {each.shape[:1] for each in arrays.values()}
        if len(counts) > 1 or any(arrays[field].shape[1:] != column.shape[1:] for field, column in self._columns):
            found = ", ".join(f"{field} {each.shape}" for field, each in arrays.items())
            raise InvalidInput(f"replay: entries need {self._shapes()} with one count for all, got {found}.")
        return arrays

    def _shapes(self) -> str:
        return ", ".join(f"{field} {column.shape[1:]}" for field, column in self._columns)

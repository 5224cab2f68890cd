"""The working table: what an agent has learned, one row for each state and one column for each slot."""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from steersman.core.actions import ActionSpace
from steersman.core.state import StateValues
from steersman.core.values import Entry
from steersman.maths.statistics import Moments, merge

Floats = NDArray[np.float64]
_FIRST_ROWS = 64


class QTable:
    """Values and statistics, arrays of shape (rows, estimators · width), where `width` counts the slots of the space.

    A state has a row once it has been learned about; deciding never adds one. Whoever learns bounds their number: see
    `prunable` and `forget`.
    """

    def __init__(
        self,
        space: ActionSpace,
        *,
        initial_value: float = 0.0,
        estimators: int = 1,
        bounds: tuple[float, float] = (-np.inf, np.inf),
    ) -> None:
        self.space = space
        self.width = space.width
        self.estimators = estimators
        self.factored = len(space.dimensions) > 1
        self.initial_value = initial_value / len(space.dimensions)
        self.bounds = bounds
        self.rows: dict[str, int] = {}
        self.bins: dict[str, dict[str, int]] = {}
        self._free: list[int] = []
        self._seen: dict[int, int] = {}
        self._keys: dict[int, str] = {}
        self._allocate(_FIRST_ROWS)

    def _allocate(self, rows: int) -> None:
        shape = (rows, self.estimators * self.width)
        self.value: Floats = np.full(shape, self.initial_value)
        self.visits = np.zeros(shape, dtype=np.int64)
        self.td_variance: Floats = np.zeros(shape)
        self.reward_mean: Floats = np.zeros(shape)
        self.reward_m2: Floats = np.zeros(shape)
        self.updated_at: Floats = np.zeros(shape)

    def __len__(self) -> int:
        return len(self.rows)

    def place(self, key: str, state: StateValues) -> int | None:
        """Return the row of a state by its key; None where it has none."""
        return self.rows.get(key)

    def intern(self, key: str, bins: dict[str, int]) -> int:
        """Return the row of a state, new if need be. Growth doubles the arrays."""
        row = self.rows.get(key)
        if row is None:
            row = self._free.pop() if self._free else len(self.rows)
            if row >= len(self.value):
                self._grow()
            self.rows[key] = row
            self._keys[row] = key
            self.bins[key] = bins
        return row

    def _grow(self) -> None:
        for name in ("value", "visits", "td_variance", "reward_mean", "reward_m2", "updated_at"):
            old = getattr(self, name)
            fill = self.initial_value if name == "value" else 0
            setattr(self, name, np.concatenate([old, np.full_like(old, fill)]))

    def forget(self, key: str) -> None:
        """Free a state's row."""
        row = self.rows.pop(key)
        del self.bins[key], self._keys[row]
        for array in (self.visits, self.td_variance, self.reward_mean, self.reward_m2, self.updated_at):
            array[row] = 0
        self.value[row] = self.initial_value
        self._seen.pop(row, None)
        self._free.append(row)

    def prunable(self, *, visits: int, before: float) -> list[str]:
        """Return the keys of states with fewer than `visits` visits, last updated before a time (unix seconds)."""
        seldom = self.visits.sum(axis=1) < visits * len(self.space.dimensions)
        old = self.updated_at.max(axis=1) < before
        return [self._keys[row] for row in (seldom & old).nonzero()[0].tolist() if row in self._keys]

    def state_visits(self, row: int) -> int:
        """Return how often a state was learned about."""
        return int(self.visits[row].sum()) // len(self.space.dimensions)

    def visited(self, row: int, times: int) -> bool:
        """Return whether a state was learned about at least so often; visits only rise, so the last count is kept."""
        if self._seen.get(row, 0) < times:
            self._seen[row] = self.state_visits(row)
        return self._seen.get(row, 0) >= times

    def slot_values(self, row: int | None) -> Floats:
        """Return the value of each slot, shape (width,): the mean of the estimators; initial values for no row."""
        if row is None:
            return np.full(self.width, self.initial_value)
        return self.combined(self.value[row])

    def combined(self, values: Floats) -> Floats:
        """Return the mean over estimators of one row, shape (width,)."""
        if self.estimators == 1:
            return values
        mean: Floats = values.reshape(self.estimators, self.width).mean(axis=0)
        return mean

    def action_values(self, slot_values: Floats) -> Floats:
        """Return the value of each action, shape (actions,): the sum over its slots, inside the bounds."""
        if not self.factored:
            return slot_values
        return np.clip(slot_values[self.space.slots].sum(axis=1), *self.bounds)  # type: ignore[no-any-return]

    def action_visits(self, row: int | None) -> NDArray[np.int64]:
        """Return the visits of each action's least visited slot, shape (actions,)."""
        if row is None:
            return np.zeros(len(self.space), dtype=np.int64)
        visits = self.visits[row].reshape(self.estimators, self.width).sum(axis=0)
        return visits[self.space.slots].min(axis=1)  # type: ignore[no-any-return]

    def action_variances(self, row: int | None, prior: float) -> Floats:
        """Return the variance of each action's value estimate, shape (actions,).

        Per slot: (prior + n·v)/(n + 1)², with n visits and v the variance of the TD target, which is `prior` before any
        visit and falls as v/n after many; an action's is the sum over its slots.
        """
        if row is None:
            return np.full(len(self.space), prior * len(self.space.dimensions))
        visits = self.visits[row].reshape(self.estimators, self.width).sum(axis=0)
        spread = self.combined(self.td_variance[row])
        per_slot = (prior + visits * spread) / (visits + 1.0) ** 2
        return per_slot[self.space.slots].sum(axis=1)  # type: ignore[no-any-return]

    def evidence(self, row: int, slot: int) -> tuple[int, float]:
        """Return the visits of a slot and the variance of its TD target, over all estimators together."""
        if self.estimators == 1:
            return int(self.visits[row, slot]), float(self.td_variance[row, slot])
        entry = self.entry(row, slot)
        return entry.visits, entry.td_variance

    def entry(self, row: int, slot: int) -> Entry:
        """Return the learned numbers of one slot of the space, 0 ≤ slot < width, over all estimators together."""
        first = self.column(row, slot)
        if self.estimators == 1:
            return first
        parts = [first, *(self.column(row, slot + each * self.width) for each in range(1, self.estimators))]
        moments: Moments = (0, 0.0, 0.0)
        for each in parts:
            moments = merge(moments, (each.visits, each.reward_mean, each.reward_m2))
        return Entry(
            sum(each.value for each in parts) / len(parts),
            moments[0],
            sum(each.td_variance for each in parts) / len(parts),
            moments[1],
            moments[2],
            max(each.updated_at for each in parts),
        )

    def column(self, row: int, slot: int) -> Entry:
        """Return the learned numbers of one column, as they are stored."""
        return Entry(
            float(self.value[row, slot]),
            int(self.visits[row, slot]),
            float(self.td_variance[row, slot]),
            float(self.reward_mean[row, slot]),
            float(self.reward_m2[row, slot]),
            float(self.updated_at[row, slot]),
        )

    def put(self, states: dict[str, dict[str, int]], value: Floats, visits: NDArray[np.int64], td_variance: Floats) -> None:
        """Put whole rows in, in the order of `states`; arrays of shape (states, estimators · width)."""
        rows = [self.intern(key, bins) for key, bins in states.items()]
        self.value[rows] = value
        self.visits[rows] = visits
        self.td_variance[rows] = td_variance

    def restore(self, states: dict[str, dict[str, int]], entries: Iterable[tuple[str, int, Entry]]) -> None:
        """Put stored entries back."""
        for key, bins in states.items():
            self.intern(key, bins)
        for key, slot, entry in entries:
            row = self.rows[key]
            self.value[row, slot] = entry.value
            self.visits[row, slot] = entry.visits
            self.td_variance[row, slot] = entry.td_variance
            self.reward_mean[row, slot] = entry.reward_mean
            self.reward_m2[row, slot] = entry.reward_m2
            self.updated_at[row, slot] = entry.updated_at

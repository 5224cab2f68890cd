"""A network at work: it values a state by its numbers, where a table looks its key up."""

import numpy as np
from numpy.typing import NDArray

from steersman.core.actions import ActionSpace
from steersman.core.state import StateSchema, StateValues
from steersman.policies.deep.artefact import FrozenNetwork
from steersman.policies.deep.forward import slot_values
from steersman.policies.encoding import Encoder

Floats = NDArray[np.float64]


class QNetwork:
    """Values of slots by a network, as `policies.values.Values` asks for them. A place is the bytes of a state's vector.

    It counts outcomes by slot alone: how often a state was seen, it does not know. A state outside of what it has seen in
    any feature has no place.
    """

    def __init__(self, frozen: FrozenNetwork, schema: StateSchema, space: ActionSpace) -> None:
        self.space = space
        self._frozen = frozen
        self._vector = Encoder(schema).vector
        self._last: tuple[bytes, Floats] = (b"", np.zeros(space.width))

    def place(self, key: str, state: StateValues) -> bytes | None:
        """Return the vector of a checked state; None where it lies outside of what was seen."""
        vector = self._vector(state)
        inside = bool(((vector >= self._frozen.seen_low) & (vector <= self._frozen.seen_high)).all())
        return vector.tobytes() if inside else None

    def slot_values(self, row: bytes | None) -> Floats:
        """Return the value of each slot, shape (width,); 0 for no place."""
        if row is None:
            return np.zeros(self.space.width)
        if self._last[0] != row:
            states = np.frombuffer(row, dtype=np.float32)[None]
            self._last = row, slot_values(self._frozen.net, self._frozen.weights, states)[0].astype(np.float64)
        return self._last[1]

    def action_values(self, slot_values: Floats) -> Floats:
        """Return the value of each action, shape (actions,): the sum over its slots, inside the bounds."""
        return np.clip(slot_values[self.space.slots].sum(axis=1), *self._frozen.bounds)  # type: ignore[no-any-return]

    def state_visits(self, row: bytes) -> int:
        """Return how many outcomes were learned from, wherever."""
        return int(self._frozen.visits.sum()) // len(self.space.dimensions)

    def visited(self, row: bytes, times: int) -> bool:
        """Return whether at least so many outcomes were learned from, wherever."""
        return self.state_visits(row) >= times

    def action_visits(self, row: bytes | None) -> NDArray[np.int64]:
        """Return how many outcomes were learned from of each action's rarest slot, shape (actions,)."""
        return self._frozen.visits[self.space.slots].min(axis=1)  # type: ignore[no-any-return]

    def action_variances(self, row: bytes | None, prior: float) -> Floats:
        """Return the variance of each action's value, shape (actions,), as a table does: (prior + n·v)/(n + 1)² a slot."""
        visits, spread = self._frozen.visits, self._frozen.td_variance
        return ((prior + visits * spread) / (visits + 1.0) ** 2)[self.space.slots].sum(axis=1)  # type: ignore[no-any-return]

    def evidence(self, row: bytes, slot: int) -> tuple[int, float]:
        """Return how many outcomes of a slot were learned from, and the variance of its error on held-out ones."""
        return int(self._frozen.visits[slot]), float(self._frozen.td_variance[slot])

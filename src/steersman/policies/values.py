"""Values: what choosing asks of anything that was learned, a table or a network."""

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from steersman.core.actions import ActionSpace
from steersman.core.state import StateValues

Floats = NDArray[np.float64]
Place = Any
"""Where something learned knows a state: the row of a table, the vector of a network. It can be hashed; None: nowhere."""


class Values(Protocol):
    """What is known of each slot of an action space, in one state at a time."""

    space: ActionSpace

    def place(self, key: str, state: StateValues) -> Place | None:
        """Return where a checked state is known, by its key or by its values; None where nothing is known of it."""
        ...

    def slot_values(self, row: Place | None) -> Floats:
        """Return the value of each slot, shape (width,)."""
        ...

    def action_values(self, slot_values: Floats) -> Floats:
        """Return the value of each action, shape (actions,): the sum over its slots, inside the bounds."""
        ...

    def state_visits(self, row: Place) -> int:
        """Return how many outcomes were learned from there."""
        ...

    def visited(self, row: Place, times: int) -> bool:
        """Return whether at least so many outcomes were learned from there."""
        ...

    def action_visits(self, row: Place | None) -> NDArray[np.int64]:
        """Return how many outcomes were learned from of each action's rarest slot, shape (actions,)."""
        ...

    def action_variances(self, row: Place | None, prior: float) -> Floats:
        """Return the variance of each action's value, shape (actions,)."""
        ...

    def evidence(self, row: Place, slot: int) -> tuple[int, float]:
        """Return how many outcomes of a slot were learned from, and the variance of its target."""
        ...

"""Actions: one choice for each dimension. A flat list is a space of one dimension."""

import itertools
from collections.abc import Iterable, Mapping
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from steersman.core.errors import InvalidInput, nearest

Choice = str | int | float
Action = Mapping[str, Choice]


class ActionSpace:
    """All combinations of the choices of each dimension, in a fixed order.

    An action is known by its index (0 ≤ index < `len(space)`) or by its choices (`{"workers": 2, "order": "file"}`).
    Each choice of each dimension has a *slot* (0 ≤ slot < `width`): a table that holds one value for each slot values
    an action as the sum over its slots, so that a choice seen in one combination teaches about all of them.
    """

    def __init__(self, dimensions: Mapping[str, tuple[Choice, ...]]) -> None:
        if not dimensions or any(not choices for choices in dimensions.values()):
            raise InvalidInput("an action space needs at least one dimension, each with at least one choice.")
        for name, choices in dimensions.items():
            if len(set(choices)) != len(choices):
                raise InvalidInput(f"dimension {name!r}: choices repeat: {choices}.")
        self.dimensions: dict[str, tuple[Choice, ...]] = {k: tuple(v) for k, v in dimensions.items()}
        names = tuple(self.dimensions)
        self.actions: tuple[dict[str, Choice], ...] = tuple(
            dict(zip(names, combination, strict=True)) for combination in itertools.product(*self.dimensions.values())
        )
        self._index = {tuple(action.values()): index for index, action in enumerate(self.actions)}
        self._masks: dict[tuple[tuple[str, Choice], ...], NDArray[np.bool_]] = {}

    @classmethod
    def flat(cls, *choices: Choice) -> "ActionSpace":
        """Return a space of one dimension, called "action"."""
        return cls({"action": choices})

    def __len__(self) -> int:
        return len(self.actions)

    @cached_property
    def width(self) -> int:
        """How many slots there are: the sum of the dimensions' sizes."""
        return sum(len(choices) for choices in self.dimensions.values())

    @cached_property
    def slots(self) -> NDArray[np.intp]:
        """The slots of each action, shape (actions, dimensions)."""
        offsets = np.cumsum([0, *(len(c) for c in self.dimensions.values())])[:-1]
        return np.array(
            [
                [
                    offset + choices.index(action[name])
                    for offset, (name, choices) in zip(offsets, self.dimensions.items(), strict=True)
                ]
                for action in self.actions
            ],
            dtype=np.intp,
        )

    @cached_property
    def slot_names(self) -> tuple[tuple[str, Choice], ...]:
        """The dimension and the choice of each slot."""
        return tuple((name, choice) for name, choices in self.dimensions.items() for choice in choices)

    def action(self, value: Action | Choice) -> dict[str, Choice]:
        """Return an action of the space, from its choices or, in a flat space, from the choice alone.

        Raises InvalidInput for an unknown dimension or choice, naming the nearest, and for a missing dimension.
        """
        return self.actions[self.index(value)]

    def index(self, value: Action | Choice) -> int:
        """Return the index of an action. Raises InvalidInput as `action` does."""
        if not isinstance(value, dict):
            known = self._index.get((value,)) if isinstance(value, str | int | float) else None
            if known is not None:
                return known
        choices = value if isinstance(value, Mapping) else {next(iter(self.dimensions)): value}
        if len(choices) == len(self.dimensions):
            found = self._index.get(tuple(choices.get(name, "") for name in self.dimensions))
            if found is not None:
                return found
        self._check(choices)
        missing = [name for name in self.dimensions if name not in choices]
        raise InvalidInput(f"action {dict(choices)!r}: no choice for {', '.join(missing)}.")

    def mask(self, where: Action) -> NDArray[np.bool_]:
        """Return which actions match all choices in `where`, shape (actions,); all of them for an empty `where`.

        Raises InvalidInput for an unknown dimension or choice.
        """
        key = tuple(where.items())
        found = self._masks.get(key)
        if found is None:
            self._check(where)
            found = np.array([all(action[k] == v for k, v in key) for action in self.actions])
            found.flags.writeable = False
            self._masks[key] = found  # bounded: only choices that exist come this far
        return found

    def allowed(self, refused: Iterable[Action]) -> NDArray[np.bool_]:
        """Return which actions match none of the refused choices, shape (actions,). Raises InvalidInput as `mask`."""
        found = np.ones(len(self), dtype=np.bool_)
        for where in refused:
            found &= ~self.mask(where)
        return found

    def _check(self, choices: Action) -> None:
        for name, choice in choices.items():
            if name not in self.dimensions:
                raise InvalidInput(f"unknown action dimension {name!r}.{nearest(str(name), self.dimensions)}")
            if choice not in self.dimensions[name]:
                known = [str(each) for each in self.dimensions[name]]
                raise InvalidInput(f"{name}: {choice!r} is not a choice.{nearest(str(choice), known)}")

"""Dataset: the transitions of a log as arrays, for whatever learns offline."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from steersman.core.actions import Choice
from steersman.core.errors import InvalidInput

Floats = NDArray[np.float32]


@dataclass(frozen=True, kw_only=True, eq=False)
class Dataset:
    """n transitions of one agent, ordered by episode and step.

    features: names of the numbers of an observation. dimensions: choices of each dimension of the actions; an action's index
    counts them through, the last dimension fastest. observations, next_observations: (n, features) float32; the next one is
    0 where nothing followed. actions: (n,). rewards: (n,) float64. terminated, truncated: (n,) bool. propensities: (n,)
    float64, with which the executed action was drawn; NaN where it was not drawn. episodes, versions: (n,) text.
    steps: (n,). Raises InvalidInput where shapes do not fit together.
    """

    agent: str
    schema: str
    features: tuple[str, ...]
    dimensions: Mapping[str, tuple[Choice, ...]]
    observations: Floats
    actions: NDArray[np.int32]
    rewards: NDArray[np.float64]
    terminated: NDArray[np.bool_]
    truncated: NDArray[np.bool_]
    next_observations: Floats
    propensities: NDArray[np.float64]
    episodes: tuple[str, ...]
    steps: NDArray[np.int32]
    versions: tuple[str, ...]

    def __post_init__(self) -> None:
        count, wide = len(self.actions), (len(self.actions), len(self.features))
        for name in ("observations", "next_observations"):
            if getattr(self, name).shape != wide:
                raise InvalidInput(f"dataset: {name} of shape {getattr(self, name).shape}, not {wide}.")
        for name in ("rewards", "terminated", "truncated", "propensities", "episodes", "steps", "versions"):
            if len(getattr(self, name)) != count:
                raise InvalidInput(f"dataset: {len(getattr(self, name))} {name} for {count} actions.")
        space = int(np.prod([len(each) for each in self.dimensions.values()]))
        if count and (self.actions.min() < 0 or self.actions.max() >= space):
            raise InvalidInput(f"dataset: an action lies outside the {space} that there are.")

    def __len__(self) -> int:
        return len(self.actions)

    def chains(self) -> Iterator[range]:
        """Yield ranges of rows that follow on each other: one episode, with each next observation seen in the row after."""
        start = 0
        for row in range(1, len(self) + 1):
            if row == len(self) or not self._follows(row):
                yield range(start, row)
                start = row

    def _follows(self, row: int) -> bool:
        before = row - 1
        return (
            self.episodes[row] == self.episodes[before]
            and not (self.terminated[before] or self.truncated[before])
            and np.array_equal(self.observations[row], self.next_observations[before])
        )

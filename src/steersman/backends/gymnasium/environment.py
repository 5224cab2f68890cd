"""A world as a Gymnasium environment, for any library that learns in those."""

from collections.abc import Callable
from typing import Any, SupportsFloat

import gymnasium
import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from steersman.core.errors import InvalidInput
from steersman.core.state import StateValues
from steersman.core.world import World

Vector = Callable[[StateValues], NDArray[np.float32]]
Action = np.int64 | NDArray[np.int64]


class WorldEnv(gymnasium.Env[NDArray[np.float32], Action]):
    """Observations are the state's vector, float32 in [0, 1]; rewards are the agent's own, of what the world measured.

    vector: from a checked state to that vector, of `features` numbers. flat: number the actions through (`Discrete`); else
    one number for each dimension (`MultiDiscrete`). `info["action_mask"]` says which actions are allowed, 0 or 1, shape
    (actions,) in the order of the agent's `ActionSpace`. An action that is not allowed is not carried out: the safe action
    is, as where the agent decides, and `info["refused"]` is true.
    """

    def __init__(self, world: World, vector: Vector, features: int, *, flat: bool = True) -> None:
        self.world, self._vector = world, vector
        sizes = [len(each) for each in world.spec.actions.dimensions.values()]
        self.observation_space = spaces.Box(0.0, 1.0, (features,), np.float32)
        self.action_space = spaces.Discrete(len(world.spec.actions)) if flat else spaces.MultiDiscrete(sizes)
        self._sizes = None if flat else tuple(sizes)
        self._state: StateValues | None = None

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Begin an episode; there are no options."""
        super().reset(seed=seed)
        return self._seen(self.world.reset(self.np_random)), self._info()

    def step(self, action: Action) -> tuple[Any, SupportsFloat, bool, bool, dict[str, Any]]:
        """Carry an action out. Raises InvalidInput before `reset`, and for an action that is none."""
        if self._state is None:
            raise InvalidInput(f"{self.world.spec.name}: no episode has begun, or it is over; call reset().")
        spec, index = self.world.spec, self._index(action)
        refused = not self.world.allowed(self._state)[index]
        taken = spec.actions.action(spec.safe_action) if refused else spec.actions.actions[index]
        made = self.world.step(taken)
        score = spec.reward.score(spec.reward.check(made.measurements))
        seen, info = self._seen(made.state), self._info()
        info |= {"refused": refused, "measurements": dict(made.measurements)}
        if made.terminated or made.truncated:
            self._state = None
        return seen, score.reward, made.terminated, made.truncated, info

    def action_masks(self) -> NDArray[np.bool_]:
        """Return which actions are allowed now, (actions,), under the name by which maskable learners ask for it."""
        return np.ones(len(self.world.spec.actions), np.bool_) if self._state is None else self.world.allowed(self._state)

    def _seen(self, state: StateValues) -> NDArray[np.float32]:
        self._state, _ = self.world.spec.state.check(state)
        return self._vector(self._state)

    def _info(self) -> dict[str, Any]:
        return {"action_mask": self.action_masks().astype(np.int8)}

    def _index(self, action: Action) -> int:
        if not self.action_space.contains(action):
            raise InvalidInput(f"{self.world.spec.name}: {action!r} is no action of {self.action_space}.")
        return int(action) if self._sizes is None else int(np.ravel_multi_index(tuple(np.asarray(action)), self._sizes))

"""Collector: experience from environments, as they are stepped by a network that acts from numpy.

The environments are a vector of any make that has Gymnasium's `reset` and `step`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from steersman.core.errors import InvalidInput
from steersman.policies.deep.architecture import Architecture
from steersman.policies.deep.forward import slot_values
from steersman.stages.learn.deep.device_replay import Steps

Floats = NDArray[np.float32]
Bools = NDArray[np.bool_]


class VectorWorld(Protocol):
    """E environments that step together, as `gymnasium.vector.VectorEnv` does in any of its autoreset modes."""

    num_envs: int
    metadata: dict[str, Any]

    def reset(self, *, seed: Any = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Return first states, (E, …), and infos, in which `action_mask`, (E, actions), may say what is allowed."""
        ...

    def step(self, actions: Any) -> tuple[Any, Any, Any, Any, dict[str, Any]]:
        """Return (states, rewards, terminated, truncated, infos)."""
        ...


class Greedy:
    """Acts by a network: the best allowed action, or with chance epsilon any allowed one."""

    def __init__(self, net: Architecture, incidence: Floats, weights: Mapping[str, Any]) -> None:
        self._net, self._incidence = net, incidence
        self._weights = {name: np.asarray(each) for name, each in weights.items()}

    def values(self, states: Floats) -> Floats:
        """Return what the network says of each action, (n, actions)."""
        return np.asarray(slot_values(self._net, self._weights, states) @ self._incidence.T)

    def act(self, states: Floats, allowed: Bools, *, epsilon: float, rng: np.random.Generator) -> NDArray[np.int32]:
        """Return an action for each state, (n,)."""
        q = np.where(allowed, self.values(states), -np.inf)
        chances = np.where(allowed, rng.random(q.shape), -1.0)
        random = rng.random(len(q)) < epsilon
        return np.asarray(np.where(random, chances.argmax(axis=1), q.argmax(axis=1)), dtype=np.int32)


@dataclass(kw_only=True, eq=False)
class Collector:
    """Steps environments and keeps where they are between two calls; `returns` holds those of finished episodes."""

    world: VectorWorld
    features: int
    actions: int
    rng: np.random.Generator
    returns: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        mode = self.world.metadata.get("autoreset_mode", "SameStep")
        self._mode = str(getattr(mode, "value", mode))
        if self._mode not in {"NextStep", "SameStep", "Disabled"}:
            raise InvalidInput(f"environments: unknown autoreset mode {mode!r}. Known: NextStep, SameStep, Disabled.")
        states, infos = self.world.reset(seed=int(self.rng.integers(2**31)))
        self._states, self._allowed = self._flat(states), self._mask(infos)
        self._resetting = np.zeros(self.world.num_envs, bool)
        self._running = np.zeros(self.world.num_envs)

    def collect(self, actor: Greedy, count: int, epsilon: float) -> Steps:
        """Return so many steps of each environment, fields of shape (count, environments, …)."""
        steps = [self._step(actor, epsilon) for _ in range(count)]
        return Steps(*(np.stack(each) for each in zip(*steps, strict=True)))

    def _step(self, actor: Greedy, epsilon: float) -> Steps:
        before, allowed, valid = self._states, self._allowed, ~self._resetting
        actions = actor.act(before, allowed, epsilon=epsilon, rng=self.rng)
        states, rewards, terminated, truncated, infos = self.world.step(actions)
        ended = np.asarray(terminated | truncated) & valid
        self._states, self._allowed = self._flat(states), self._mask(infos)
        last, last_allowed = self._after_ends(ended, infos)
        self._count(np.asarray(rewards), ended, valid)
        return Steps(
            states=before,
            actions=actions,
            rewards=np.asarray(rewards, dtype=np.float32),
            next_states=last,
            terminated=np.asarray(terminated),
            ended=ended,
            allowed=allowed,
            next_allowed=last_allowed,
            valid=valid,
        )

    def _after_ends(self, ended: Bools, infos: dict[str, Any]) -> tuple[Floats, Bools]:
        """Return the states that the steps led to, with masks, and have the ended environments begin anew."""
        last, last_allowed = self._states, self._allowed
        self._resetting = ended if self._mode == "NextStep" else np.zeros_like(ended)
        if not ended.any():
            return last, last_allowed
        if self._mode == "SameStep":
            last, last_allowed = last.copy(), last_allowed.copy()
            final_masks = infos.get("final_info", {}).get("action_mask")
            for place in np.flatnonzero(ended).tolist():
                last[place] = self._final(infos, place)
                last_allowed[place] = True if final_masks is None else final_masks[place]
        elif self._mode == "Disabled":
            states, infos = self.world.reset(options={"reset_mask": ended})
            self._states, self._allowed = self._flat(states), self._mask(infos)
        return last, last_allowed

    def _final(self, infos: dict[str, Any], place: int) -> Floats:
        """Return the state in which an episode ended, where the environment has begun the next one in the same step."""
        final = infos.get("final_obs")
        if final is None or final[place] is None:
            raise InvalidInput(
                "environments: an episode ended, and infos have no final_obs for it: its last state is needed for "
                "bootstrapping. Set metadata['autoreset_mode'] to what the environments do."
            )
        return np.asarray(final[place], dtype=np.float32).ravel()

    def _count(self, rewards: NDArray[Any], ended: Bools, valid: Bools) -> None:
        self._running += np.where(valid, rewards, 0.0)
        self.returns.extend(self._running[ended].tolist())
        self._running[ended] = 0.0

    def _flat(self, states: Any) -> Floats:
        flat = np.array(states, dtype=np.float32).reshape(self.world.num_envs, -1)
        if flat.shape[1] != self.features:
            raise InvalidInput(f"environments: states of {flat.shape[1]} features, and the network reads {self.features}.")
        return flat

    def _mask(self, infos: dict[str, Any]) -> Bools:
        mask = infos.get("action_mask")
        shape = (self.world.num_envs, self.actions)
        return np.ones(shape, bool) if mask is None else np.array(mask, dtype=bool).reshape(shape)

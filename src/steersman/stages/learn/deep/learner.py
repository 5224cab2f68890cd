"""Learner: what turns steps of environments into weights: a replay, the state of learning, and the key that draws."""

from dataclasses import dataclass
from typing import Annotated, Any, Literal, Self

import jax
import msgspec
import numpy as np
from numpy.typing import NDArray

from steersman.core.errors import InvalidInput
from steersman.core.versions import address
from steersman.policies import tensors
from steersman.policies.deep.architecture import Architecture
from steersman.stages.learn.deep import device_replay
from steersman.stages.learn.deep.checkpoint import state_arrays, state_from
from steersman.stages.learn.deep.device_replay import Replay, Steps
from steersman.stages.learn.deep.q_learning import Metrics, QSettings, QState

FORMAT: Literal["learner-1"] = "learner-1"
Floats = NDArray[np.float32]


class _Content(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    format: Literal["learner-1"] = FORMAT
    net: Architecture
    updates: Annotated[int, msgspec.Meta(ge=0, le=2**31 - 1)]


@dataclass(kw_only=True, eq=False)
class Learner:
    """Adds steps and learns from them. incidence: (actions, slots). steps: how many were added. finite: no loss was NaN."""

    net: Architecture
    settings: QSettings
    incidence: Floats
    state: QState
    replay: Replay
    key: Any
    steps: int = 0
    finite: bool = True

    @classmethod
    def begin(
        cls,
        net: Architecture,
        settings: QSettings,
        incidence: Floats,
        state: QState,
        *,
        capacity: int,
        environments: int,
        seed: int,
    ) -> Self:
        """Return a learner with an empty replay of about `capacity` steps of so many environments that step together."""
        room = max(1, capacity // environments) * environments
        replay = device_replay.empty(net, len(incidence), room, environments)
        return cls(net=net, settings=settings, incidence=incidence, state=state, replay=replay, key=jax.random.key(seed))

    def add(self, steps: Steps) -> None:
        """Add steps of shape (k, environments, …)."""
        self.replay = device_replay.add(self.replay, steps)
        self.steps += int(steps.valid.sum())

    def learn(self, updates: int) -> Metrics:
        """Make so many updates."""
        self.key, key = jax.random.split(self.key)
        metrics: Metrics
        self.state, self.replay, metrics = device_replay.learn(
            self.net, self.settings, self.incidence, self.state, self.replay, key, updates=updates
        )
        self.finite = bool(metrics.finite)
        return metrics


def pack(net: Architecture, state: QState) -> bytes:
    """Return the state of learning as bytes that run no code; the replay is no part of it."""
    return tensors.write(state_arrays(state), _Content(net=net, updates=int(state.updates)))


def unpack(packed: bytes, net: Architecture, settings: QSettings) -> QState:
    """Return a state that was packed. Raises InvalidInput for bytes that are none, or those of another network."""
    arrays, text = tensors.read(packed, address(packed))
    try:
        content = msgspec.json.decode(text, type=_Content)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise InvalidInput(f"learner: these bytes are no state of learning: {error}. Begin anew.") from error
    if content.net != net:
        raise InvalidInput("learner: these bytes are of another network. Begin anew, or name that network.")
    return state_from(net, settings, arrays, content.updates)

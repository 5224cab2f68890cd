"""Fleet: many agents of one architecture, or many seeds of one agent, learn as one program.

Each has weights, a target, an optimiser and batches of its own, stacked along a first axis; `vmap` makes one program of it.
"""

from collections.abc import Sequence
from functools import partial
from typing import TypeVar

import jax
import jax.numpy as jnp
import numpy as np

from steersman.core.errors import InvalidInput
from steersman.policies.deep.architecture import Architecture
from steersman.stages.learn.deep import device_replay
from steersman.stages.learn.deep.batch import Array, Batch
from steersman.stages.learn.deep.device_replay import Replay
from steersman.stages.learn.deep.q_learning import Metrics, QSettings, QState, begin, scan_updates


def begin_fleet(net: Architecture, settings: QSettings, rngs: Sequence[np.random.Generator]) -> QState:
    """Return the stacked states of as many learners as there are generators. Raises InvalidInput for none."""
    if not rngs:
        raise InvalidInput("fleet: there are no learners. Give one random generator for each.")
    return stack([begin(net, settings, rng) for rng in rngs])


Part = TypeVar("Part", QState, Replay)


def stack(parts: Sequence[Part]) -> Part:
    """Return several states, or several replays, as one, along a new first axis."""
    return jax.tree.map(lambda *each: jnp.stack(each), *parts)  # type: ignore[no-any-return]


def member(states: QState, place: int) -> QState:
    """Return the state of one learner of a fleet."""
    return jax.tree.map(lambda each: each[place], states)  # type: ignore[no-any-return]


@partial(jax.jit, static_argnames=("net", "settings"))
def train_fleet(
    net: Architecture, settings: QSettings, incidence: Array, states: QState, batches: Batch
) -> tuple[QState, Metrics]:
    """Do for each learner what `q_learning.train` does; fields of batches have leading axes (learners, updates, n).

    incidence: (actions, slots), the same for all. A learner whose loss is no number stops alone.
    """

    def one(state: QState, batch: Batch) -> tuple[QState, Metrics]:
        return scan_updates(net, settings, incidence, state, batch, None)  # type: ignore[no-any-return]

    return jax.vmap(one)(states, batches)


@partial(jax.jit, static_argnames=("net", "settings", "updates"), donate_argnames="replays")
def learn_fleet(
    net: Architecture,
    settings: QSettings,
    incidence: Array,
    states: QState,
    replays: Replay,
    keys: Array,
    *,
    updates: int,
) -> tuple[QState, Replay, Metrics]:
    """Do for each learner what `device_replay.learn` does, each on its own replay; the replays given are used up."""

    def one(state: QState, replay: Replay, key: Array) -> tuple[QState, Replay, Metrics]:
        return device_replay.learn(  # type: ignore[no-any-return]
            net, settings, incidence, state, replay, key, updates=updates
        )

    return jax.vmap(one)(states, replays, keys)

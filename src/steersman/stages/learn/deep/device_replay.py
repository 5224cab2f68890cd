"""Replay on the device: experience in a ring of JAX arrays, drawn and learned from in one compiled call.

Prioritised replay: Schaul et al. (2016), Prioritized Experience Replay; as in Horgan et al. (2018), priorities are
renewed after the updates of a call, not after each. n-step sums are made when experience is drawn, from steps as they came.
"""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp

from steersman.core.errors import InvalidInput
from steersman.policies.deep.architecture import Architecture
from steersman.stages.learn.deep.batch import Array, Batch
from steersman.stages.learn.deep.q_learning import Metrics, QSettings, QState, scan_updates

_LEAST_PRIORITY = 1e-3
"""What is added to each error, so that experience without one is still replayed now and then."""


class Steps(NamedTuple):
    """Single steps of E environments over k moments, each field with leading axes (k, E), or flat.

    states, next_states: float32 features; a next state is the one in which an episode ended, never the first of the next.
    actions: int32. rewards: float32. terminated: bool, the world ended. ended: bool, the episode ended, or was cut off.
    allowed, next_allowed: bool, which actions were. valid: bool, whether this was a step at all, not a reset.
    """

    states: Array
    actions: Array
    rewards: Array
    next_states: Array
    terminated: Array
    ended: Array
    allowed: Array
    next_allowed: Array
    valid: Array


class Replay(NamedTuple):
    """A ring of single steps of E environments, E after E, oldest overwritten.

    steps: each field with a leading axis of the capacity. priorities: (capacity,), 0 where there is nothing to learn.
    at: the place written next. size: how many places hold something. environments: E. highest: largest priority so far.
    """

    steps: Steps
    priorities: Array
    at: Array
    size: Array
    environments: Array
    highest: Array


def empty(net: Architecture, actions: int, capacity: int, environments: int = 1) -> Replay:
    """Return a replay without experience. Raises InvalidInput unless capacity is a multiple of the environments."""
    if environments < 1 or capacity < environments or capacity % environments:
        raise InvalidInput(f"replay: a capacity of {capacity} is no multiple of {environments} environments.")

    def zeros(dtype: type, *shape: int) -> Array:
        return jnp.zeros((capacity, *shape), dtype)

    steps = Steps(
        states=zeros(jnp.float32, net.features),
        actions=zeros(jnp.int32),
        rewards=zeros(jnp.float32),
        next_states=zeros(jnp.float32, net.features),
        terminated=zeros(jnp.bool_),
        ended=zeros(jnp.bool_),
        allowed=zeros(jnp.bool_, actions),
        next_allowed=zeros(jnp.bool_, actions),
        valid=zeros(jnp.bool_),
    )
    return Replay(steps, zeros(jnp.float32), jnp.int32(0), jnp.int32(0), jnp.int32(environments), jnp.float32(1.0))


@partial(jax.jit, donate_argnums=0)
def add(replay: Replay, steps: Steps) -> Replay:
    """Return the replay with steps of shape (k, environments, …) added; the one given is used up."""
    capacity = len(replay.priorities)
    flat = jax.tree.map(lambda each: each.reshape((-1, *each.shape[2:])), steps)
    count = len(flat.rewards)
    places = (replay.at + jnp.arange(count)) % capacity
    return replay._replace(
        steps=jax.tree.map(lambda ring, new: ring.at[places].set(new), replay.steps, flat),
        priorities=replay.priorities.at[places].set(jnp.where(flat.valid, replay.highest, 0.0)),
        at=(replay.at + count) % capacity,
        size=jnp.minimum(replay.size + count, capacity),
    )


def gather(replay: Replay, settings: QSettings, places: Array) -> Batch:
    """Return the experience at places, any shape, each summed over up to n steps; importance weights are 1, or 0 if invalid.

    A sum stops where its episode ended or was cut off, and at the newest step; there it is bootstrapped from.
    """
    steps, capacity = replay.steps, len(replay.priorities)
    oldest = replay.at - replay.size
    age_limit = replay.size - (places - oldest) % capacity
    last, going = places, jnp.ones(places.shape, bool)
    rewards, discounts = jnp.zeros(places.shape), jnp.ones(places.shape)
    for ahead in range(settings.n_step):
        place = (places + ahead * replay.environments) % capacity
        going = going & (ahead * replay.environments < age_limit)
        rewards = rewards + jnp.where(going, discounts * steps.rewards[place], 0.0)
        discounts = jnp.where(going, discounts * settings.gamma * ~steps.terminated[place], discounts)
        last = jnp.where(going, place, last)
        going = going & ~steps.ended[place]
    return Batch(
        states=steps.states[places],
        actions=steps.actions[places],
        rewards=rewards,
        next_states=steps.next_states[last],
        next_allowed=steps.next_allowed[last],
        discounts=discounts,
        weights=steps.valid[places].astype(jnp.float32),
        allowed=steps.allowed[places],
    )


def draw(replay: Replay, settings: QSettings, key: Array, shape: tuple[int, int]) -> tuple[Array, Batch]:
    """Return places and experience, both with leading axes `shape`, drawn evenly or, with alpha > 0, by priority.

    P(i) = p_i^α / Σ p^α, weighed by (N·P(i))^−β over the largest such weight. Schaul et al. (2016), section 3.4.
    """
    if not settings.alpha:
        places = (replay.at - 1 - jax.random.randint(key, shape, 0, replay.size)) % len(replay.priorities)
        return places, gather(replay, settings, places)
    masses = jnp.where(replay.priorities > 0.0, replay.priorities**settings.alpha, 0.0)
    sums = jnp.cumsum(masses)
    drawn = jax.random.uniform(key, shape) * sums[-1]
    places = jnp.minimum(jnp.searchsorted(sums, drawn, side="right"), jnp.argmax(sums))
    batch = gather(replay, settings, places)
    chances = masses[places] / sums[-1]
    corrections = (replay.size * jnp.maximum(chances, 1e-12)) ** -settings.beta
    return places, batch._replace(weights=batch.weights * corrections / corrections.max(axis=1, keepdims=True))


def renew(replay: Replay, places: Array, td_errors: Array) -> Replay:
    """Return the replay with the priorities |error| + a little; of a place drawn twice, the larger one."""
    new = jnp.where(replay.steps.valid[places], jnp.abs(td_errors) + _LEAST_PRIORITY, 0.0)
    return replay._replace(
        priorities=replay.priorities.at[places].set(0.0).at[places].max(new),
        highest=jnp.maximum(replay.highest, new.max()),
    )


@partial(jax.jit, static_argnames=("net", "settings", "updates"), donate_argnames="replay")
def learn(
    net: Architecture,
    settings: QSettings,
    incidence: Array,
    state: QState,
    replay: Replay,
    key: Array,
    *,
    updates: int,
) -> tuple[QState, Replay, Metrics]:
    """Return state, replay and metrics after so many updates on drawn batches; the replay given is used up."""
    places, batches = draw(replay, settings, key, (updates, settings.batch))
    state, metrics = scan_updates(net, settings, incidence, state, batches, None)
    if settings.alpha:
        finite = jnp.where(jnp.isfinite(metrics.td_errors), metrics.td_errors, 0.0)
        replay = renew(replay, places, finite)
    return state, replay, metrics

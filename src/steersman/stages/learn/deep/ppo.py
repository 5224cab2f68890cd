"""PPO: a policy that moves a little at a time toward what turned out better than expected; allowed actions alone.

Schulman et al. (2017), Proximal Policy Optimization Algorithms. Advantages: Schulman et al. (2016), generalised advantage
estimation. Masks: Huang and Ontañón (2022). numpy acts and JAX learns, as in `rollout`.
"""

import math
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import msgspec
import numpy as np
import optax  # type: ignore[import-untyped]
from numpy.typing import NDArray

from steersman.policies.deep.architecture import Architecture
from steersman.policies.deep.forward import slot_values
from steersman.stages.learn.deep.batch import Array
from steersman.stages.learn.deep.collector import Bools, Collector, Floats, Greedy, VectorWorld
from steersman.stages.learn.deep.device_replay import Steps
from steersman.stages.learn.deep.q_learning import Count, NotNegative, Positive, Share
from steersman.stages.learn.deep.rollout import Best, Progress, Score, Trained

_REFUSED = -1e9
"""Logit of an action that is not allowed: its probability is 0 in 32 bits."""


class PPOSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a policy learns.

    learning_rate: of Adam; it and the clipping fall linearly to 0 over all steps. gamma: discount of one step. trace: λ of
    the advantages. collect: steps of each environment between two trainings. epochs: how often those are learned from.
    batch: of one update. clip: how far a probability ratio may move. entropy, value: weights of both in the loss. norm:
    largest norm of a gradient. hidden: widths of actor and critic. score_every: steps between two scores.
    """

    learning_rate: Positive = 1e-3
    gamma: Share = 0.98
    trace: Share = 0.8
    collect: Count = 32
    epochs: Count = 20
    batch: Count = 256
    clip: Positive = 0.2
    entropy: NotNegative = 0.0
    value: NotNegative = 0.5
    norm: Positive = 0.5
    hidden: tuple[Count, ...] = (64, 64)
    score_every: Positive = math.inf


class PPOState(NamedTuple):
    """Weights of actor and critic together, by names that begin with either, and the optimiser's state."""

    weights: dict[str, dict[str, Array]]
    optimiser: Any
    updates: Array


class Nets(NamedTuple):
    """The networks of one policy; both read the same states."""

    actor: Architecture
    critic: Architecture


def networks(features: int, groups: tuple[int, ...], settings: PPOSettings) -> Nets:
    """Return actor and critic: plain layers of tanh."""
    plain = {"features": features, "hidden": settings.hidden, "stream": 0, "layer_norm": False, "activation": "tanh"}
    return Nets(*(msgspec.convert({**plain, "groups": each}, Architecture) for each in (groups, (1,))))


class Drawing(Greedy):
    """Acts by drawing from a policy's probabilities."""

    def act(self, states: Floats, allowed: Bools, *, epsilon: float, rng: np.random.Generator) -> NDArray[np.int32]:
        """Return an action for each state, (n,), by the largest logit plus Gumbel noise; epsilon bears on nothing."""
        noise = rng.gumbel(size=allowed.shape)
        return np.asarray(np.where(allowed, self.values(states) + noise, -np.inf).argmax(axis=1), dtype=np.int32)


def begin(nets: Nets, settings: PPOSettings, rng: np.random.Generator) -> PPOState:
    """Return a state to begin learning from: a policy that is nearly even. Raises InvalidInput for what is no network."""
    for each in nets:
        each.check()
    weights = {"actor": nets.actor.initial(rng, head_scale=0.01), "critic": nets.critic.initial(rng)}
    own = jax.tree.map(jnp.asarray, weights)
    return PPOState(own, _optimiser(settings).init(own), jnp.int32(0))


def train_ppo(
    world: VectorWorld,
    nets: Nets,
    settings: PPOSettings,
    *,
    incidence: Floats | None = None,
    seed: int,
    budget_steps: int,
    score: Score | None = None,
    solved: float = math.inf,
    on_progress: Callable[[Progress], bool | None] | None = None,
) -> Trained:
    """Learn from environments as `rollout.train_q` does; the weights that come back are the actor's."""
    incidence = nets.actor.incidence(incidence)
    rng = np.random.default_rng(seed)
    state, key = begin(nets, settings, rng), jax.random.key(int(rng.integers(2**31)))
    collector = Collector(world=world, features=nets.actor.features, actions=len(incidence), rng=rng)
    steps, scored, finite, curve, solved_at = 0, 0, True, list[Progress](), None
    best = Best()
    while steps < budget_steps and finite and solved_at is None:
        seen = collector.collect(Drawing(nets.actor, incidence, state.weights["actor"]), settings.collect, 0.0)
        key, own = jax.random.split(key)
        left = 1.0 - steps / budget_steps
        state, loss, value, good = learn(nets, settings, incidence, state, seen, own, left)
        steps, finite = steps + int(seen.valid.sum()), bool(good)
        worth = None
        if score is not None and steps >= scored + settings.score_every:
            scored, worth = steps, score(Greedy(nets.actor, incidence, state.weights["actor"]))
            best.hear(worth, state.weights["actor"])
            solved_at = steps if worth >= solved else None
        curve.append(
            Progress.of(
                collector.returns,
                steps=steps,
                updates=int(state.updates),
                loss=float(loss),
                q=float(value),
                epsilon=0.0,
                score=worth,
            )
        )
        if on_progress is not None and on_progress(curve[-1]):
            break
    weights = state.weights["actor"] if best.weights is None else best.weights
    return Trained(
        weights={name: np.asarray(each) for name, each in weights.items()},
        curve=tuple(curve),
        returns=tuple(collector.returns),
        solved_at=solved_at,
        finite=finite,
    )


class _Batch(NamedTuple):
    states: Array
    actions: Array
    allowed: Array
    log_before: Array
    advantages: Array
    returns: Array
    weights: Array


@partial(jax.jit, static_argnames=("nets", "settings"))
def learn(
    nets: Nets, settings: PPOSettings, incidence: Array, state: PPOState, steps: Steps, key: Array, left: float
) -> tuple[PPOState, Array, Array, Array]:
    """Return the state after all epochs over what was collected, mean loss, mean value, and whether all were numbers.

    steps: fields of shape (steps, environments, …). left: share of all steps that is still to come. Where a loss is no
    number, nothing is learned from then on.
    """
    values, values_next = (_values(nets, state, each) for each in (steps.states, steps.next_states))
    found = advantages(steps, values, values_next, gamma=settings.gamma, trace=settings.trace)
    logits = action_logits(nets.actor, incidence, state.weights["actor"], _flat(steps.states), _flat(steps.allowed))
    batch = _Batch(
        states=_flat(steps.states),
        actions=_flat(steps.actions),
        allowed=_flat(steps.allowed),
        log_before=_of(logits, _flat(steps.actions)),
        advantages=_flat(found),
        returns=_flat(found + values),
        weights=_flat(steps.valid).astype(jnp.float32),
    )
    count = len(batch.actions)
    size = min(settings.batch, count)
    keys = jax.random.split(key, settings.epochs)
    order = jax.vmap(lambda each: jax.random.permutation(each, count))(keys)
    order = order[:, : count // size * size].reshape((-1, size))

    def one(carry: tuple[PPOState, Array], places: Array) -> tuple[tuple[PPOState, Array], Array]:
        before, good = carry
        part = jax.tree.map(lambda each: each[places], batch)
        after, loss, finite = _update(nets, settings, incidence, before, part, left)
        good = good & finite
        return (jax.tree.map(lambda new, old: jnp.where(good, new, old), after, before), good), loss

    (state, good), losses = jax.lax.scan(one, (state, jnp.bool_(True)), order)
    return state, losses.mean(), values.mean(), good


def advantages(steps: Steps, values: Array, values_next: Array, *, gamma: float, trace: float) -> Array:
    """Return A_t = δ_t + γλ·A_{t+1}, shape (steps, environments), with δ_t = r_t + γ·V(s_{t+1}) − V(s_t).

    Nothing is bootstrapped from where an episode terminated; a time limit is bootstrapped from the state in which it came.
    Neither is carried over the end of an episode; what was no step has none.
    """
    deltas = steps.rewards + gamma * jnp.where(steps.terminated, 0.0, values_next) - values
    deltas = jnp.where(steps.valid, deltas, 0.0)

    def back(later: Array, now: tuple[Array, Array]) -> tuple[Array, Array]:
        delta, ended = now
        found = delta + gamma * trace * jnp.where(ended, 0.0, later)
        return found, found

    return jax.lax.scan(back, jnp.zeros(deltas.shape[1]), (deltas, steps.ended), reverse=True)[1]


def action_logits(net: Architecture, incidence: Array, weights: Mapping[str, Array], states: Array, allowed: Array) -> Array:
    """Return the log-probability of each action, (n, actions); of one that is not allowed next to −∞."""
    logits = slot_values(net, weights, states, jnp) @ jnp.asarray(incidence, dtype=jnp.float32).T
    return jax.nn.log_softmax(jnp.where(allowed, logits, _REFUSED), axis=1)


def clipped_loss(ratio: Array, advantage: Array, clip: Array | float) -> Array:
    """Return −min(ρ·A, clip(ρ, 1 − ε, 1 + ε)·A); Schulman et al. (2017), eq. 7."""
    return -jnp.minimum(ratio * advantage, jnp.clip(ratio, 1.0 - clip, 1.0 + clip) * advantage)


def _update(
    nets: Nets, settings: PPOSettings, incidence: Array, state: PPOState, batch: _Batch, left: float
) -> tuple[PPOState, Array, Array]:
    def loss_of(weights: dict[str, dict[str, Array]]) -> Array:
        logits = action_logits(nets.actor, incidence, weights["actor"], batch.states, batch.allowed)
        ratio = jnp.exp(_of(logits, batch.actions) - batch.log_before)
        total = jnp.maximum(batch.weights.sum(), 1.0)
        mean = (batch.weights * batch.advantages).sum() / total
        spread = jnp.sqrt((batch.weights * (batch.advantages - mean) ** 2).sum() / total)
        losses = clipped_loss(ratio, (batch.advantages - mean) / (spread + 1e-8), settings.clip * left)
        values = slot_values(nets.critic, weights["critic"], batch.states, jnp)[:, 0]
        losses = losses + settings.value * (values - batch.returns) ** 2
        losses = losses + settings.entropy * (jnp.exp(logits) * jnp.where(batch.allowed, logits, 0.0)).sum(axis=1)
        return (batch.weights * losses).sum() / total

    loss, gradient = jax.value_and_grad(loss_of)(state.weights)
    steps, optimiser = _optimiser(settings).update(gradient, state.optimiser, state.weights)
    steps = jax.tree.map(lambda each: each * left, steps)
    finite = jnp.isfinite(loss) & jnp.isfinite(optax.tree.norm(gradient))
    return PPOState(optax.apply_updates(state.weights, steps), optimiser, state.updates + 1), loss, finite


def _values(nets: Nets, state: PPOState, states: Array) -> Array:
    return slot_values(nets.critic, state.weights["critic"], _flat(states), jnp)[:, 0].reshape(states.shape[:2])


def _flat(array: Array) -> Array:
    return jnp.asarray(array).reshape((-1, *array.shape[2:]))


def _of(rows: Array, actions: Array) -> Array:
    return jnp.take_along_axis(rows, actions[:, None], axis=1)[:, 0]


def _optimiser(settings: PPOSettings) -> optax.GradientTransformation:
    return optax.chain(optax.clip_by_global_norm(settings.norm), optax.adam(settings.learning_rate, eps=1e-5))

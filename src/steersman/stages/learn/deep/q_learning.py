"""Deep Q-learning: a network learns what each action is worth, many updates in one compiled call.

DQN: Mnih et al. (2015), Human-level control through deep reinforcement learning. Double DQN: van Hasselt, Guez and Silver
(2016). Dueling heads: Wang et al. (2016), in `policies.deep.forward`. Prioritised replay: Schaul et al. (2016), in
`device_replay`. CQL(H), for experience of other policies: Kumar et al. (2020). EWC: Kirkpatrick et al. (2017).
"""

from collections.abc import Mapping
from functools import partial
from typing import Annotated, Any, NamedTuple

import jax
import jax.numpy as jnp
import msgspec
import numpy as np
import optax  # type: ignore[import-untyped]

from steersman.core.errors import InvalidInput
from steersman.policies.deep.architecture import Architecture
from steersman.policies.deep.forward import slot_values
from steersman.stages.learn.deep.batch import Array, Batch

Positive = Annotated[float, msgspec.Meta(gt=0.0)]
Share = Annotated[float, msgspec.Meta(ge=0.0, le=1.0)]
NotNegative = Annotated[float, msgspec.Meta(ge=0.0)]
Count = Annotated[int, msgspec.Meta(ge=1)]


class QSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a network learns the values of actions.

    learning_rate, weight_decay: of AdamW. gamma: discount of one step. tau: how far the target moves to the weights after
    each update. batch: experiences of an update. clip: largest norm of a gradient. double: Double DQN. huber: error from
    which the loss is linear. n_step: rewards summed before bootstrapping. conservative: weight of CQL(H); 0 is off. alpha:
    how far errors decide what is replayed; 0 is evenly. beta: how far that is corrected by importance weights.
    """

    learning_rate: Positive = 3e-4
    weight_decay: NotNegative = 1e-5
    gamma: Share = 0.99
    tau: Share = 0.001
    batch: Count = 256
    clip: Positive = 10.0
    double: bool = True
    huber: Positive = 1.0
    n_step: Count = 1
    conservative: NotNegative = 0.0
    alpha: Share = 0.0
    beta: Share = 0.4


class QState(NamedTuple):
    """What learning goes on from: weights, those of the target, the optimiser's state, and how many updates there were."""

    weights: dict[str, Array]
    target: dict[str, Array]
    optimiser: Any
    updates: Array


class Ewc(NamedTuple):
    """What holds weights near those of an earlier task: ½ · weight · Σ fisher · (θ − anchor)²."""

    weight: Array | float
    fisher: Mapping[str, Array]
    anchor: Mapping[str, Array]


class Metrics(NamedTuple):
    """Of k updates: loss and mean value of the actions taken, (k,); td_errors, (k, n); finite: whether all were numbers.

    From the first update on that was not, nothing was learned: the state that came back is the last good one.
    """

    loss: Array
    q: Array
    td_errors: Array
    finite: Array


def begin(net: Architecture, settings: QSettings, rng: np.random.Generator) -> QState:
    """Return a state to begin learning from; raises InvalidInput for an architecture that no network can have."""
    net.check()
    return resume(settings, net.initial(rng))


def resume(settings: QSettings, weights: Mapping[str, Array]) -> QState:
    """Return a state that begins with given weights and a new optimiser."""
    own = {name: jnp.asarray(each) for name, each in weights.items()}
    return QState(own, own, _optimiser(settings).init(own), jnp.int32(0))


def train(
    net: Architecture,
    settings: QSettings,
    incidence: Array,
    state: QState,
    batches: Batch,
    ewc: Ewc | None = None,
) -> tuple[QState, Metrics]:
    """Return the state after one update for each batch along the first axis of `batches`, and what they showed.

    incidence: (actions, slots) of 0 and 1, whose values make up each action's. Raises InvalidInput for shapes that do not
    fit the network. Compiled once for each architecture, settings and shapes.
    """
    _check(net, incidence, batches)
    return scan_updates(net, settings, incidence, state, batches, ewc)  # type: ignore[no-any-return]


@partial(jax.jit, static_argnames=("net", "settings"))
def scan_updates(
    net: Architecture, settings: QSettings, incidence: Array, state: QState, batches: Batch, ewc: Ewc | None
) -> tuple[QState, Metrics]:
    """Do as `train` does, unchecked."""

    def one(carry: tuple[QState, Array], batch: Batch) -> tuple[tuple[QState, Array], tuple[Array, Array, Array]]:
        before, good = carry
        after, seen, finite = _update(net, settings, incidence, before, batch, ewc)
        good = good & finite
        return (jax.tree.map(lambda new, old: jnp.where(good, new, old), after, before), good), seen

    (state, good), seen = jax.lax.scan(one, (state, jnp.bool_(True)), batches)
    return state, Metrics(*seen, good)


def _update(
    net: Architecture, settings: QSettings, incidence: Array, state: QState, batch: Batch, ewc: Ewc | None
) -> tuple[QState, tuple[Array, Array, Array], Array]:
    def loss_of(weights: dict[str, Array]) -> tuple[Array, tuple[Array, Array]]:
        return _loss(settings, q_values(net, incidence, weights, batch.states), wanted, batch, _pull(ewc, weights))

    wanted = td_targets(net, settings, incidence, state, batch)
    (loss, (q, errors)), gradient = jax.value_and_grad(loss_of, has_aux=True)(state.weights)
    steps, optimiser = _optimiser(settings).update(gradient, state.optimiser, state.weights)
    weights = optax.apply_updates(state.weights, steps)
    target = optax.incremental_update(weights, state.target, settings.tau)
    finite = jnp.isfinite(loss) & jnp.isfinite(optax.tree.norm(gradient))
    return QState(weights, target, optimiser, state.updates + 1), (loss, q, errors), finite


def td_targets(net: Architecture, settings: QSettings, incidence: Array, state: QState, batch: Batch) -> Array:
    """Return what the actions taken should be worth by a state of learning, (n,): DQN's target, or Double DQN's."""
    q_next = q_values(net, incidence, state.target, batch.next_states)
    chooser = q_values(net, incidence, state.weights, batch.next_states) if settings.double else q_next
    return targets(batch, bootstrap_values(chooser, q_next, batch.next_allowed))


def q_values(net: Architecture, incidence: Array, weights: Mapping[str, Array], states: Array) -> Array:
    """Return the value of each action, shape (n, actions): the sum over its slots."""
    return slot_values(net, weights, states, jnp) @ jnp.asarray(incidence, dtype=jnp.float32).T


def bootstrap_values(q_chooser: Array, q_next: Array, next_allowed: Array) -> Array:
    """Return what each next state is worth, (n,): `q_next` of the allowed action that `q_chooser` finds best; 0 for none.

    DQN: the target chooses for itself, q_chooser = q_next, which is max q_next. Double DQN: the weights choose.
    """
    best = jnp.where(next_allowed, q_chooser, -jnp.inf).argmax(axis=1)
    return jnp.where(next_allowed.any(axis=1), _of(q_next, best), 0.0)


def targets(batch: Batch, values_next: Array) -> Array:
    """Return r + γ^k·v(s′), shape (n,); nothing is added where the episode terminated."""
    return batch.rewards + jnp.where(batch.discounts > 0.0, batch.discounts * values_next, 0.0)


def conservatism(q: Array, actions: Array, allowed: Array | None) -> Array:
    """Return log Σ_a exp q(s, a) over allowed actions − q(s, the action taken), (n,). Kumar et al. (2020), eq. 4."""
    possible = q if allowed is None else jnp.where(allowed, q, -jnp.inf)
    return jax.nn.logsumexp(possible, axis=1) - _of(q, actions)


def _loss(
    settings: QSettings, q: Array, wanted: Array, batch: Batch, pull: Array | float
) -> tuple[Array, tuple[Array, Array]]:
    taken = _of(q, batch.actions)
    errors = taken - wanted
    losses = optax.losses.huber_loss(errors, delta=settings.huber)
    if settings.conservative:
        losses = losses + settings.conservative * conservatism(q, batch.actions, batch.allowed)
    return jnp.mean(batch.weights * losses) + pull, (taken.mean(), -errors)


def _pull(ewc: Ewc | None, weights: Mapping[str, Array]) -> Array | float:
    if ewc is None:
        return 0.0
    return 0.5 * ewc.weight * sum((ewc.fisher[name] * (weights[name] - ewc.anchor[name]) ** 2).sum() for name in weights)


def _of(q: Array, actions: Array) -> Array:
    """Return the value of one action in each row."""
    return jnp.take_along_axis(q, actions[:, None], axis=1)[:, 0]


def _optimiser(settings: QSettings) -> optax.GradientTransformation:
    return optax.chain(
        optax.clip_by_global_norm(settings.clip),
        optax.adamw(settings.learning_rate, weight_decay=settings.weight_decay),
    )


def _check(net: Architecture, incidence: Array, batches: Batch) -> None:
    """Raise InvalidInput unless batches are k of n experiences each, in the network's features and the actions known."""
    k, n = batches.actions.shape if batches.actions.ndim == 2 else (-1, -1)
    actions = len(incidence)
    shapes = {
        "states": (k, n, net.features),
        "actions": (k, n),
        "rewards": (k, n),
        "next_states": (k, n, net.features),
        "next_allowed": (k, n, actions),
        "discounts": (k, n),
        "weights": (k, n),
    } | ({} if batches.allowed is None else {"allowed": (k, n, actions)})
    for name, shape in shapes.items():
        if getattr(batches, name).shape != shape:
            raise InvalidInput(f"batches: {name} has shape {getattr(batches, name).shape}, not (updates, {shape[1:]}).")
    net.incidence(incidence)

"""Incremental training: a network goes on learning from new outcomes, and keeps what it learned from old ones.

EWC: Kirkpatrick et al. (2017), Overcoming catastrophic forgetting in neural networks. What is held out of learning says when
to stop: as soon as a network does better only on what it learns from.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from steersman.core.errors import InvalidInput
from steersman.policies.deep.architecture import Architecture
from steersman.stages.learn.deep import q_learning
from steersman.stages.learn.deep.batch import Array, Batch
from steersman.stages.learn.deep.q_learning import Ewc, QSettings, QState

LOOK = 50
"""Updates between two looks at what is held out."""
_TOGETHER = 32  # gradients at a time: each is as large as the network
_FISHER_ROWS = 2_048


@dataclass(frozen=True, kw_only=True, eq=False)
class Task:
    """What is learned. incidence: (actions, slots). learned, held: experience of shape (N, …) and (M, …), N ≥ M.

    patience: looks in a row that show a network to do better only on what it learns from, after which it stops.
    """

    net: Architecture
    settings: QSettings
    incidence: NDArray[np.float32]
    learned: Batch
    held: Batch
    patience: int


@dataclass(frozen=True, kw_only=True, eq=False)
class Run:
    """Where training stands; with the same task, a run goes on from it to the bit.

    rng: state of the generator that draws batches. best: weights of the last look that was good. fitted, held: mean losses
    then, on what is learned and on what is held out; losses: those of the last look. stale: looks since. q: mean value of
    the actions learned from at the last look, which is told and not kept.
    """

    state: QState
    rng: Mapping[str, Any]
    best: Mapping[str, Array]
    fitted: float = math.inf
    held: float = math.inf
    losses: tuple[float, float] = (math.inf, math.inf)
    stale: int = 0
    ewc: Ewc | None = None
    q: float = math.nan

    @property
    def updates(self) -> int:
        """How many updates there were."""
        return int(self.state.updates)


def begin(state: QState, rng: np.random.Generator, ewc: Ewc | None = None) -> Run:
    """Return a run that begins with a state; it counts updates anew."""
    drawn = dict(np.random.PCG64(rng.integers(2**63)).state)
    return Run(state=state._replace(updates=jnp.int32(0)), rng=drawn, best=state.weights, ewc=ewc)


def train(task: Task, run: Run, updates: int, told: Callable[[Run], bool | None]) -> Run:
    """Return where a run stands after so many updates in all, or where it stopped early.

    told: hears of each look; True stops. Raises InvalidInput where losses are no numbers any more: the run that was told
    last is the last good one.
    """
    while run.updates < updates and run.stale < task.patience:
        run = look(task, run)
        if told(run):
            break
    return run


def look(task: Task, run: Run) -> Run:
    """Return a run `LOOK` updates further, with what is held out looked at."""
    bits = np.random.PCG64()
    bits.state = run.rng  # type: ignore[assignment]  # PCG64's own state, as it was read
    drawn = np.random.Generator(bits).integers(len(task.learned.actions), size=(LOOK, task.settings.batch))
    state, seen = q_learning.train(task.net, task.settings, task.incidence, run.state, rows(task.learned, drawn), run.ewc)
    fitted, held = (
        float(_loss(task.net, task.settings, task.incidence, state, each))
        for each in (rows(task.learned, np.arange(len(task.held.actions))), task.held)
    )
    if not (bool(seen.finite) and math.isfinite(held) and math.isfinite(fitted)):
        raise InvalidInput(
            f"the loss is no number after {run.updates + LOOK} updates. Training stopped, and what is in production stays; "
            "lower training.learning_rate, or see that rewards and states lie in their ranges."
        )
    after = replace(run, state=state, rng=bits.state, losses=(fitted, held), q=float(seen.q.mean()))
    if held <= run.held or fitted >= run.fitted:  # better, or what is aimed at has moved for both
        return replace(after, best=state.weights, fitted=fitted, held=held, stale=0)
    return replace(after, stale=run.stale + 1)


def rows(experience: Batch, places: NDArray[np.int64]) -> Batch:
    """Return the experience at some places, in their shape."""
    return Batch(*(None if each is None else each[places] for each in experience))


def errors(task: Task, run: Run) -> NDArray[np.float64]:
    """Return by how much each outcome that is held out differs from what the best weights say, shape (M,)."""
    state = run.state._replace(weights=dict(run.best))
    return np.asarray(_errors(task.net, task.settings, task.incidence, state, task.held), dtype=np.float64)


def fisher(
    net: Architecture,
    incidence: NDArray[np.float32],
    weights: Mapping[str, Array],
    experience: Batch,
    rng: np.random.Generator,
) -> dict[str, Array]:
    """Return the diagonal of the Fisher information, by name and shape of the weights, from old experience.

    Of values with Gaussian noise of variance 1 it is E[(∂Q(s, a)/∂θ)²]. Kirkpatrick et al. (2017), eq. 3.
    """
    places = rng.integers(len(experience.actions), size=(_FISHER_ROWS // _TOGETHER, _TOGETHER))
    return _fisher(net, incidence, dict(weights), experience.states[places], experience.actions[places])  # type: ignore[no-any-return]


@partial(jax.jit, static_argnames="net")
def _fisher(
    net: Architecture, incidence: Array, weights: dict[str, Array], states: Array, actions: Array
) -> dict[str, Array]:
    def value(weights: dict[str, Array], state: Array, action: Array) -> Array:
        return q_learning.q_values(net, incidence, weights, state[None])[0, action]

    def add(total: dict[str, Array], part: tuple[Array, Array]) -> tuple[dict[str, Array], None]:
        gradients = jax.vmap(jax.grad(value), in_axes=(None, 0, 0))(weights, *part)
        return jax.tree.map(lambda sums, each: sums + (each**2).sum(axis=0), total, gradients), None

    total, _ = jax.lax.scan(add, jax.tree.map(jnp.zeros_like, weights), (states, actions))
    return jax.tree.map(lambda each: each / actions.size, total)  # type: ignore[no-any-return]


@partial(jax.jit, static_argnames=("net", "settings"))
def _errors(net: Architecture, settings: QSettings, incidence: Array, state: QState, batch: Batch) -> Array:
    wanted = q_learning.td_targets(net, settings, incidence, state, batch)
    q = q_learning.q_values(net, incidence, state.weights, batch.states)
    return wanted - jnp.take_along_axis(q, batch.actions[:, None], axis=1)[:, 0]


@partial(jax.jit, static_argnames=("net", "settings"))
def _loss(net: Architecture, settings: QSettings, incidence: Array, state: QState, batch: Batch) -> Array:
    return (0.5 * _errors(net, settings, incidence, state, batch) ** 2).mean()

"""Fit: a forecaster trained on windows of the past, and the probability that what it foresees is a rise.

Each window is scaled by its own mean and deviation, and its answer with it (Kim et al., 2022, reversible instance
normalisation): a series that has risen tenfold looks as it did before.
"""

from dataclasses import dataclass
from functools import partial
from math import erf
from typing import Any, Protocol

import jax
import numpy as np
import optax  # type: ignore[import-untyped]  # it has no stubs
from jax import Array
from numpy.typing import NDArray

from steersman.core.errors import InvalidInput

Floats = NDArray[np.float64]
Params = dict[str, Any]
_CHUNK = 512
"""Windows that are forecast in one call: always as many, so that nothing is compiled twice."""


class Forecaster(Protocol):
    """A network that reads `steps` values and says `horizon` more; with the same fields it is the same, and has one hash."""

    @property
    def steps(self) -> int:
        """How many values it reads."""
        ...

    @property
    def horizon(self) -> int:
        """How many values it says."""
        ...

    def initial(self, rng: np.random.Generator) -> Params:
        """Return weights to begin with."""
        ...

    def __call__(self, params: Params, past: Array) -> Array:
        """Return the forecast, (n, horizon), for the last values, (n, steps), oldest first."""
        ...


@dataclass(frozen=True, kw_only=True)
class Training:
    """updates: steps of Adam. batch: windows of each. learning_rate: at first; it falls to 0 as half a cosine."""

    updates: int = 300
    batch: int = 128
    learning_rate: float = 1e-3
    weight_decay: float = 1e-4
    seed: int = 7


@dataclass(frozen=True, kw_only=True, eq=False)
class Fitted:
    """A trained forecaster. spread: deviation of its errors on what it was not trained on, in its own scale, (horizon,)."""

    forecaster: Forecaster
    params: Params
    spread: Floats

    def __call__(self, past: Floats) -> Floats:
        """Return the forecast in the unit of the series, (n, horizon), for windows (n, steps)."""
        said, mean, deviation = self._said(past)
        return said * deviation + mean

    def rise(self, past: Floats, level: Floats) -> Floats:
        """Return the probability that the last value foreseen lies above a level, each of shape (n,): Φ of its distance."""
        said, mean, deviation = self._said(past)
        ahead = (said[:, -1] - (level - mean[:, 0]) / deviation[:, 0]) / self.spread[-1]
        return np.array([0.5 * (1.0 + erf(each / np.sqrt(2.0))) for each in ahead.tolist()])

    def _said(self, past: Floats) -> tuple[Floats, Floats, Floats]:
        scaled, mean, deviation = normalised(past)
        padded = np.zeros((-(-len(past) // _CHUNK) * _CHUNK, past.shape[1]), np.float32)
        padded[: len(past)] = scaled
        parts = [_forward(self.forecaster, self.params, padded[at : at + _CHUNK]) for at in range(0, len(padded), _CHUNK)]
        said = np.concatenate([np.asarray(each, np.float64) for each in parts])[: len(past)] if parts else np.zeros((0, 1))
        return said, mean, deviation


def fit(forecaster: Forecaster, past: Floats, later: Floats, training: Training) -> Fitted:
    """Return the forecaster trained on windows (n, steps) and what followed them (n, horizon); the last eighth judges it.

    The same windows give the same weights. Raises InvalidInput where there are too few, or where training does not hold.
    """
    held = max(len(past) // 8, 1)
    if len(past) < 2 * held or past.shape[1:] != (forecaster.steps,) or later.shape[1:] != (forecaster.horizon,):
        raise InvalidInput(f"a forecaster of {forecaster.steps} values needs more windows than {past.shape}.")
    scaled, mean, deviation = normalised(past)
    answers = (later - mean) / deviation
    rng = np.random.default_rng(training.seed)
    drawn = rng.integers(0, len(past) - held, (training.updates, training.batch))
    batches = (scaled[drawn].astype(np.float32), answers[drawn].astype(np.float32))
    params, losses = _train(forecaster, training, forecaster.initial(rng), batches)
    if not np.isfinite(np.asarray(losses)).all():
        raise InvalidInput("the forecaster's loss is not finite. Are there prices that make no sense?")
    blank = Fitted(forecaster=forecaster, params=params, spread=np.ones(forecaster.horizon))
    errors = blank._said(past[-held:])[0] - answers[-held:]
    return Fitted(forecaster=forecaster, params=params, spread=np.maximum(np.sqrt((errors**2).mean(axis=0)), 1e-6))


def normalised(past: Floats) -> tuple[Floats, Floats, Floats]:
    """Return windows with mean 0 and deviation 1, and both, (n, 1) each; what never moves keeps a deviation of 1."""
    mean, deviation = past.mean(axis=1, keepdims=True), past.std(axis=1, keepdims=True)
    deviation = np.where(deviation > 1e-12, deviation, 1.0)
    return (past - mean) / deviation, mean, deviation


@partial(jax.jit, static_argnums=0)
def _forward(forecaster: Forecaster, params: Params, past: Array) -> Array:
    return forecaster(params, past)


@partial(jax.jit, static_argnums=(0, 1))
def _train(forecaster: Forecaster, training: Training, params: Params, batches: tuple[Array, Array]) -> tuple[Params, Array]:
    """Take all steps of Adam on the mean squared error, in one program."""
    schedule = optax.cosine_decay_schedule(training.learning_rate, training.updates)
    rule = optax.chain(optax.clip_by_global_norm(1.0), optax.adamw(schedule, weight_decay=training.weight_decay))

    def loss(params: Params, past: Array, later: Array) -> Array:
        return ((forecaster(params, past) - later) ** 2).mean()

    def step(carry: tuple[Params, Any], batch: tuple[Array, Array]) -> tuple[tuple[Params, Any], Array]:
        params, state = carry
        value, slope = jax.value_and_grad(loss)(params, *batch)
        change, state = rule.update(slope, state, params)
        return (optax.apply_updates(params, change), state), value

    (params, _), losses = jax.lax.scan(step, (params, rule.init(params)), batches)
    return params, losses

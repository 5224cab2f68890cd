"""PatchTST: a transformer whose tokens are patches of a series.

Nie et al., "A Time Series is Worth 64 Words" (2023): the series is scaled by its own mean and deviation, cut into patches
that overlap, each patch is a token, and a linear head reads all of them. Layers are normalised before they act.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from msgspec import Struct

Params = dict[str, Any]
_EPSILON = 1e-5


class PatchTST(Struct, frozen=True, kw_only=True):
    """patch, stride: length of a patch and steps between two; width, heads, layers: of the transformer."""

    steps: int = 64
    horizon: int = 5
    patch: int = 8
    stride: int = 4
    width: int = 32
    heads: int = 4
    layers: int = 2

    @property
    def tokens(self) -> int:
        """How many patches there are."""
        return (self.steps - self.patch) // self.stride + 1

    def initial(self, rng: np.random.Generator) -> Params:
        """Return weights to begin with; the head begins at 0."""

        def drawn(*shape: int) -> Array:
            return jnp.asarray(rng.standard_normal(shape) / np.sqrt(shape[0]), jnp.float32)

        params: Params = {
            "embed": drawn(self.patch, self.width),
            "place": 0.02 * drawn(self.tokens, self.width),
            "head": jnp.zeros((self.tokens * self.width, self.horizon)),
        }
        for layer in range(self.layers):
            for name in ("query", "key", "value", "out"):
                params[f"{layer}.{name}"] = drawn(self.width, self.width)
            params[f"{layer}.up"], params[f"{layer}.down"] = (
                drawn(self.width, 2 * self.width),
                drawn(2 * self.width, self.width),
            )
            for name in ("scale.0", "scale.1"):
                params[f"{layer}.{name}"] = jnp.ones(self.width)
        return params

    def __call__(self, params: Params, past: Array) -> Array:
        """Return the forecast, (n, horizon), for the last values, (n, steps), oldest first."""
        places = np.arange(self.tokens)[:, None] * self.stride + np.arange(self.patch)
        x = past[:, places + self.steps - (places[-1, -1] + 1)] @ params["embed"] + params["place"]
        for layer in range(self.layers):
            x = x + self._attended(params, layer, _normalised(x, params[f"{layer}.scale.0"]))
            inner = jax.nn.gelu(_normalised(x, params[f"{layer}.scale.1"]) @ params[f"{layer}.up"])
            x = x + inner @ params[f"{layer}.down"]
        said: Array = x.reshape((past.shape[0], -1)) @ params["head"]
        return said

    def _attended(self, params: Params, layer: int, x: Array) -> Array:
        size = self.width // self.heads
        query, key, value = (
            (x @ params[f"{layer}.{name}"]).reshape((-1, self.tokens, self.heads, size)).swapaxes(1, 2)
            for name in ("query", "key", "value")
        )
        scores = jax.nn.softmax(query @ key.swapaxes(-1, -2) / np.sqrt(size), axis=-1)
        mixed: Array = (scores @ value).swapaxes(1, 2).reshape(x.shape) @ params[f"{layer}.out"]
        return mixed


def _normalised(x: Array, scale: Array) -> Array:
    centred = x - x.mean(axis=-1, keepdims=True)
    return centred / jnp.sqrt((centred * centred).mean(axis=-1, keepdims=True) + _EPSILON) * scale

"""N-HiTS: blocks that see the past at several rates, and say the future in as few numbers as their rate needs.

Challu et al., "N-HiTS: Neural Hierarchical Interpolation for Time Series Forecasting" (2023): each block pools what it
reads, forecasts a few coefficients, interpolates them over the horizon, and takes what it has explained away from what the
next block reads.
"""

from itertools import pairwise
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import Array
from msgspec import Struct
from numpy.typing import NDArray

Params = dict[str, Any]


class NHits(Struct, frozen=True, kw_only=True):
    """pools: of how many values a block takes the largest; every: at how many steps it says a value; hidden: widths."""

    steps: int = 64
    horizon: int = 5
    pools: tuple[int, ...] = (8, 4, 1)
    every: tuple[int, ...] = (5, 2, 1)
    hidden: tuple[int, ...] = (64, 64)

    def initial(self, rng: np.random.Generator) -> Params:
        """Return weights to begin with; what the blocks say begins at 0."""
        params: Params = {}
        for place, pool in enumerate(self.pools):
            widths = (-(-self.steps // pool), *self.hidden)
            for layer, (inward, outward) in enumerate(pairwise(widths)):
                drawn = rng.standard_normal((inward, outward)) * np.sqrt(2.0 / inward)
                params[f"{place}.{layer}.kernel"] = jnp.asarray(drawn, jnp.float32)
                params[f"{place}.{layer}.bias"] = jnp.zeros(outward)
            for name, count in (
                ("back", self.coefficients(place, self.steps)),
                ("fore", self.coefficients(place, self.horizon)),
            ):
                params[f"{place}.{name}"] = jnp.zeros((self.hidden[-1], count))
        return params

    def coefficients(self, block: int, length: int) -> int:
        """Return in how many numbers a block says a stretch of so many steps: one at each `every` of them, 2 at least."""
        rate = self.every[block] if length == self.horizon else self.pools[block]
        return max(-(-length // rate), min(2, length))

    def __call__(self, params: Params, past: Array) -> Array:
        """Return the forecast, (n, horizon), for the last values, (n, steps), oldest first."""
        left, said = past, jnp.zeros((past.shape[0], self.horizon))
        for place, pool in enumerate(self.pools):
            x = pooled(left, pool)
            for layer in range(len(self.hidden)):
                x = jnp.maximum(x @ params[f"{place}.{layer}.kernel"] + params[f"{place}.{layer}.bias"], 0.0)
            left = left - (x @ params[f"{place}.back"]) @ interpolation(params[f"{place}.back"].shape[1], self.steps)
            said = said + (x @ params[f"{place}.fore"]) @ interpolation(params[f"{place}.fore"].shape[1], self.horizon)
        return said


def pooled(values: Array, size: int) -> Array:
    """Return the largest of each `size` values, the last ones whole, (n, ⌈steps / size⌉)."""
    missing = -values.shape[1] % size
    padded = jnp.pad(values, ((0, 0), (missing, 0)), constant_values=-jnp.inf)
    return padded.reshape((values.shape[0], -1, size)).max(axis=2)


def interpolation(count: int, length: int) -> NDArray[np.float32]:
    """Return the matrix, (count, length), by which so many values become a straight line between each two of them."""
    if count == 1:
        return np.ones((1, length), np.float32)
    places = np.linspace(0.0, count - 1.0, length)
    lower = np.minimum(places.astype(int), count - 2)
    share = places - lower
    found = np.zeros((count, length), np.float32)
    found[lower, np.arange(length)] = 1.0 - share
    found[lower + 1, np.arange(length)] += share
    return found

"""Architecture: what a network looks like, as a value that JSON can hold; its weights are arrays by name."""

import math
from collections.abc import Iterator, Mapping
from typing import Any, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from steersman.core.errors import InvalidInput

Weights = Mapping[str, NDArray[np.float32]]
Encoder = Literal["mlp", "attention", "lstm", "cnn"]
_MOST_WEIGHTS = 50_000_000
_KERNEL = 3
"""Rows and columns that a convolution looks at."""


class Architecture(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """From a vector of `features` numbers to one number for each slot of an action space.

    groups: how many slots each dimension of the actions has; `(n,)` for n flat actions, `(1,)` for a single value.
    encoder: what reads the vector before the hidden layers: nothing, attention between features, an LSTM over `shape` =
    (steps, channels), or a convolution over `shape` = (rows, columns, channels). embed: its width. hidden: widths of the
    layers. stream: width of the value and the advantage stream of a dueling head (Wang et al., 2016); 0 takes one linear
    head. layer_norm: whether each hidden layer is normalised (Ba, Kiros and Hinton, 2016). activation: of hidden layers.
    """

    features: int
    groups: tuple[int, ...]
    encoder: Encoder = "mlp"
    shape: tuple[int, ...] = ()
    embed: int = 32
    heads: int = 4
    hidden: tuple[int, ...] = (512, 256)
    stream: int = 128
    layer_norm: bool = True
    activation: Literal["relu", "tanh"] = "relu"

    @property
    def width(self) -> int:
        """How many slots there are."""
        return sum(self.groups)

    def check(self) -> None:
        """Raise InvalidInput for what no network can be made of."""
        sizes = (self.features, self.embed, self.heads, *self.groups, *self.hidden, *self.shape)
        if not self.groups or any(each < 1 for each in sizes) or self.stream < 0:
            raise InvalidInput(f"network: sizes must be positive, got {msgspec.to_builtins(self)}.")
        wanted = {"mlp": 0, "attention": 0, "lstm": 2, "cnn": 3}[self.encoder]
        if len(self.shape) != wanted or (wanted and math.prod(self.shape) != self.features):
            raise InvalidInput(
                f"network: a {self.encoder} encoder reads {self.features} features by a shape of {wanted} numbers whose "
                f"product they are, got {self.shape}."
            )
        if self.encoder == "attention" and self.embed % self.heads:
            raise InvalidInput(f"network: {self.heads} heads do not divide an embedding of {self.embed}.")
        if self.encoder == "cnn" and min(self.shape[:2]) < _KERNEL:
            raise InvalidInput(f"network: a convolution needs at least {_KERNEL} rows and columns, got {self.shape}.")
        if sum(math.prod(each) for each in self.shapes().values()) > _MOST_WEIGHTS:
            raise InvalidInput(f"network: more than {_MOST_WEIGHTS:,} weights. Take smaller layers.")

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Return the shape of each array of weights, by name, in a fixed order."""
        return dict(self._shapes())

    def _shapes(self) -> Iterator[tuple[str, tuple[int, ...]]]:
        inward = self.features
        if self.encoder == "attention":
            yield "encoder.embed", (self.features, self.embed)
            yield "encoder.place", (self.features, self.embed)
            for name in ("query", "key", "value", "out"):
                yield f"encoder.{name}", (self.embed, self.embed)
            inward = self.embed
        elif self.encoder == "lstm":
            yield "encoder.kernel", (self.shape[1] + self.embed, 4 * self.embed)
            yield "encoder.bias", (4 * self.embed,)
            inward = self.embed
        elif self.encoder == "cnn":
            yield "encoder.kernel", (_KERNEL * _KERNEL * self.shape[2], self.embed)
            yield "encoder.bias", (self.embed,)
            inward = (self.shape[0] - 2) * (self.shape[1] - 2) * self.embed
        for place, outward in enumerate(self.hidden):
            yield from _dense(f"hidden.{place}", inward, outward)
            if self.layer_norm:
                yield f"hidden.{place}.scale", (outward,)
                yield f"hidden.{place}.offset", (outward,)
            inward = outward
        if self.stream:
            yield from _dense("value.0", inward, self.stream)
            yield from _dense("value.1", self.stream, 1)
            yield from _dense("advantage.0", inward, self.stream)
            yield from _dense("advantage.1", self.stream, self.width)
        else:
            yield from _dense("head", inward, self.width)

    def incidence(self, given: NDArray[np.float32] | None) -> NDArray[np.float32]:
        """Return which slots make up each action, (actions, slots) of 0 and 1; None gives each slot an action of its own.

        Raises InvalidInput for another number of slots than the network has.
        """
        found = np.eye(self.width, dtype=np.float32) if given is None else given
        if found.ndim != 2 or found.shape[1] != self.width:
            raise InvalidInput(f"incidence: shape {found.shape}, not (actions, {self.width}) of the network's slots.")
        return found

    def check_weights(self, weights: Mapping[str, Any]) -> None:
        """Raise InvalidInput unless names and shapes are those of this architecture and all numbers are finite."""
        wanted = self.shapes()
        if set(weights) != set(wanted):
            raise InvalidInput(f"network: weights {sorted(set(weights) ^ set(wanted))[:5]} are missing or unknown.")
        for name, shape in wanted.items():
            if weights[name].shape != shape:
                raise InvalidInput(f"network: {name} has shape {weights[name].shape}, not {shape}.")
            if not np.isfinite(weights[name]).all():
                raise InvalidInput(f"network: {name} holds numbers that are not finite.")

    def initial(self, rng: np.random.Generator, *, head_scale: float = 1.0) -> dict[str, NDArray[np.float32]]:
        """Return weights to begin with: orthogonal matrices (Saxe et al., 2014), zero biases, scales of one.

        head_scale: gain of the last layer; small for a policy, so that it begins nearly uniform.
        """
        last = {"head.kernel", "advantage.1.kernel", "value.1.kernel"}
        return {
            name: _initial(name, shape, rng, head_scale if name in last else math.sqrt(2.0))
            for name, shape in self.shapes().items()
        }


def _dense(name: str, inward: int, outward: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    yield f"{name}.kernel", (inward, outward)
    yield f"{name}.bias", (outward,)


def _initial(name: str, shape: tuple[int, ...], rng: np.random.Generator, gain: float) -> NDArray[np.float32]:
    if len(shape) == 1:
        return np.full(shape, 1.0 if name.endswith("scale") else 0.0, dtype=np.float32)
    drawn = rng.standard_normal((max(shape), min(shape)))
    q, r = np.linalg.qr(drawn)
    q = q * np.sign(np.diag(r))
    return np.asarray(gain * (q if shape[0] >= shape[1] else q.T), dtype=np.float32)

"""The forward pass of every network, written once against an array module: numpy where it serves, JAX where it learns.

The batch is the first axis and nothing mixes along it; there is no dropout: the value of a state depends on nothing else.
"""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from steersman.policies.deep.architecture import Architecture

Array = Any
"""An array of the module that is given: numpy.ndarray or jax.Array."""
_EPSILON = 1e-5


def slot_values(net: Architecture, weights: Mapping[str, Array], states: Array, xp: Any = np) -> Array:
    """Return the value of each slot, shape (n, width), for states of shape (n, features).

    Dueling: Q = V + A − mean(A), within each dimension of the actions; V is shared evenly among the dimensions.
    """
    x = _hidden(net, weights, _ENCODERS[net.encoder](net, weights, states, xp), xp)
    if not net.stream:
        return _dense(weights, "head", x)
    value = _dense(weights, "value.1", _act(net, _dense(weights, "value.0", x), xp))
    advantage = _dense(weights, "advantage.1", _act(net, _dense(weights, "advantage.0", x), xp))
    parts, start = [], 0
    for size in net.groups:
        part = advantage[:, start : start + size]
        parts.append(value / len(net.groups) + part - part.mean(axis=1, keepdims=True))
        start += size
    return xp.concatenate(parts, axis=1)


def _hidden(net: Architecture, weights: Mapping[str, Array], x: Array, xp: Any) -> Array:
    for place in range(len(net.hidden)):
        x = _dense(weights, f"hidden.{place}", x)
        if net.layer_norm:
            centred = x - x.mean(axis=-1, keepdims=True)
            x = centred / xp.sqrt((centred * centred).mean(axis=-1, keepdims=True) + _EPSILON)
            x = x * weights[f"hidden.{place}.scale"] + weights[f"hidden.{place}.offset"]
        x = _act(net, x, xp)
    return x


def _dense(weights: Mapping[str, Array], name: str, x: Array) -> Array:
    return x @ weights[f"{name}.kernel"] + weights[f"{name}.bias"]


def _act(net: Architecture, x: Array, xp: Any) -> Array:
    return xp.tanh(x) if net.activation == "tanh" else xp.maximum(x, 0.0)


def _as_is(net: Architecture, weights: Mapping[str, Array], states: Array, xp: Any) -> Array:
    return states


def _attention(net: Architecture, weights: Mapping[str, Array], states: Array, xp: Any) -> Array:
    """Features are tokens, (n, tokens, embed), that attend to each other, never across the batch. Vaswani et al. (2017)."""
    tokens = states[:, :, None] * weights["encoder.embed"] + weights["encoder.place"]
    count, size = states.shape[1], net.embed // net.heads
    q, k, v = (
        (tokens @ weights[f"encoder.{name}"]).reshape((-1, count, net.heads, size)).swapaxes(1, 2)
        for name in ("query", "key", "value")
    )
    scores = q @ k.swapaxes(-1, -2) / math.sqrt(size)
    scores = xp.exp(scores - scores.max(axis=-1, keepdims=True))
    mixed = (scores / scores.sum(axis=-1, keepdims=True)) @ v
    mixed = mixed.swapaxes(1, 2).reshape((-1, count, net.embed))
    return (tokens + mixed @ weights["encoder.out"]).mean(axis=1)


def _lstm(net: Architecture, weights: Mapping[str, Array], states: Array, xp: Any) -> Array:
    """The last output of an LSTM over the steps, oldest first. Hochreiter & Schmidhuber (1997), forget gates biased by 1."""
    steps = states.reshape((-1, *net.shape))
    hidden = cell = xp.zeros((steps.shape[0], net.embed), dtype=states.dtype)
    for step in range(net.shape[0]):
        gates = xp.concatenate([steps[:, step], hidden], axis=1) @ weights["encoder.kernel"] + weights["encoder.bias"]
        into, forget, update, out = (gates[:, i * net.embed : (i + 1) * net.embed] for i in range(4))
        cell = _sigmoid(forget + 1.0, xp) * cell + _sigmoid(into, xp) * xp.tanh(update)
        hidden = _sigmoid(out, xp) * xp.tanh(cell)
    return hidden


def _sigmoid(x: Array, xp: Any) -> Array:
    return 0.5 * (xp.tanh(0.5 * x) + 1.0)


def _cnn(net: Architecture, weights: Mapping[str, Array], states: Array, xp: Any) -> Array:
    """One convolution of 3 × 3 over the grid, flattened."""
    rows, columns, _ = net.shape
    grid = states.reshape((-1, *net.shape))
    patches = xp.concatenate(
        [grid[:, i : rows - 2 + i, j : columns - 2 + j] for i in range(3) for j in range(3)],
        axis=-1,
    )
    seen = xp.maximum(patches @ weights["encoder.kernel"] + weights["encoder.bias"], 0.0)
    return seen.reshape((-1, (rows - 2) * (columns - 2) * net.embed))


_ENCODERS = {"mlp": _as_is, "attention": _attention, "lstm": _lstm, "cnn": _cnn}

"""Batch: what one gradient step learns from, the same for every source of experience."""

from typing import Any, NamedTuple

Array = Any
"""A numpy.ndarray or a jax.Array."""


class Batch(NamedTuple):
    """Experience of n steps, each summed up over one or more rewards; a leading axis k holds the batches of k updates.

    states, next_states: (n, features) float32. actions: (n,) int32. rewards: (n,) float32, discounted sums over the steps
    up to next_states. next_allowed: (n, actions) bool, which actions the next state allows. discounts: (n,) float32,
    γ^steps, and 0 where the episode terminated; a time limit is no end: its last state is bootstrapped from. weights: (n,)
    float32, importance of each; 0 ignores one. allowed: (n, actions) bool, which actions the state allowed; None is all.
    """

    states: Array
    actions: Array
    rewards: Array
    next_states: Array
    next_allowed: Array
    discounts: Array
    weights: Array
    allowed: Array | None = None

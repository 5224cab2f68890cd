"""What the best possible learner would know: exact values and policies of a world, computed from its tables."""

import numpy as np
from numpy.typing import NDArray

from steersman.core.errors import InvalidInput
from steersman.testing.worlds import TabularWorld

Floats = NDArray[np.float64]


def optimal_values(world: TabularWorld, *, tolerance: float = 1e-12) -> Floats:
    """Return the optimal action values Q*, shape (S, A), within `tolerance`, by value iteration.

    Q(s, a) = Σ P(s′ | s, a)·(r + γ·max Q(s′)); Bellman (1957). Terminal states have value 0.
    """
    return soft_values(world, 0.0, tolerance=tolerance)


def soft_values(world: TabularWorld, epsilon: float, *, tolerance: float = 1e-12) -> Floats:
    """Return the action values of the best ε-soft policy, shape (S, A), by value iteration over ε-soft policies.

    V(s) = (1 − ε)·max Q(s) + ε·mean Q(s); Sutton & Barto (2018), section 5.4. Raises InvalidInput unless γ < 1 and
    ε lies in [0, 1].
    """
    if not (world.gamma < 1.0 and 0.0 <= epsilon <= 1.0):
        raise InvalidInput(f"planning needs gamma < 1 and epsilon in [0, 1], got {world.gamma}, {epsilon}.")
    expected = _expected_rewards(world)
    q = np.zeros_like(expected)
    while True:
        values = (1.0 - epsilon) * q.max(axis=1) + epsilon * q.mean(axis=1)
        q_next: Floats = expected + world.gamma * world.transitions @ values
        if np.abs(q_next - q).max() * world.gamma <= tolerance * (1.0 - world.gamma):
            return q_next
        q = q_next


def policy_values(world: TabularWorld, policy: Floats) -> Floats:
    """Return the state values of a stochastic policy π(a | s) of shape (S, A), shape (S,), by solving for them.

    V = (1 − γ·P_π)⁻¹ r_π; Sutton & Barto (2018), equation 4.4. Raises InvalidInput unless each row sums to 1.
    """
    if policy.shape != (world.states, world.actions) or not np.allclose(policy.sum(axis=1), 1.0):
        raise InvalidInput(f"policy: need one distribution over {world.actions} actions for each of {world.states} states.")
    transitions = np.einsum("sa,sat->st", policy, world.transitions)
    rewards = np.einsum("sa,sa->s", policy, _expected_rewards(world))
    values: Floats = np.linalg.solve(np.eye(world.states) - world.gamma * transitions, rewards)
    return values


def soft_policy(q: Floats, epsilon: float) -> Floats:
    """Return the ε-greedy policy of action values of shape (S, A), ties shared equally; greedy for an ε of 0."""
    best = q == q.max(axis=1, keepdims=True)
    policy: Floats = (1.0 - epsilon) * best / best.sum(axis=1, keepdims=True) + epsilon / q.shape[1]
    return policy


def start_value(world: TabularWorld, policy: Floats) -> float:
    """Return the expected discounted return of a policy of shape (S, A) from the start of an episode."""
    return float(world.start @ policy_values(world, policy))


def _expected_rewards(world: TabularWorld) -> Floats:
    """Return r(s, a) = Σ P(s′ | s, a)·r(s, a, s′), shape (S, A); 0 in terminal states, whatever the tables say."""
    expected: Floats = np.einsum("sat,sat->sa", world.transitions, world.rewards)
    expected[world.terminal] = 0.0
    return expected

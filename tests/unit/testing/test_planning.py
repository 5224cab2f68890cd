"""Planning gives what a hand gives on a world of two states, and is consistent with itself on the others."""

import numpy as np
import pytest

from steersman.core.errors import InvalidInput
from steersman.testing.planning import optimal_values, policy_values, soft_policy, soft_values, start_value
from steersman.testing.worlds import TabularWorld, all_worlds

# In state 0, action 0 stays for a reward of 1, action 1 ends in state 1 for a reward of 3; γ = 0.5.
TINY = TabularWorld(
    name="tiny",
    transitions=np.array([[[1.0, 0.0], [0.0, 1.0]], [[0.0, 1.0], [0.0, 1.0]]]),
    rewards=np.array([[[1.0, 0.0], [0.0, 3.0]], [[0.0, 0.0], [0.0, 0.0]]]),
    low=0.0,
    high=3.0,
    terminal=np.array([False, True]),
    start=np.array([1.0, 0.0]),
    gamma=0.5,
    time_limit=100,
)


def test_optimal_values_by_hand() -> None:
    # ending is best: V = 3, so staying is worth 1 + 0.5·3
    np.testing.assert_allclose(optimal_values(TINY), [[2.5, 3.0], [0.0, 0.0]], atol=1e-12)


def test_soft_values_by_hand() -> None:
    # V = 0.8·3 + 0.2·(1 + V/2 + 3)/2  →  0.95 V = 2.8
    value = 2.8 / 0.95
    np.testing.assert_allclose(soft_values(TINY, 0.2), [[1.0 + value / 2.0, 3.0], [0.0, 0.0]], atol=1e-12)


def test_policy_values_by_hand() -> None:
    # V = 0.4·(1 + V/2) + 0.6·3  →  0.8 V = 2.2
    np.testing.assert_allclose(policy_values(TINY, np.array([[0.4, 0.6], [0.5, 0.5]])), [2.75, 0.0])
    assert start_value(TINY, np.array([[1.0, 0.0], [1.0, 0.0]])) == pytest.approx(2.0)


def test_a_soft_policy_shares_ties() -> None:
    policy = soft_policy(np.array([[1.0, 2.0, 2.0, 0.0], [5.0, 0.0, 0.0, 0.0]]), 0.2)
    np.testing.assert_allclose(policy, [[0.05, 0.45, 0.45, 0.05], [0.85, 0.05, 0.05, 0.05]])


@pytest.mark.parametrize("world", all_worlds(), ids=lambda world: world.name)
@pytest.mark.parametrize("epsilon", [0.0, 0.2])
def test_the_best_policy_has_the_value_that_iteration_found(world: TabularWorld, epsilon: float) -> None:
    q = soft_values(world, epsilon)
    policy = soft_policy(q, epsilon)
    np.testing.assert_allclose(policy_values(world, policy), (policy * q).sum(axis=1), atol=1e-9)


@pytest.mark.parametrize("world", all_worlds(), ids=lambda world: world.name)
def test_no_soft_policy_beats_the_best_one(world: TabularWorld) -> None:
    best = policy_values(world, soft_policy(soft_values(world, 0.2), 0.2))
    rng = np.random.default_rng(0)
    for _ in range(50):
        other = policy_values(world, soft_policy(rng.normal(size=(world.states, world.actions)), 0.2))
        assert (other <= best + 1e-9).all()


def test_bad_requests_are_refused() -> None:
    with pytest.raises(InvalidInput, match="epsilon"):
        soft_values(TINY, 1.5)
    with pytest.raises(InvalidInput, match="policy"):
        policy_values(TINY, np.array([[0.4, 0.4], [0.5, 0.5]]))
    with pytest.raises(InvalidInput, match="policy"):
        policy_values(TINY, np.array([[0.4, 0.6]]))

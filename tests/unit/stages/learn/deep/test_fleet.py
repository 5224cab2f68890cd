"""A fleet as one program learns what each of its members would have learned alone."""

import jax
import numpy as np
import pytest

from steersman.core.errors import InvalidInput
from steersman.policies.deep.architecture import Architecture
from steersman.stages.learn.deep import device_replay, fleet, q_learning
from steersman.stages.learn.deep.batch import Batch
from steersman.stages.learn.deep.device_replay import Replay, Steps
from steersman.stages.learn.deep.q_learning import QSettings

NET = Architecture(features=3, groups=(2,), hidden=(8,), stream=4)
EACH = np.eye(2, dtype=np.float32)
SETTINGS = QSettings(batch=4, learning_rate=0.01)


def batches(learners: int, k: int = 5, n: int = 4) -> Batch:
    rng = np.random.default_rng(0)
    return Batch(
        states=rng.standard_normal((learners, k, n, 3)).astype(np.float32),
        actions=rng.integers(2, size=(learners, k, n)).astype(np.int32),
        rewards=rng.random((learners, k, n)).astype(np.float32),
        next_states=rng.standard_normal((learners, k, n, 3)).astype(np.float32),
        next_allowed=rng.random((learners, k, n, 2)) < 0.7,
        discounts=np.full((learners, k, n), 0.9, np.float32),
        weights=np.ones((learners, k, n), np.float32),
    )


def rngs(count: int) -> list[np.random.Generator]:
    return [np.random.default_rng(seed) for seed in range(count)]


def test_one_program_gives_what_one_by_one_gives() -> None:
    given = batches(3)
    together, metrics = fleet.train_fleet(NET, SETTINGS, EACH, fleet.begin_fleet(NET, SETTINGS, rngs(3)), given)
    for place, rng in enumerate(rngs(3)):
        own = Batch(*(None if each is None else each[place] for each in given))
        alone, seen = q_learning.train(NET, SETTINGS, EACH, q_learning.begin(NET, SETTINGS, rng), own)
        np.testing.assert_allclose(metrics.loss[place], seen.loss, rtol=1e-4)
        for name, each in fleet.member(together, place).weights.items():
            np.testing.assert_allclose(each, alone.weights[name], atol=1e-5)


def replay(seed: int, k: int = 12) -> Replay:
    """A ring of 16 places that holds k steps of one environment."""
    rng = np.random.default_rng(seed)
    steps = Steps(
        states=rng.standard_normal((k, 1, 3), np.float32),
        actions=rng.integers(2, size=(k, 1)).astype(np.int32),
        rewards=rng.random((k, 1), np.float32),
        next_states=rng.standard_normal((k, 1, 3), np.float32),
        terminated=rng.random((k, 1)) < 0.2,
        ended=rng.random((k, 1)) < 0.4,
        allowed=np.ones((k, 1, 2), bool),
        next_allowed=rng.random((k, 1, 2)) < 0.7,
        valid=np.ones((k, 1), bool),
    )
    return device_replay.add(device_replay.empty(NET, 2, 16), steps)  # type: ignore[no-any-return]


def test_each_on_its_own_replay_learns_what_it_would_alone() -> None:
    settings = QSettings(batch=4, learning_rate=0.01, alpha=0.6, n_step=2)
    keys = jax.random.split(jax.random.key(0), 2)
    states = fleet.begin_fleet(NET, settings, rngs(2))
    own = fleet.stack([replay(0), replay(1)])
    states, replays, metrics = fleet.learn_fleet(NET, settings, EACH, states, own, keys, updates=3)
    for place, rng in enumerate(rngs(2)):
        begun = q_learning.begin(NET, settings, rng)
        alone, after, seen = device_replay.learn(NET, settings, EACH, begun, replay(place), keys[place], updates=3)
        np.testing.assert_allclose(metrics.loss[place], seen.loss, rtol=1e-4)
        np.testing.assert_allclose(replays.priorities[place], after.priorities, atol=1e-5)
        for name, each in fleet.member(states, place).weights.items():
            np.testing.assert_allclose(each, alone.weights[name], atol=1e-5)


def test_one_member_that_fails_stops_alone() -> None:
    given = batches(3)
    given.rewards[0, 2] = np.nan
    states, metrics = fleet.train_fleet(NET, SETTINGS, EACH, fleet.begin_fleet(NET, SETTINGS, rngs(3)), given)
    assert metrics.finite.tolist() == [False, True, True]
    assert states.updates.tolist() == [2, 5, 5]
    assert all(np.isfinite(each).all() for each in jax.tree.leaves(states.weights))


def test_a_fleet_of_none_is_refused() -> None:
    with pytest.raises(InvalidInput, match="no learners"):
        fleet.begin_fleet(NET, SETTINGS, [])

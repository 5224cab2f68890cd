"""Replay on the device: sums over steps worked out by hand, and what is drawn how often."""

from typing import Any

import jax
import numpy as np
import pytest

from steersman.core.errors import InvalidInput
from steersman.policies.deep.architecture import Architecture
from steersman.stages.learn.deep import device_replay, q_learning
from steersman.stages.learn.deep.device_replay import Replay, Steps
from steersman.stages.learn.deep.q_learning import QSettings

NET = Architecture(features=1, groups=(2,), hidden=(4,), stream=0, layer_norm=False)
EACH = np.eye(2, dtype=np.float32)


def steps(rewards: list[list[float]], **fields: Any) -> Steps:
    """Return steps of shape (moments, environments) whose states count moments, and next states, too."""
    shape = np.shape(rewards)
    moments = np.arange(shape[0], dtype=np.float32)[:, None, None] + np.zeros((*shape, 1), np.float32)
    made = Steps(
        states=moments,
        actions=np.zeros(shape, np.int32),
        rewards=np.array(rewards, np.float32),
        next_states=moments + 1.0,
        terminated=np.zeros(shape, bool),
        ended=np.zeros(shape, bool),
        allowed=np.ones((*shape, 2), bool),
        next_allowed=np.ones((*shape, 2), bool),
        valid=np.ones(shape, bool),
    )
    return made._replace(**{name: np.array(each) for name, each in fields.items()})


def filled(given: Steps, capacity: int = 8) -> Replay:
    environments = given.rewards.shape[1]
    added: Replay = device_replay.add(device_replay.empty(NET, 2, capacity, environments), given)
    return added


def column(*values: bool) -> list[list[bool]]:
    return [[each] for each in values]


def gathered(replay: Replay, settings: QSettings, places: list[int]) -> dict[str, list[float]]:
    batch = device_replay.gather(replay, settings, np.array(places))
    return {
        "rewards": batch.rewards.tolist(),
        "discounts": batch.discounts.tolist(),
        "last": batch.next_states[:, 0].tolist(),
    }


def test_sums_run_over_n_steps_and_stop_at_the_newest() -> None:
    replay = filled(steps([[1.0], [2.0], [4.0], [8.0]]))
    assert gathered(replay, QSettings(n_step=3, gamma=0.5), [0, 1, 2, 3]) == {
        "rewards": [1.0 + 1.0 + 1.0, 2.0 + 2.0 + 2.0, 4.0 + 4.0, 8.0],
        "discounts": [0.125, 0.125, 0.25, 0.5],
        "last": [3.0, 4.0, 4.0, 4.0],
    }


def test_sums_stop_where_an_episode_ends_and_bootstrap_unless_it_terminated() -> None:
    ended = column(False, True, False, True)
    replay = filled(steps([[1.0], [2.0], [4.0], [8.0]], ended=ended, terminated=column(False, True, False, False)))
    assert gathered(replay, QSettings(n_step=3, gamma=0.5), [0, 1, 2, 3]) == {
        "rewards": [2.0, 2.0, 8.0, 8.0],
        "discounts": [0.0, 0.0, 0.25, 0.5],
        "last": [2.0, 2.0, 4.0, 4.0],
    }


def test_sums_stay_inside_their_environment() -> None:
    replay = filled(steps([[1.0, 100.0], [2.0, 200.0]]))
    assert gathered(replay, QSettings(n_step=2, gamma=0.5), [0, 1])["rewards"] == [2.0, 200.0]


def test_the_oldest_steps_are_overwritten_and_sums_cross_the_seam_but_not_the_newest() -> None:
    replay = filled(steps([[1.0], [2.0], [4.0]]), capacity=4)
    replay = device_replay.add(replay, steps([[8.0], [16.0]]))  # places 3 and 0
    assert int(replay.size) == 4
    assert gathered(replay, QSettings(n_step=2, gamma=0.5), [1, 2, 3, 0])["rewards"] == [4.0, 8.0, 16.0, 16.0]


def test_masks_are_those_of_the_state_that_is_bootstrapped_from() -> None:
    masks = np.array([[[True, True]], [[True, False]], [[False, True]]])
    replay = filled(steps([[0.0]] * 3, next_allowed=masks))
    batch = device_replay.gather(replay, QSettings(n_step=2), np.array([0, 1]))
    assert batch.next_allowed.tolist() == [[True, False], [False, True]]


@pytest.mark.parametrize("alpha", [0.0, 1.0])
def test_nothing_is_drawn_that_was_never_written(alpha: float) -> None:
    replay = filled(steps([[1.0], [2.0], [4.0]]))
    places, batch = device_replay.draw(replay, QSettings(alpha=alpha), jax.random.key(0), (20, 50))
    assert set(np.asarray(places).ravel()) == {0, 1, 2}
    assert batch.states.shape == (20, 50, 1)


@pytest.mark.parametrize("alpha", [0.0, 0.5])
def test_what_was_no_step_is_never_learned_from(alpha: float) -> None:
    replay = filled(steps([[1.0], [2.0], [4.0]], valid=column(True, False, True)))
    places, batch = device_replay.draw(replay, QSettings(alpha=alpha), jax.random.key(0), (20, 50))
    assert (np.asarray(batch.weights)[np.asarray(places) == 1] == 0.0).all()
    assert (np.asarray(batch.weights)[np.asarray(places) != 1] > 0.0).all()


def test_priorities_decide_how_often_and_weights_correct_it() -> None:
    replay = filled(steps([[0.0], [0.0]]))
    replay = device_replay.renew(replay, np.array([0, 1, 1]), np.array([2.999, -0.999, 0.5]))
    places, batch = device_replay.draw(replay, QSettings(alpha=1.0, beta=1.0), jax.random.key(1), (1, 4000))
    assert np.mean(np.asarray(places) == 0) == pytest.approx(0.75, abs=0.03)
    weights = np.asarray(batch.weights)
    np.testing.assert_allclose(weights[np.asarray(places) == 0], 1.0 / 3.0, rtol=1e-4)  # (2·0.75)⁻¹ over (2·0.25)⁻¹
    np.testing.assert_allclose(weights[np.asarray(places) == 1], 1.0, rtol=1e-4)


def test_new_steps_come_with_the_highest_priority_so_far() -> None:
    replay = device_replay.renew(filled(steps([[0.0]])), np.array([0]), np.array([6.999]))
    assert device_replay.add(replay, steps([[0.0]])).priorities.tolist()[:3] == pytest.approx([7.0, 7.0, 0.0])


def test_learning_renews_priorities_and_is_the_same_for_the_same_key() -> None:
    settings = QSettings(batch=8, alpha=0.6, learning_rate=0.01)
    runs = []
    for _ in range(2):
        state = q_learning.begin(NET, settings, np.random.default_rng(0))
        replay = filled(steps([[0.0], [5.0], [1.0]], terminated=column(True, True, True), ended=column(True, True, True)))
        runs.append(device_replay.learn(NET, settings, EACH, state, replay, jax.random.key(3), updates=4))
    (state, replay, metrics), (again, _, _) = runs
    assert all(np.array_equal(state.weights[name], again.weights[name]) for name in state.weights)
    assert int(state.updates) == 4
    assert metrics.td_errors.shape == (4, 8)
    assert replay.priorities[1] > replay.priorities[2] > 0.0


def test_a_capacity_that_its_environments_do_not_divide_is_refused() -> None:
    with pytest.raises(InvalidInput, match="multiple"):
        device_replay.empty(NET, 2, 7, 2)

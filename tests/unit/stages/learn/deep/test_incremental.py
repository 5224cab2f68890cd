"""A network goes on learning without forgetting, stops when it learns by heart, and never goes on from a loss of NaN."""

import jax.numpy as jnp
import numpy as np
import pytest
from numpy.typing import NDArray

from steersman.core.errors import InvalidInput
from steersman.policies.deep.architecture import Architecture
from steersman.policies.deep.forward import slot_values
from steersman.stages.learn.deep import incremental, q_learning
from steersman.stages.learn.deep.batch import Batch
from steersman.stages.learn.deep.incremental import LOOK, Run, Task, rows
from steersman.stages.learn.deep.q_learning import Ewc, QSettings

ACTIONS, FEATURES = 4, 9
NET = Architecture(features=FEATURES, groups=(ACTIONS,), hidden=(64,), stream=0)
FIRST, LATER = QSettings(batch=64, learning_rate=3e-3), QSettings(batch=64, learning_rate=1e-3)
EYE = np.eye(ACTIONS, dtype=np.float32)


def pays(states: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return what each action pays, (n, A): by the quadrant that two features show, turned around in the second task."""
    quadrant = 2 * (states[:, 0] > 0.5) + (states[:, 1] > 0.5)
    right = np.where(states[:, -1] > 0.5, 3 - quadrant, quadrant)
    return np.asarray(right[:, None] == np.arange(ACTIONS), dtype=np.float32)


def states(task: int, count: int, seed: int) -> NDArray[np.float32]:
    found = np.random.default_rng(seed).random((count, FEATURES), dtype=np.float32)
    found[:, -1] = task
    return found


def experience(task: int, count: int, seed: int) -> Batch:
    seen = states(task, count, seed)
    actions = np.random.default_rng(seed + 1).integers(ACTIONS, size=count).astype(np.int32)
    nothing = np.zeros(count, dtype=np.float32)
    return Batch(
        states=seen,
        actions=actions,
        rewards=pays(seen)[np.arange(count), actions],
        next_states=seen,
        next_allowed=np.ones((count, ACTIONS), dtype=np.bool_),
        discounts=nothing,
        weights=nothing + 1,
        allowed=np.ones((count, ACTIONS), dtype=np.bool_),
    )


def task(which: int, settings: QSettings, patience: int = 20, count: int = 2_000) -> Task:
    held = experience(which, min(count, 400), 7 + which)
    return Task(
        net=NET, settings=settings, incidence=EYE, learned=experience(which, count, which), held=held, patience=patience
    )


def score(run: Run, which: int) -> float:
    """Return what the greedy policy earns in a task, of 1 at most."""
    seen = states(which, 2_000, 99)
    chosen = slot_values(NET, {name: np.asarray(each) for name, each in run.best.items()}, seen).argmax(axis=1)
    return float(pays(seen)[np.arange(len(seen)), chosen].mean())


def trained(which: Task, run: Run, updates: int) -> Run:
    return incremental.train(which, run, updates, lambda _: None)


def test_with_ewc_an_old_task_is_kept_that_fine_tuning_forgets() -> None:
    rng = np.random.default_rng(0)
    before = trained(task(0, FIRST), incremental.begin(q_learning.begin(NET, FIRST, rng), rng), 600)
    kept = incremental.fisher(NET, EYE, before.best, experience(0, 2_000, 5), rng)
    state = before.state._replace(weights=dict(before.best))
    ewc = Ewc(1_000.0, kept, state.weights)
    plain = trained(task(1, LATER), incremental.begin(state, rng), 600)
    careful = trained(task(1, LATER), incremental.begin(state, rng, ewc), 600)
    was = score(before, 0)
    assert was > 0.9
    assert abs(before.q - 0.25) < 0.1  # one action in four pays 1
    assert score(plain, 0) < 0.9 * was
    assert score(careful, 0) >= 0.9 * was
    assert score(careful, 1) > score(before, 1) + 0.2  # it does not keep the old task by learning nothing


def test_the_information_is_that_of_a_linear_head_computed_by_hand() -> None:
    net = Architecture(features=2, groups=(2,), hidden=(), stream=0)
    weights = {name: jnp.zeros(shape) for name, shape in net.shapes().items()}
    seen = Batch(
        states=np.array([[1.0, 2.0]], np.float32),
        actions=np.array([1], np.int32),
        rewards=np.zeros(1),
        next_states=np.zeros((1, 2)),
        next_allowed=np.ones((1, 2)),
        discounts=np.zeros(1),
        weights=np.ones(1),
    )
    found = incremental.fisher(net, np.eye(2, dtype=np.float32), weights, seen, np.random.default_rng(0))
    assert np.allclose(found["head.kernel"], [[0.0, 1.0], [0.0, 4.0]])
    assert np.allclose(found["head.bias"], [0.0, 1.0])


def test_it_stops_when_it_only_learns_by_heart_and_keeps_what_was_best() -> None:
    rng = np.random.default_rng(1)
    few = task(0, QSettings(batch=64, learning_rate=3e-3), patience=3, count=60)
    noise = rng.normal(0.0, 1.0, len(few.learned.rewards)).astype(np.float32)
    noisy = Task(**{**vars(few), "learned": few.learned._replace(rewards=few.learned.rewards + noise)})
    seen: list[Run] = []
    run = incremental.train(noisy, incremental.begin(q_learning.begin(NET, FIRST, rng), rng), 5_000, seen.append)
    assert run.updates < 5_000
    assert run.stale == 3
    assert run.held == min(each.losses[1] for each in seen)
    assert len(seen) * LOOK == run.updates


def test_a_loss_that_is_no_number_stops_and_leaves_the_last_good_run() -> None:
    rng = np.random.default_rng(2)
    good = task(0, FIRST)
    bad = Task(**{**vars(good), "learned": good.learned._replace(rewards=np.full_like(good.learned.rewards, np.nan))})
    told: list[Run] = []
    begun = trained(good, incremental.begin(q_learning.begin(NET, FIRST, rng), rng), LOOK)
    with pytest.raises(InvalidInput, match=rf"no number after {2 * LOOK} updates.*learning_rate"):
        incremental.train(bad, begun, 1_000, told.append)
    assert told == []
    assert all(np.isfinite(each).all() for each in begun.state.weights.values())


def test_rows_take_the_shape_of_their_places() -> None:
    found = rows(experience(0, 10, 0), np.zeros((2, 3), np.int64))
    assert found.states.shape == (2, 3, FEATURES)

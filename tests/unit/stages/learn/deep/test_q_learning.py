"""Deep Q-learning: targets worked out by hand, and what must hold of every update."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from steersman.core.errors import InvalidInput
from steersman.policies.deep.architecture import Architecture
from steersman.policies.deep.forward import slot_values
from steersman.stages.learn.deep import q_learning
from steersman.stages.learn.deep.batch import Batch
from steersman.stages.learn.deep.q_learning import Ewc, QSettings, QState, bootstrap_values, conservatism, targets

LINEAR = Architecture(features=2, groups=(2,), hidden=(), stream=0, layer_norm=False)
NET = Architecture(features=3, groups=(2,), hidden=(8,), stream=4)
EACH = np.eye(2, dtype=np.float32)
SETTINGS = QSettings(batch=4, learning_rate=0.01)


def batch(k: int = 3, n: int = 4, net: Architecture = NET, **fields: Any) -> Batch:
    rng = np.random.default_rng(5)
    made = Batch(
        states=rng.standard_normal((k, n, net.features)).astype(np.float32),
        actions=rng.integers(2, size=(k, n)).astype(np.int32),
        rewards=rng.random((k, n)).astype(np.float32),
        next_states=rng.standard_normal((k, n, net.features)).astype(np.float32),
        next_allowed=np.ones((k, n, 2), bool),
        discounts=np.full((k, n), 0.9, np.float32),
        weights=np.ones((k, n), np.float32),
    )
    return made._replace(**fields)


def single(*, reward: float = 1.0, discount: float = 0.5, allowed: tuple[bool, bool] = (True, True)) -> Batch:
    """Return one update with one experience: state (1, 0), action 0, next state (0, 1)."""
    return Batch(
        states=np.array([[[1.0, 0.0]]], np.float32),
        actions=np.zeros((1, 1), np.int32),
        rewards=np.full((1, 1), reward, np.float32),
        next_states=np.array([[[0.0, 1.0]]], np.float32),
        next_allowed=np.array([[allowed]]),
        discounts=np.full((1, 1), discount, np.float32),
        weights=np.ones((1, 1), np.float32),
    )


def linear(online: tuple[float, float], target: tuple[float, float], settings: QSettings) -> QState:
    """Return a state in which all is worth 0 in state (1, 0), and two networks differ about state (0, 1)."""
    state = q_learning.resume(
        settings, {"head.kernel": np.array([[0.0, 0.0], online], np.float32), "head.bias": np.zeros(2)}
    )
    return state._replace(target=state.weights | {"head.kernel": jnp.array([[0.0, 0.0], target], jnp.float32)})


def td_error(given: Batch, *, double: bool) -> float:
    settings = QSettings(batch=1, double=double)
    _, metrics = q_learning.train(LINEAR, settings, EACH, linear((5.0, 3.0), (2.0, 4.0), settings), given)
    return float(metrics.td_errors[0, 0])


def same(first: Any, second: Any) -> bool:
    return all(np.array_equal(a, b) for a, b in zip(jax.tree.leaves(first), jax.tree.leaves(second), strict=True))


def test_dqn_bootstraps_from_the_best_value_of_the_target() -> None:
    assert td_error(single(), double=False) == 1.0 + 0.5 * 4.0


def test_double_dqn_bootstraps_from_the_targets_value_of_what_the_weights_choose() -> None:
    assert td_error(single(), double=True) == 1.0 + 0.5 * 2.0


@pytest.mark.parametrize("double", [False, True])
def test_a_terminal_state_is_not_bootstrapped_from_and_a_time_limit_is(double: bool) -> None:
    assert td_error(single(discount=0.0), double=double) == 1.0
    assert td_error(single(discount=0.9), double=double) == pytest.approx(1.0 + 0.9 * (2.0 if double else 4.0))


def test_an_action_that_is_not_allowed_is_never_bootstrapped_from() -> None:
    assert td_error(single(allowed=(True, False)), double=False) == 1.0 + 0.5 * 2.0
    assert td_error(single(allowed=(False, True)), double=True) == 1.0 + 0.5 * 4.0
    assert (
        td_error(single(allowed=(False, False)), double=False)
        == td_error(single(allowed=(False, False)), double=True)
        == 1.0
    )


def test_what_is_no_number_beyond_the_end_does_not_reach_a_target() -> None:
    ended = single(discount=0.0)
    last = Batch(*(None if each is None else each[0] for each in ended))
    assert targets(last, jnp.array([jnp.nan]))[0] == 1.0


def test_values_of_actions_are_sums_over_their_slots() -> None:
    net = Architecture(features=2, groups=(2, 2), hidden=(), stream=0, layer_norm=False)
    incidence = np.array([[1, 0, 1, 0], [1, 0, 0, 1], [0, 1, 1, 0], [0, 1, 0, 1]], np.float32)
    weights = {"head.kernel": np.zeros((2, 4), np.float32), "head.bias": np.array([1.0, 2.0, 10.0, 20.0], np.float32)}
    q = q_learning.q_values(net, incidence, weights, np.zeros((1, 2), np.float32))
    assert q.tolist() == [[11.0, 21.0, 12.0, 22.0]]


def test_the_chooser_decides_and_the_target_values() -> None:
    chooser, q_next = jnp.array([[1.0, 2.0], [2.0, 1.0]]), jnp.array([[10.0, 20.0], [30.0, 40.0]])
    assert bootstrap_values(chooser, q_next, jnp.ones((2, 2), bool)).tolist() == [20.0, 30.0]


def test_conservatism_counts_allowed_actions_alone() -> None:
    q, actions = jnp.array([[1.0, 3.0]]), jnp.array([0])
    assert conservatism(q, actions, None)[0] == pytest.approx(np.log(np.exp(1.0) + np.exp(3.0)) - 1.0)
    assert conservatism(q, actions, jnp.array([[True, False]]))[0] == pytest.approx(0.0, abs=1e-6)


def test_conservative_learning_values_what_was_never_tried_below_what_was() -> None:
    tried = batch(40, actions=np.zeros((40, 4), np.int32), discounts=np.zeros((40, 4), np.float32))
    gaps = []
    for conservative in (0.0, 1.0):
        settings = QSettings(batch=4, learning_rate=0.01, conservative=conservative)
        state = q_learning.begin(NET, settings, np.random.default_rng(0))
        state, _ = q_learning.train(NET, settings, EACH, state, tried)
        q = np.asarray(q_learning.q_values(NET, EACH, state.weights, tried.states[0]))
        gaps.append(float((q[:, 0] - q[:, 1]).mean()))
    assert gaps[1] > gaps[0] + 0.5


def test_the_loss_is_hubers_weighed_by_importance() -> None:
    settings = QSettings(batch=1, double=False, huber=1.0)
    for weight in (1.0, 0.25, 0.0):
        given = single()._replace(weights=np.full((1, 1), weight, np.float32))
        _, metrics = q_learning.train(LINEAR, settings, EACH, linear((5.0, 3.0), (2.0, 4.0), settings), given)
        assert float(metrics.loss[0]) == pytest.approx(weight * (3.0 - 0.5))


def test_the_target_follows_softly() -> None:
    settings = QSettings(batch=4, tau=0.25)
    before = q_learning.begin(NET, settings, np.random.default_rng(0))
    after, _ = q_learning.train(NET, settings, EACH, before, batch(1))
    for name, old in before.target.items():
        np.testing.assert_allclose(after.target[name], 0.75 * old + 0.25 * after.weights[name], rtol=1e-5, atol=1e-7)


def test_an_anchor_pulls_by_its_fisher_information() -> None:
    state = q_learning.begin(NET, SETTINGS, np.random.default_rng(0))
    fisher = {name: jnp.full_like(each, 2.0) for name, each in state.weights.items()}
    anchor = {name: each - 0.5 for name, each in state.weights.items()}
    _, free = q_learning.train(NET, SETTINGS, EACH, state, batch(1))
    _, held = q_learning.train(NET, SETTINGS, EACH, state, batch(1), Ewc(3.0, fisher, anchor))
    count = sum(each.size for each in state.weights.values())
    assert float(held.loss[0] - free.loss[0]) == pytest.approx(0.5 * 3.0 * 2.0 * 0.25 * count, rel=1e-4)


def test_many_updates_in_one_call_are_those_of_as_many_calls() -> None:
    state, given = q_learning.begin(NET, SETTINGS, np.random.default_rng(0)), batch(3)
    at_once, _ = q_learning.train(NET, SETTINGS, EACH, state, given)
    for place in range(3):
        one = Batch(*(None if each is None else each[place : place + 1] for each in given))
        state, _ = q_learning.train(NET, SETTINGS, EACH, state, one)
    assert int(at_once.updates) == int(state.updates) == 3
    for name, each in state.weights.items():
        np.testing.assert_allclose(at_once.weights[name], each, atol=1e-6)


def test_the_same_seed_gives_the_same_weights_to_the_bit() -> None:
    first, second = (
        q_learning.train(NET, SETTINGS, EACH, q_learning.begin(NET, SETTINGS, np.random.default_rng(seed)), batch())[0]
        for seed in (7, 7)
    )
    other, _ = q_learning.train(NET, SETTINGS, EACH, q_learning.begin(NET, SETTINGS, np.random.default_rng(8)), batch())
    assert same(first, second)
    assert not same(first, other)


@pytest.mark.parametrize(("field", "value"), [("rewards", np.nan), ("states", np.inf)])
def test_the_last_good_state_is_kept_where_a_loss_is_no_number(field: str, value: float) -> None:
    given = batch(3)
    poisoned = getattr(given, field).copy()
    poisoned[1] = value
    state = q_learning.begin(NET, SETTINGS, np.random.default_rng(0))
    good, _ = q_learning.train(NET, SETTINGS, EACH, state, Batch(*(None if each is None else each[:1] for each in given)))
    after, metrics = q_learning.train(NET, SETTINGS, EACH, state, given._replace(**{field: poisoned}))
    assert not bool(metrics.finite)
    assert int(after.updates) == 1
    for name, each in good.weights.items():
        np.testing.assert_allclose(after.weights[name], each, atol=1e-6)
    assert all(np.isfinite(each).all() for each in after.weights.values())


def test_what_was_learned_of_a_state_does_not_depend_on_its_neighbours() -> None:
    state, _ = q_learning.train(NET, SETTINGS, EACH, q_learning.begin(NET, SETTINGS, np.random.default_rng(0)), batch())
    states = batch().states[0]
    together = np.asarray(q_learning.q_values(NET, EACH, state.weights, states))
    served = {name: np.asarray(each) for name, each in state.weights.items()}
    for place in range(len(states)):
        np.testing.assert_allclose(slot_values(NET, served, states[place : place + 1])[0], together[place], atol=1e-5)


@pytest.mark.parametrize(
    ("given", "fault"),
    [
        (batch()._replace(states=np.zeros((3, 4, 2), np.float32)), "states"),
        (batch()._replace(next_allowed=np.ones((3, 4, 3), bool)), "next_allowed"),
        (batch()._replace(rewards=np.zeros(4, np.float32)), "rewards"),
        (batch()._replace(allowed=np.ones((3, 4, 1), bool)), "allowed"),
        (batch()._replace(actions=np.zeros(4, np.int32)), "states"),
    ],
)
def test_shapes_that_do_not_fit_are_named(given: Batch, fault: str) -> None:
    state = q_learning.begin(NET, SETTINGS, np.random.default_rng(0))
    with pytest.raises(InvalidInput, match=fault):
        q_learning.train(NET, SETTINGS, EACH, state, given)
    with pytest.raises(InvalidInput, match="incidence"):
        q_learning.train(NET, SETTINGS, np.ones((2, 3), np.float32), state, batch())

"""PPO: advantages and clipping by hand, masks that hold, seeds that give the same, losses that are numbers."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from steersman.core.errors import InvalidInput
from steersman.stages.learn.deep.device_replay import Steps
from steersman.stages.learn.deep.ppo import (
    Drawing,
    PPOSettings,
    action_logits,
    advantages,
    begin,
    clipped_loss,
    learn,
    networks,
    train_ppo,
)

SETTINGS = PPOSettings(hidden=(8,), collect=4, epochs=2, batch=8)
NETS = networks(2, (3,), SETTINGS)
EYE = np.eye(3, dtype=np.float32)


def steps(count: int = 4, environments: int = 2, **changes: Any) -> Steps:
    rng = np.random.default_rng(0)
    shape = (count, environments)
    fields: dict[str, Any] = {
        "states": rng.standard_normal((*shape, 2)).astype(np.float32),
        "actions": rng.integers(0, 3, shape).astype(np.int32),
        "rewards": rng.standard_normal(shape).astype(np.float32),
        "next_states": rng.standard_normal((*shape, 2)).astype(np.float32),
        "terminated": np.zeros(shape, bool),
        "ended": np.zeros(shape, bool),
        "allowed": np.ones((*shape, 3), bool),
        "next_allowed": np.ones((*shape, 3), bool),
        "valid": np.ones(shape, bool),
    }
    return Steps(**{**fields, **changes})


def column(*values: float) -> np.ndarray[Any, np.dtype[np.float32]]:
    return np.array(values, dtype=np.float32)[:, None]


def found(**changes: Any) -> list[float]:
    """Return the advantages of three rewards of 1, with values of 10 before and 20 after, γ ½ and λ ½."""
    given = steps(3, 1, rewards=column(1, 1, 1), **changes)
    made = advantages(given, column(10, 10, 10), column(20, 20, 20), gamma=0.5, trace=0.5)
    return [float(each) for each in made[:, 0]]


def test_advantages_by_hand() -> None:
    """δ = 1 + ½·20 − 10 = 1 each; A₂ = 1, A₁ = 1 + ¼, A₀ = 1 + ¼·1.25."""
    assert found() == [1.3125, 1.25, 1.0]


def test_where_an_episode_terminated_nothing_comes_after() -> None:
    """δ₁ = 1 − 10 = −9, and A₀ = 1 − ¼·9."""
    over = np.array([[False], [True], [False]])
    assert found(terminated=over, ended=over) == [-1.25, -9.0, 1.0]


def test_a_time_limit_is_bootstrapped_and_ends_the_trace() -> None:
    assert found(ended=np.array([[False], [True], [False]])) == [1.25, 1.0, 1.0]


def test_what_was_no_step_has_no_advantage() -> None:
    """The first step of a next episode that autoreset makes: nothing was done in it."""
    given = {"ended": np.array([[True], [False], [False]]), "valid": np.array([[True], [False], [True]])}
    assert found(**given) == [1.0, 0.25, 1.0]  # 0.25 = ¼·A₂, which the batch weighs with 0


@pytest.mark.parametrize(
    ("ratio", "advantage", "loss"),
    [(1.1, 2.0, -2.2), (1.5, 2.0, -2.4), (0.5, 2.0, -1.0), (0.5, -2.0, 1.6), (1.5, -2.0, 3.0), (1.0, 3.0, -3.0)],
)
def test_what_gains_by_a_larger_ratio_is_clipped_and_what_loses_is_not(ratio: float, advantage: float, loss: float) -> None:
    assert float(clipped_loss(jnp.float32(ratio), jnp.float32(advantage), 0.2)) == pytest.approx(loss)


def test_what_is_not_allowed_is_never_drawn_and_has_no_probability() -> None:
    state = begin(NETS, SETTINGS, np.random.default_rng(0))
    states, allowed = np.zeros((2_000, 2), np.float32), np.tile([True, False, True], (2_000, 1))
    drawn = Drawing(NETS.actor, EYE, state.weights["actor"]).act(states, allowed, epsilon=0.0, rng=np.random.default_rng(1))
    assert set(drawn.tolist()) == {0, 2}
    assert abs(np.mean(drawn == 0) - 0.5) < 0.05  # nearly even at first; ± 4 standard errors
    chances = np.exp(action_logits(NETS.actor, EYE, state.weights["actor"], states[:1], allowed[:1]))[0]
    assert chances[1] == 0.0
    assert chances.sum() == pytest.approx(1.0)


def test_the_logits_of_one_state_do_not_depend_on_its_neighbours() -> None:
    state, given = begin(NETS, SETTINGS, np.random.default_rng(0)), steps()
    states, allowed = given.states.reshape(-1, 2), given.allowed.reshape(-1, 3)
    together = action_logits(NETS.actor, EYE, state.weights["actor"], states, allowed)
    alone = action_logits(NETS.actor, EYE, state.weights["actor"], states[3:4], allowed[3:4])
    np.testing.assert_allclose(together[3:4], alone, atol=1e-6)


def test_a_better_action_becomes_likelier() -> None:
    state = begin(NETS, SETTINGS, np.random.default_rng(0))
    same = np.zeros((64, 8, 2), np.float32)
    actions = np.random.default_rng(3).integers(0, 3, (64, 8)).astype(np.int32)
    given = steps(64, 8, states=same, next_states=same, actions=actions, rewards=(actions == 1).astype(np.float32))
    over = np.ones((64, 8), bool)
    given = given._replace(terminated=over, ended=over)
    for number in range(5):
        state, _, _, good = learn(NETS, SETTINGS, EYE, state, given, jax.random.key(number), 1.0)
        assert bool(good)
    logits = action_logits(NETS.actor, EYE, state.weights["actor"], same[0, :1], np.ones((1, 3), bool))[0]
    assert int(logits.argmax()) == 1
    assert float(logits[1]) > float(np.log(0.4))


def test_a_loss_that_is_no_number_is_not_learned_from() -> None:
    state = begin(NETS, SETTINGS, np.random.default_rng(0))
    bad = steps(rewards=np.full((4, 2), np.nan, np.float32))
    after, _, _, good = learn(NETS, SETTINGS, EYE, state, bad, jax.random.key(0), 1.0)
    assert not bool(good)
    same = jax.tree.map(lambda one, other: bool((one == other).all()), after.weights, state.weights)
    assert all(jax.tree.leaves(same))


def test_networks_that_are_none_are_refused() -> None:
    with pytest.raises(InvalidInput, match="sizes must be positive"):
        begin(networks(0, (3,), SETTINGS), SETTINGS, np.random.default_rng(0))


class Corridor:
    """Two places; to stay pays 1 at the right one, where action 2 leads; episodes are cut after ten steps."""

    num_envs = 4

    def __init__(self) -> None:
        self.metadata: dict[str, Any] = {"autoreset_mode": "SameStep"}
        self._place = np.zeros(4, np.int64)
        self._steps = 0

    def _seen(self) -> Any:
        return np.eye(2, dtype=np.float32)[self._place]

    def reset(self, *, seed: Any = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        self._place, self._steps = np.zeros(4, np.int64), 0
        return self._seen(), {}

    def step(self, actions: Any) -> tuple[Any, Any, Any, Any, dict[str, Any]]:
        self._place = np.where(actions == 2, 1, np.where(actions == 0, 0, self._place))
        self._steps += 1
        rewards, over = self._place.astype(np.float64), np.full(4, self._steps == 10)
        infos = {"final_obs": list(self._seen())} if over.all() else {}
        if over.all():
            self._place, self._steps = np.zeros(4, np.int64), 0
        return self._seen(), rewards, np.zeros(4, bool), over, infos


def test_actions_of_other_slots_than_the_network_has_are_refused() -> None:
    with pytest.raises(InvalidInput, match=r"incidence: shape \(2, 2\), not \(actions, 3\)"):
        train_ppo(Corridor(), NETS, SETTINGS, incidence=np.eye(2, dtype=np.float32), seed=0, budget_steps=10)


def test_it_learns_and_a_seed_gives_the_same_weights() -> None:
    settings = PPOSettings(hidden=(8,), collect=10, epochs=5, batch=20, learning_rate=0.01)
    one, other = (train_ppo(Corridor(), NETS, settings, seed=3, budget_steps=2_000) for _ in range(2))
    assert all((one.weights[name] == other.weights[name]).all() for name in one.weights)
    assert one.returns == other.returns
    assert np.mean(one.returns[:4]) < 8.0 < np.mean(one.returns[-20:])
    assert one.finite

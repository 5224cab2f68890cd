"""Networks that learn at once: the difference reward finds the best joint policy, one's own misleads in a commons."""

import numpy as np
import pytest

from steersman.core.errors import InvalidInput
from steersman.policies.deep.architecture import Architecture
from steersman.stages.learn.deep.multi_agent import Mode, TrainedTeam, told, train_team
from steersman.stages.learn.deep.q_learning import QSettings
from steersman.stages.learn.deep.rollout import RolloutSettings
from steersman.testing.teams import Nights

SETTINGS = QSettings(gamma=0.0, batch=32, learning_rate=0.003)
ROLLOUT = RolloutSettings(
    collect=8, updates=8, capacity=512, warmup=64, epsilon_last=0.02, epsilon_over=0.6, score_every=256
)


def nights(guests: int = 20, seed: int = 0) -> Nights:
    return Nights(guests=guests, rooms=(2.0, 1.0), copies=8, seed=seed)


def train(world: Nights, mode: Mode, *, seed: int, steps: int = 3_072) -> TrainedTeam:
    net = Architecture(features=world.features, groups=(world.actions,), hidden=(16,), stream=0, layer_norm=False)
    return train_team(world, net, SETTINGS, ROLLOUT, mode=mode, seed=seed, budget_steps=steps, score=world.score)


@pytest.mark.long
def test_credit_by_difference_comes_near_the_best_where_the_teams_reward_does_not_and_the_own_one_misleads() -> None:
    reached: dict[Mode, list[float]] = {"independent": [], "cooperative": [], "difference": []}
    for mode, each in reached.items():
        for seed in (0, 1):
            world = nights(seed=seed)
            trained = train(world, mode, seed=seed)
            assert trained.finite
            each.append(trained.scores[-1][1] / world.best())
    assert np.mean(reached["difference"]) > 0.85
    assert np.mean(reached["cooperative"]) < np.mean(reached["difference"]) - 0.1
    assert max(reached["independent"]) < 0.5


def test_each_mode_tells_each_agent_its_part() -> None:
    world = nights(guests=3)
    utilities = [world.utility(copy) for copy in range(8)]
    rooms = [utility({"guest0": 1, "guest1": 0, "guest2": 0}) for utility in utilities]
    actions = np.repeat(np.array([[1], [1], [0]], dtype=np.int32), 8, axis=1)
    own = world.step(actions).rewards
    both = own[:2].sum(axis=0)
    assert np.all(own[2] == 0.0)
    np.testing.assert_array_equal(told("independent", own, utilities, actions, world)[0], own)
    shared, earned = told("cooperative", own, utilities, actions, world)
    np.testing.assert_allclose(shared, np.stack([both] * 3), rtol=1e-6)
    assert earned == pytest.approx(both.mean())
    added, _ = told("difference", own, utilities, actions, world)
    np.testing.assert_allclose(added, np.stack([both - rooms, both - rooms, np.zeros(8)]), rtol=1e-5, atol=1e-7)


def test_the_best_of_all_crowds_is_known() -> None:
    best = 2.0 * np.exp(-1.0) + np.exp(-1.0)
    assert nights().best() == pytest.approx(best)
    assert nights(guests=1).best() == pytest.approx(np.exp(-0.5))


def test_the_same_seed_gives_the_same_weights_and_another_others() -> None:
    a, b, c = (train(nights(), "difference", seed=seed, steps=128).weights["guest2"] for seed in (0, 0, 1))
    assert all(a[name].tobytes() == b[name].tobytes() for name in a)
    assert any(a[name].tobytes() != c[name].tobytes() for name in a)


def test_an_unknown_mode_is_refused() -> None:
    with pytest.raises(InvalidInput, match="cooperative"):
        train(nights(), "cooperativ", seed=0)  # type: ignore[arg-type]

"""Every world is an environment that passes Gymnasium's own checker, and does what the agent would see and be paid."""

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

from steersman.app.worlds import environment, register_worlds, world_id, world_targets
from steersman.backends.gymnasium import WorldEnv
from steersman.core.actions import Action
from steersman.core.errors import InvalidInput, NotFound
from steersman.core.world import Step, World
from steersman.policies.encoding import Encoder, feature_names
from steersman.testing.specs import small_agent

NAMES = sorted(world_targets())


class Shop(World):
    """Where nobody may take on heavy work when the load is 80 or more: the first state."""

    spec = small_agent()

    def reset(self, rng: np.random.Generator) -> dict[str, float | bool]:
        """Begin with a load of 80, and a backlog by luck."""
        self.taken: list[Action] = []
        self.backlog = float(rng.integers(1_000))
        return {"load": 80.0, "backlog": self.backlog, "weekend": False}

    def step(self, action: Action) -> Step:
        """Go on until three steps are taken, with a load of 0."""
        self.taken.append(action)
        state = {"load": 0.0, "backlog": self.backlog, "weekend": True}
        return Step(state=state, measurements={"reward": 0.5}, truncated=len(self.taken) == 3)


@pytest.mark.parametrize("flat", [True, False], ids=["discrete", "multi-discrete"])
@pytest.mark.parametrize("name", NAMES)
def test_every_world_passes_the_checker_of_gymnasium(name: str, flat: bool) -> None:
    register_worlds()
    env = gymnasium.make(world_id(name), flat=flat)
    check_env(env.unwrapped)
    assert isinstance(env.action_space, gymnasium.spaces.Discrete if flat else gymnasium.spaces.MultiDiscrete)
    env.close()


@pytest.mark.parametrize("name", NAMES)
def test_a_seed_gives_the_same_episode_and_rewards_stay_in_the_declared_range(name: str) -> None:
    env = environment(world_targets()[name])
    low, high = env.world.spec.reward_range
    episodes = []
    for _ in range(2):
        seen, info = env.reset(seed=7)
        episode, over, rng = [seen.tolist()], False, np.random.default_rng(1)
        while not over:
            action = np.int64(rng.choice(np.flatnonzero(info["action_mask"])))
            seen, reward, terminated, truncated, info = env.step(action)
            assert low <= float(reward) <= high
            assert not info["refused"]
            episode.append([*seen.tolist(), float(reward)])
            over = terminated or truncated
        episodes.append(episode)
    assert episodes[0] == episodes[1]


def test_registering_again_changes_nothing_and_worlds_of_ones_own_are_made_by_their_name() -> None:
    register_worlds()
    assert register_worlds() == sorted(world_id(name) for name in NAMES)
    assert "steersman/own-shop-v1" in register_worlds({"own/shop": f"{__name__}:Shop"})
    assert world_id("own/shop") == "steersman/own-shop-v1"


def test_a_refused_action_is_masked_and_the_safe_one_is_carried_out_in_its_place() -> None:
    world = Shop()
    env = _env(world)
    seen, info = env.reset(seed=3)
    assert info["action_mask"].tolist() == [1, 1, 1, 0]
    assert env.action_masks().tolist() == [True, True, True, False]
    assert seen.tolist() == pytest.approx([0.8, world.backlog / 1_000, 0.0])
    _, reward, _, _, info = env.step(np.int64(3))
    assert info["refused"]
    assert info["action_mask"].tolist() == [1, 1, 1, 1]
    assert reward == 0.5
    env.step(np.int64(3))
    assert [each["action"] for each in world.taken] == ["rest", "heavy"]


def test_a_limit_of_time_truncates_and_does_not_terminate() -> None:
    env = _env(Shop())
    env.reset(seed=0)
    ends = [env.step(np.int64(1))[2:4] for _ in range(3)]
    assert ends == [(False, False), (False, False), (False, True)]
    with pytest.raises(InvalidInput, match=r"call reset\(\)"):
        env.step(np.int64(1))


def test_what_is_no_action_is_refused_with_its_value() -> None:
    env = _env(Shop())
    env.reset(seed=0)
    with pytest.raises(InvalidInput, match="4"):
        env.step(np.int64(4))


def test_what_makes_no_world_is_refused() -> None:
    with pytest.raises(InvalidInput, match="dict"):
        environment("builtins:dict")
    with pytest.raises(NotFound, match="nowhere"):
        environment("nowhere:world")


def test_the_position_of_a_bandit_is_played_to_its_end_and_the_better_way_earns_more() -> None:
    world = environment("steersman.packs.trading.backtest.worlds:meta_strategy_world").world
    earned: dict[str, list[float]] = {"trend": [], "mean-reversion": []}
    for strategy, rewards in earned.items():
        rng = np.random.default_rng(5)
        for _ in range(60):
            state = world.reset(rng)
            step = world.step({"strategy": strategy, "model": "xgb", "weight": "down"})
            assert step.terminated
            if float(state["volatility"]) < 0.01:
                rewards.append(world.spec.reward.score(world.spec.reward.check(step.measurements)).reward)
    assert np.mean(earned["trend"]) > np.mean(earned["mean-reversion"])


def _env(world: World) -> WorldEnv:
    schema = world.spec.state
    return WorldEnv(world, Encoder(schema).vector, len(feature_names(schema)))

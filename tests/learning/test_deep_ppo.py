"""PPO solves CartPole from its environment."""

import gymnasium
import pytest
from gymnasium.vector import SyncVectorEnv

from steersman.stages.learn.deep.collector import Greedy
from steersman.stages.learn.deep.ppo import PPOSettings, networks, train_ppo
from steersman.stages.learn.deep.rollout import mean_return

SETTINGS = PPOSettings(score_every=5_000)


def cart_poles(count: int) -> SyncVectorEnv:
    return SyncVectorEnv([lambda: gymnasium.make("CartPole-v1") for _ in range(count)])


@pytest.mark.long
def test_ppo_balances_the_pole_within_fifty_thousand_steps() -> None:
    def score(actor: Greedy) -> float:
        return mean_return(actor, cart_poles(20), actions=2, features=4, episodes=20, seed=1)

    nets = networks(4, (2,), SETTINGS)
    trained = train_ppo(cart_poles(8), nets, SETTINGS, seed=0, budget_steps=50_000, score=score, solved=450.0)
    assert trained.solved_at is not None

"""Deep Q-learning solves CartPole from its environment; benchmarks/deep_known_answers.py holds five seeds beside a peer."""

import gymnasium
import numpy as np
import pytest
from gymnasium.vector import SyncVectorEnv

from steersman.policies.deep.architecture import Architecture
from steersman.stages.learn.deep.collector import Greedy
from steersman.stages.learn.deep.q_learning import QSettings
from steersman.stages.learn.deep.rollout import RolloutSettings, mean_return, train_q

NET = Architecture(features=4, groups=(2,), hidden=(128, 128), stream=0, layer_norm=False)
SETTINGS = QSettings(learning_rate=2.3e-3, batch=64, tau=0.02, n_step=3)
ROLLOUT = RolloutSettings(epsilon_last=0.04, epsilon_over=0.4, score_every=2_000)


def cart_poles(count: int) -> SyncVectorEnv:
    return SyncVectorEnv([lambda: gymnasium.make("CartPole-v1") for _ in range(count)])


@pytest.mark.long
def test_double_dqn_balances_the_pole_within_twenty_thousand_steps() -> None:
    def score(actor: Greedy) -> float:
        return mean_return(actor, cart_poles(20), actions=2, features=4, episodes=20, seed=1)

    trained = train_q(cart_poles(1), NET, SETTINGS, ROLLOUT, seed=0, budget_steps=20_000, score=score, solved=450.0)
    assert trained.solved_at is not None
    assert score(Greedy(NET, np.eye(2, dtype=np.float32), trained.weights)) >= 450.0

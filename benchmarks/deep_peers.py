"""What other libraries do, for deep_speed.py and deep_known_answers.py, which start this with the peers' interpreter.

    PYTHON benchmarks/deep_peers.py speed NAME SIZE SECONDS
    PYTHON benchmarks/deep_peers.py answers METHOD ENVIRONMENT SEED BUDGET SOLVED SCORE_EVERY

That interpreter has torch, stable-baselines3, tianshou and gymnasium, in an environment of its own. Prints one line of JSON.
`speed`: gradient steps a second, drawing from a full replay of 10,000 steps included, of NAME: sb3 (Stable-Baselines3,
calling its own `train`), tianshou (its `update`), or torch (a loop as CleanRL's dqn.py has it, written for this).
`answers`: steps until the mean of 100 greedy episodes reached SOLVED, asked every SCORE_EVERY steps, by METHOD dqn or ppo
with the settings that RL Baselines3 Zoo tuned.
"""

import json
import sys
import time
from typing import Any

import gymnasium
import numpy as np
import torch  # type: ignore[import-not-found, unused-ignore]
from stable_baselines3 import DQN, PPO  # type: ignore[import-not-found, unused-ignore]
from stable_baselines3.common.callbacks import BaseCallback  # type: ignore[import-not-found, unused-ignore]
from stable_baselines3.common.env_util import make_vec_env  # type: ignore[import-not-found, unused-ignore]
from stable_baselines3.common.logger import configure  # type: ignore[import-not-found, unused-ignore]

SIZES: dict[str, tuple[int, int, list[int], int]] = {
    "small": (4, 2, [64, 64], 64),
    "large": (32, 6, [512, 256, 128], 256),
}
"""Features, actions, widths of the layers, batch."""
TUNED: dict[str, dict[str, Any]] = {
    "CartPole-v1": {
        "learning_rate": 2.3e-3,
        "batch_size": 64,
        "buffer_size": 100_000,
        "learning_starts": 1_000,
        "target_update_interval": 10,
        "train_freq": 256,
        "gradient_steps": 128,
        "exploration_fraction": 0.16,
        "exploration_final_eps": 0.04,
    },
    "LunarLander-v3": {
        "learning_rate": 6.3e-4,
        "batch_size": 128,
        "buffer_size": 50_000,
        "learning_starts": 0,
        "target_update_interval": 250,
        "train_freq": 4,
        "gradient_steps": -1,
        "exploration_fraction": 0.12,
        "exploration_final_eps": 0.1,
    },
}
"""RL Baselines3 Zoo, hyperparams/dqn.yml; all with layers of (256, 256) and gamma 0.99."""
TUNED_PPO: dict[str, tuple[int, dict[str, Any]]] = {
    "CartPole-v1": (
        8,
        {
            "n_steps": 32,
            "batch_size": 256,
            "gae_lambda": 0.8,
            "gamma": 0.98,
            "n_epochs": 20,
            "ent_coef": 0.0,
            "learning_rate": lambda left: 1e-3 * left,
            "clip_range": lambda left: 0.2 * left,
        },
    ),
    "LunarLander-v3": (
        16,
        {
            "n_steps": 1_024,
            "batch_size": 64,
            "gae_lambda": 0.98,
            "gamma": 0.999,
            "n_epochs": 4,
            "ent_coef": 0.01,
        },
    ),
}
"""RL Baselines3 Zoo, hyperparams/ppo.yml: how many environments are stepped together, and the rest."""


class Fixed(gymnasium.Env[Any, Any]):
    """Spaces and no world: experience is put into the replay directly."""

    def __init__(self, features: int, actions: int) -> None:
        self.observation_space = gymnasium.spaces.Box(-10.0, 10.0, (features,), np.float32)
        self.action_space = gymnasium.spaces.Discrete(actions)


def sb3_step(size: str) -> Any:
    """Return a call of 50 gradient steps by Stable-Baselines3."""
    features, actions, layers, batch = SIZES[size]
    model = DQN(
        "MlpPolicy", Fixed(features, actions), policy_kwargs={"net_arch": layers}, batch_size=batch, buffer_size=10_000
    )
    model.set_logger(configure(None, []))
    rng = np.random.default_rng(0)
    for _ in range(10_000):
        state, following = rng.standard_normal((2, 1, features)).astype(np.float32)
        model.replay_buffer.add(state, following, np.array([rng.integers(actions)]), rng.random(1), np.zeros(1), [{}])
    return lambda: model.train(50, batch_size=batch)


def tianshou_step(size: str) -> Any:
    """Return a call of 50 gradient steps by Tianshou: Double DQN; the large network has dueling streams, as ours has."""
    from tianshou import algorithm  # type: ignore[import-not-found, unused-ignore]
    from tianshou.algorithm.modelfree.dqn import (  # type: ignore[import-not-found, unused-ignore]
        DiscreteQLearningPolicy,
    )
    from tianshou.algorithm.optim import AdamOptimizerFactory  # type: ignore[import-not-found, unused-ignore]
    from tianshou.data import Batch, ReplayBuffer  # type: ignore[import-not-found, unused-ignore]
    from tianshou.utils.net.common import Net  # type: ignore[import-not-found, unused-ignore]
    from tianshou.utils.torch_utils import (  # type: ignore[import-not-found, unused-ignore]
        policy_within_training_step,
    )

    features, actions, layers, batch = SIZES[size]
    shared, streams = (layers, None) if size == "small" else (layers[:-1], ({"hidden_sizes": layers[-1:]},) * 2)
    net = Net(state_shape=(features,), action_shape=actions, hidden_sizes=shared, dueling_param=streams)
    policy = DiscreteQLearningPolicy(model=net, action_space=gymnasium.spaces.Discrete(actions))
    learner = algorithm.DQN(policy=policy, optim=AdamOptimizerFactory(lr=3e-4), target_update_freq=250)
    replay, rng = ReplayBuffer(10_000), np.random.default_rng(0)
    for _ in range(10_000):
        state, following = rng.standard_normal((2, features)).astype(np.float32)
        step = {"obs": state, "act": rng.integers(actions), "rew": rng.random(), "obs_next": following, "info": {}}
        replay.add(Batch(**step, terminated=False, truncated=False))

    def fifty() -> None:
        with policy_within_training_step(policy):
            for _ in range(50):
                learner.update(replay, batch)

    return fifty


def torch_step(size: str) -> Any:
    """Return a call of 50 gradient steps of plain DQN in torch, with a soft target."""
    features, actions, layers, batch = SIZES[size]
    rng = np.random.default_rng(0)
    states, following = rng.standard_normal((2, 10_000, features)).astype(np.float32)
    chosen, rewards = rng.integers(actions, size=(10_000, 1)), rng.random(10_000).astype(np.float32)

    def network() -> Any:
        widths = [features, *layers]
        parts = [p for a, b in zip(widths, layers, strict=False) for p in (torch.nn.Linear(a, b), torch.nn.ReLU())]
        return torch.nn.Sequential(*parts, torch.nn.Linear(layers[-1], actions))

    online, target = network(), network()
    optimiser = torch.optim.Adam(online.parameters(), lr=3e-4)

    def one() -> None:
        places = rng.integers(10_000, size=batch)
        with torch.no_grad():
            best = target(torch.from_numpy(following[places])).max(dim=1).values
            wanted = torch.from_numpy(rewards[places]) + 0.99 * best
        taken = online(torch.from_numpy(states[places])).gather(1, torch.from_numpy(chosen[places])).squeeze(1)
        loss = torch.nn.functional.mse_loss(wanted, taken)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        with torch.no_grad():
            for old, new in zip(target.parameters(), online.parameters(), strict=True):
                old.mul_(0.999).add_(new, alpha=0.001)

    def fifty() -> None:
        for _ in range(50):
            one()

    return fifty


def speed(name: str, size: str, seconds: float) -> float:
    """Return gradient steps a second."""
    call = {"sb3": sb3_step, "tianshou": tianshou_step, "torch": torch_step}[name](size)
    call()
    calls, start = 0, time.perf_counter()
    while time.perf_counter() < start + seconds:
        call()
        calls += 1
    return 50 * calls / (time.perf_counter() - start)


class UntilSolved(BaseCallback):  # type: ignore[misc, unused-ignore]
    """Scores the greedy policy every so many steps on 100 episodes, as the other side is scored."""

    def __init__(self, environment: str, solved: float, every: int) -> None:
        super().__init__()
        self.worlds = gymnasium.make_vec(environment, num_envs=50)
        self.solved, self.every, self.asked = solved, every, 0
        self.solved_at: int | None = None
        self.scores: list[float] = []

    def _on_step(self) -> bool:
        if self.num_timesteps < self.asked + self.every:
            return True
        self.asked = self.num_timesteps
        self.scores.append(self._score())
        if self.scores[-1] >= self.solved:
            self.solved_at = self.num_timesteps
        return self.solved_at is None

    def _score(self) -> float:
        """Return the mean return of two episodes of each of 50 environments; a step that only resets counts for none."""
        states, _ = self.worlds.reset(seed=1_000)
        counts, running, total, resetting = np.zeros(50), np.zeros(50), 0.0, np.zeros(50, bool)
        while (counts < 2).any():
            actions, _ = self.model.predict(states, deterministic=True)
            states, rewards, terminated, truncated, _ = self.worlds.step(actions)
            running += np.where(resetting, 0.0, rewards)
            ended = (terminated | truncated) & ~resetting
            total += float(running[ended & (counts < 2)].sum())
            running[ended] = 0.0
            counts, resetting = counts + ended, ended
        return total / 100


def learner(method: str, environment: str, seed: int) -> Any:
    """Return Stable-Baselines3's learner with tuned settings."""
    if method == "dqn":
        policy = {"net_arch": [256, 256]}
        world = gymnasium.make(environment)
        return DQN("MlpPolicy", world, policy_kwargs=policy, gamma=0.99, seed=seed, **TUNED[environment])
    count, settings = TUNED_PPO[environment]
    return PPO("MlpPolicy", make_vec_env(environment, count, seed=seed), seed=seed, device="cpu", **settings)


def answers(method: str, environment: str, seed: int, *, budget: int, solved: float, every: int) -> dict[str, Any]:
    """Return after how many steps it was solved, None where it was not, and all scores."""
    watcher = UntilSolved(environment, solved, every)
    learner(method, environment, seed).learn(budget, callback=watcher)
    return {"solved_at": watcher.solved_at, "scores": watcher.scores}


def main(kind: str, *given: str) -> None:
    """Print what was asked for as JSON."""
    torch.set_num_threads(1)
    if kind == "speed":
        print(json.dumps({"steps_per_s": speed(given[0], given[1], float(given[2]))}))
    else:
        method, environment, seed, budget, solved, every = given
        found = answers(method, environment, int(seed), budget=int(budget), solved=float(solved), every=int(every))
        print(json.dumps(found))


if __name__ == "__main__":
    main(*sys.argv[1:])

"""After how many environment steps deep learners solve CartPole-v1 and LunarLander-v3, beside Stable-Baselines3, tuned.

    python benchmarks/deep_known_answers.py [--environment CartPole-v1] [--first-seed 100] [--peers PYTHON] [--learners …]

Solved is a mean return of at least 475 (CartPole) or 200 (LunarLander, which needs gymnasium[box2d]) over 100 episodes
without exploration, scored every so many steps, the same way for all; both sides stop at the first such score, and a run
that never has one counts with the whole budget. Contenders: DQN, Double DQN, PPO; Stable-Baselines3's DQN and PPO with the
settings of RL Baselines3 Zoo, run by deep_peers.py under the interpreter given. Our settings were chosen on seeds 0 to 2, so
that others are asked. Printed are the steps of each seed, their mean and its 95 % interval. Exits with 1 where a learner of
ours was solved later, on the mean, than the peer's of its kind.
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import gymnasium
import msgspec
import numpy as np

from steersman.maths.statistics import mean_interval
from steersman.policies.deep.architecture import Architecture
from steersman.stages.learn.deep.ppo import PPOSettings, networks, train_ppo
from steersman.stages.learn.deep.q_learning import QSettings
from steersman.stages.learn.deep.rollout import Greedy, RolloutSettings, mean_return, train_q

EPISODES = 100


@dataclass(frozen=True, kw_only=True)
class Budget:
    """After how many steps a learner gives up, and how many lie between two scores."""

    steps: int
    score_every: int


@dataclass(frozen=True, kw_only=True)
class Task:
    """An environment, when it is solved, and the settings and budgets of both kinds of learners."""

    features: int
    actions: int
    solved: float
    q: QSettings
    rollout: RolloutSettings
    q_budget: Budget
    ppo: PPOSettings
    together: int
    """Environments that PPO steps together."""
    ppo_budget: Budget


TASKS = {
    "CartPole-v1": Task(
        features=4,
        actions=2,
        solved=475.0,
        q=QSettings(learning_rate=2.3e-3, batch=64, tau=0.02, n_step=3),
        rollout=RolloutSettings(epsilon_last=0.04, epsilon_over=0.16),
        q_budget=Budget(steps=50_000, score_every=2_500),
        ppo=PPOSettings(),
        together=8,
        ppo_budget=Budget(steps=100_000, score_every=2_500),
    ),
    "LunarLander-v3": Task(
        features=8,
        actions=4,
        solved=200.0,
        q=QSettings(learning_rate=6.3e-4, batch=128, tau=0.005, n_step=3),
        rollout=RolloutSettings(collect=64, updates=64, epsilon_last=0.05, epsilon_over=0.12),
        q_budget=Budget(steps=100_000, score_every=5_000),
        ppo=PPOSettings(gamma=0.999, trace=0.98, collect=256, epochs=10, batch=128, entropy=0.01),
        together=16,
        ppo_budget=Budget(steps=400_000, score_every=25_000),
    ),
}


def solved_by_q(environment: str, seed: int, *, double: bool) -> int | None:
    """Return after how many steps deep Q-learning solved an environment; None where it did not."""
    task = TASKS[environment]
    net = Architecture(features=task.features, groups=(task.actions,), hidden=(256, 256), stream=0, layer_norm=False)
    return train_q(
        gymnasium.make_vec(environment, num_envs=1),
        net,
        msgspec.structs.replace(task.q, double=double),
        msgspec.structs.replace(task.rollout, score_every=task.q_budget.score_every),
        seed=seed,
        budget_steps=task.q_budget.steps,
        score=lambda actor: score(actor, environment),
        solved=task.solved,
    ).solved_at


def solved_by_ppo(environment: str, seed: int) -> int | None:
    """Return after how many steps PPO solved an environment; None where it did not."""
    task = TASKS[environment]
    own = msgspec.structs.replace(task.ppo, score_every=task.ppo_budget.score_every)
    return train_ppo(
        gymnasium.make_vec(environment, num_envs=task.together),
        networks(task.features, (task.actions,), own),
        own,
        seed=seed,
        budget_steps=task.ppo_budget.steps,
        score=lambda actor: score(actor, environment),
        solved=task.solved,
    ).solved_at


def score(actor: Greedy, environment: str) -> float:
    """Return the mean return of 100 episodes without exploration."""
    task, worlds = TASKS[environment], gymnasium.make_vec(environment, num_envs=50)
    return mean_return(actor, worlds, actions=task.actions, features=task.features, episodes=EPISODES, seed=1_000)


def solved_by_peer(python: str, method: str, environment: str, seed: int) -> int | None:
    """Return after how many steps Stable-Baselines3's tuned learner solved an environment."""
    task, script, budget = TASKS[environment], Path(__file__).with_name("deep_peers.py"), budget_of(environment, method)
    limits = [str(each) for each in (seed, budget.steps, task.solved, budget.score_every)]
    command = [python, str(script), "answers", method, environment, *limits]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    steps = json.loads(done.stdout.splitlines()[-1])["solved_at"]
    return None if steps is None else int(steps)


def budget_of(environment: str, learner: str) -> Budget:
    """Return the budget of a kind of learner."""
    return TASKS[environment].ppo_budget if learner == "ppo" else TASKS[environment].q_budget


Learner = Callable[[str, int], int | None]
"""From the name of an environment and a seed to the steps until it was solved."""

LEARNERS: dict[str, Learner] = {
    "dqn": lambda environment, seed: solved_by_q(environment, seed, double=False),
    "double-dqn": lambda environment, seed: solved_by_q(environment, seed, double=True),
    "ppo": solved_by_ppo,
}
PEERS = {"dqn": "dqn", "double-dqn": "dqn", "ppo": "ppo"}
"""Which method of Stable-Baselines3 each learner is held against: it has no Double DQN."""


def measure(name: str, learner: Learner, environment: str, *, seeds: Sequence[int], budget: Budget) -> float:
    """Print the steps of each seed and return their mean, a run without an answer counted with its whole budget."""
    steps = []
    for seed in seeds:
        steps.append(learner(environment, seed))
        print(f"{environment} {name}: seed {seed} {steps[-1] or 'not solved'}", flush=True)
    counted = np.array([budget.steps if each is None else each for each in steps], dtype=float)
    low, high = mean_interval(counted) if len(counted) > 1 else (counted[0], counted[0])
    solved = sum(each is not None for each in steps)
    print(f"{environment} {name}: {solved} of {len(steps)} solved, {counted.mean():,.0f} steps [{low:,.0f}, {high:,.0f}]")
    return float(counted.mean())


def peer(python: str, method: str) -> Learner:
    """Return a learner of Stable-Baselines3."""
    return lambda environment, seed: solved_by_peer(python, method, environment, seed)


def main() -> int:
    """Measure what was asked for; return 1 where a learner took more steps than the peer."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--environment", action="append", choices=list(TASKS))
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--first-seed", type=int, default=100)
    parser.add_argument("--peers")
    parser.add_argument("--learners", nargs="+", choices=list(LEARNERS), default=list(LEARNERS))
    options = parser.parse_args()
    later = False
    seeds = range(options.first_seed, options.first_seed + options.seeds)
    for environment in options.environment or list(TASKS):
        means, peers = dict[str, float](), dict[str, float]()
        for name in options.learners:
            budget = budget_of(environment, name)
            means[name] = measure(name, LEARNERS[name], environment, seeds=seeds, budget=budget)
        for method in sorted({PEERS[name] for name in means}) if options.peers else []:
            theirs, budget = peer(options.peers, method), budget_of(environment, method)
            peers[method] = measure(f"stable-baselines3 {method}", theirs, environment, seeds=seeds, budget=budget)
        later |= any(mean > peers.get(PEERS[name], mean) for name, mean in means.items())
    return int(later)


if __name__ == "__main__":
    sys.exit(main())

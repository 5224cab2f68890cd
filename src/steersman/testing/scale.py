"""A training by several workers of which an actor and the learner are killed in its middle."""

import os
import signal
from dataclasses import dataclass, field
from functools import partial

import numpy as np

from steersman.app.scale import vector
from steersman.core.compute import Budget, Compute
from steersman.loops import scale
from steersman.loops.scale import Scaled
from steersman.policies.deep.architecture import Architecture
from steersman.stages.learn.deep.collector import Greedy, VectorWorld
from steersman.stages.learn.deep.parallel import Task
from steersman.stages.learn.deep.q_learning import QSettings
from steersman.stages.learn.deep.rollout import Progress, RolloutSettings, mean_return

RANDOM_RETURN = 22.0
"""What actions at random earn in CartPole-v1."""


def cart_pole() -> Task:
    """Return a small training on CartPole-v1."""
    return Task(
        world=partial(vector, "CartPole-v1"),
        net=Architecture(features=4, groups=(2,), hidden=(64, 64), stream=0, layer_norm=False),
        settings=QSettings(learning_rate=2.3e-3, batch=64, tau=0.02, n_step=3),
        rollout=RolloutSettings(warmup=500, epsilon_last=0.04, epsilon_over=0.3, score_every=1_000),
        incidence=np.eye(2, dtype=np.float32),
    )


def fatal(_: int) -> VectorWorld:
    """End the process that asks for an environment."""
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError


@dataclass(kw_only=True)
class Killer:
    """Kills the newest worker of a kind by SIGKILL once a training has made so many steps; killed: the names of those."""

    compute: Compute
    at: dict[str, int]
    killed: list[str] = field(default_factory=list)

    def told(self, progress: Progress) -> None:
        """Hear how far the training is."""
        for kind in [each for each, steps in self.at.items() if progress.steps >= steps]:
            del self.at[kind]
            worker = [each for each in self.compute.workers if each.name.startswith(kind)][-1]
            os.kill(worker.pid, signal.SIGKILL)
            self.killed.append(worker.name)


def train_with_losses(compute: Compute, *, steps: int) -> tuple[Scaled, list[str]]:
    """Return what became of a training on two actors, and the names of the workers that were killed."""
    killer = Killer(compute=compute, at={"actor": steps // 4, "learner": steps // 2})
    budget = Budget(steps=steps, seconds=240.0)
    return scale.train(compute, cart_pole(), actors=2, budget=budget, seed=1, told=killer.told), killer.killed


def earned(trained: Scaled, *, episodes: int = 20) -> float:
    """Return what a policy earns in CartPole-v1, by episodes that nothing was chosen by."""
    task = cart_pole()
    actor = Greedy(task.net, task.incidence, trained.weights)
    return mean_return(actor, task.world(episodes), actions=2, features=4, episodes=episodes, seed=1_000_000)

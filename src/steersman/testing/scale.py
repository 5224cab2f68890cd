"""A training by several workers of which an actor and the learner are killed in its middle."""
# ruff: noqa: S101 - these are parts of tests

import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from steersman.app.scale import vector
from steersman.core.compute import Budget, Compute
from steersman.loops import scale
from steersman.loops.scale import Scaled
from steersman.policies.deep.architecture import Architecture
from steersman.stages.learn.deep.collector import Greedy, VectorWorld
from steersman.stages.learn.deep.parallel import Task
from steersman.stages.learn.deep.q_learning import QSettings
from steersman.stages.learn.deep.rollout import Progress, RolloutSettings


def cart_pole() -> Task:
    """Return a small training on CartPole-v1."""
    return Task(
        world=partial(vector, "CartPole-v1"),
        net=Architecture(features=4, groups=(2,), hidden=(64, 64), stream=0, layer_norm=False),
        settings=QSettings(learning_rate=2.3e-3, batch=64, tau=0.02, n_step=3),
        rollout=RolloutSettings(warmup=500, epsilon_last=0.04, epsilon_over=0.3, score_every=1_000),
        incidence=np.eye(2, dtype=np.float32),
    )


def busy(busy_s: float, count: int) -> VectorWorld:
    """Return so many CartPole-v1 of which each step takes so many CPU seconds more, as that of a simulator does."""
    return _BusyWorld(vector("CartPole-v1", count), busy_s)


class _BusyWorld:
    def __init__(self, inner: VectorWorld, busy_s: float) -> None:
        self._inner, self._busy_s = inner, busy_s
        self.num_envs, self.metadata = inner.num_envs, inner.metadata
        self.reset = inner.reset

    def step(self, actions: Any) -> tuple[Any, Any, Any, Any, dict[str, Any]]:
        until = time.thread_time() + self._busy_s * self.num_envs
        while time.thread_time() < until:
            pass
        return self._inner.step(actions)


def fatal(_: int) -> VectorWorld:
    """End the process that asks for an environment."""
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError


def broken_when_scored(mark: Path, count: int) -> VectorWorld:
    """Return CartPole-v1; where several are asked for, as by a score, end the process once, and raise ValueError later."""
    if count > 1 and mark.exists():
        raise ValueError("the simulator broke")
    if count > 1:
        mark.touch()
        fatal(count)
    return busy(0.0, count)


@dataclass(kw_only=True)
class Losses:
    """What is done to a training once it has made so many steps; done: what was, and when."""

    at: dict[int, Callable[[], None]]
    done: list[int] = field(default_factory=list)

    def told(self, progress: Progress) -> None:
        """Hear how far the training is."""
        for steps in [each for each in self.at if progress.steps >= each]:
            self.at.pop(steps)()
            self.done.append(steps)


def kill_newest(compute: Compute, kind: str) -> None:
    """End the newest "actor" or "learner" by SIGKILL."""
    worker = [each for each in compute.workers if each.name.startswith(kind)][-1]
    os.kill(worker.pid, signal.SIGKILL)


def train_with_losses(compute: Compute, *, steps: int, lose: Callable[[], None] | None = None) -> Scaled:
    """Return what became of a training on two actors, of which one was killed, and later the learner; then `lose` is called.

    Raises AssertionError unless all of it came to pass.
    """
    losses = Losses(
        at={steps // 4: partial(kill_newest, compute, "actor"), steps // 2: partial(kill_newest, compute, "learner")}
    )
    losses.at |= {3 * steps // 4: lose} if lose else {}
    budget = Budget(steps=steps, seconds=240.0)
    trained = scale.train(compute, cart_pole(), actors=2, budget=budget, seed=1, told=losses.told)
    assert not losses.at, f"only {losses.done} came to pass"
    return trained


def worth(trained: Scaled) -> float:
    """Return what its weights say that a pole upright and at rest is worth: nothing at first, since each step earns 1."""
    task = cart_pole()
    values = Greedy(task.net, task.incidence, trained.weights).values(np.zeros((1, task.net.features), np.float32))
    return float(values.max())

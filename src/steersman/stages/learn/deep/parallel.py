"""Parallel: the parts of one training that live in workers, actors that collect and a learner that learns.

What is sent between them is numpy arrays. Ape-X (Horgan et al., 2018) in small: experience of many actors in one replay.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from steersman.policies.deep.architecture import Architecture
from steersman.stages.learn.deep import learner as kept
from steersman.stages.learn.deep.collector import Collector, Greedy, VectorWorld
from steersman.stages.learn.deep.device_replay import Steps
from steersman.stages.learn.deep.learner import Learner
from steersman.stages.learn.deep.q_learning import QSettings, resume
from steersman.stages.learn.deep.rollout import RolloutSettings, mean_return

Weights = Mapping[str, NDArray[np.float32]]


@dataclass(frozen=True, kw_only=True, eq=False)
class Task:
    """What is trained, as it can be sent to workers.

    world: makes so many environments that step together; a function that a module has by its name, or a partial of one.
    environments: of each actor. incidence: (actions, slots). scored_episodes: of one score; they are always the same ones.
    """

    world: Callable[[int], VectorWorld]
    net: Architecture
    settings: QSettings
    rollout: RolloutSettings
    incidence: NDArray[np.float32]
    environments: int = 1
    scored_episodes: int = 20


class Collected(NamedTuple):
    """Steps of one actor, fields of shape (k, environments, …), how many were steps, and returns of episodes that ended."""

    steps: Steps
    taken: int
    returns: list[float]


class Learned(NamedTuple):
    """What a learner knows after some updates. kept: its state as bytes, for another learner to go on from."""

    weights: Weights
    updates: int
    loss: float
    q: float
    finite: bool
    kept: bytes


class Actor:
    """Collects in environments of its own, by whatever weights it is given."""

    def __init__(self, task: Task, seed: np.random.SeedSequence) -> None:
        self._task = task
        rng = np.random.default_rng(seed)
        self._collector = Collector(
            world=task.world(task.environments), features=task.net.features, actions=len(task.incidence), rng=rng
        )
        self._scored: VectorWorld | None = None

    def collect(self, weights: Weights, epsilon: float) -> Collected:
        """Return the next steps. The last ones are marked as cut off, since steps of another actor will follow them."""
        steps = self._collector.collect(self._greedy(weights), self._task.rollout.collect, epsilon)
        steps.ended[-1] = True
        returns, self._collector.returns = self._collector.returns, []
        return Collected(steps, int(steps.valid.sum()), returns)

    def score(self, weights: Weights, seed: int) -> float:
        """Return the mean return of some episodes without exploration, the same ones for each seed."""
        task = self._task
        if self._scored is None:
            self._scored = task.world(task.scored_episodes)
        sizes = {"actions": len(task.incidence), "features": task.net.features, "episodes": task.scored_episodes}
        return mean_return(self._greedy(weights), self._scored, **sizes, seed=seed)

    def _greedy(self, weights: Weights) -> Greedy:
        return Greedy(self._task.net, self._task.incidence, weights)


class RemoteLearner:
    """Learns from the steps of all actors. begin: weights to begin with, or the bytes of a learner that was lost."""

    def __init__(self, task: Task, begin: Weights | bytes, seed: np.random.SeedSequence) -> None:
        self._task = task
        state = kept.unpack(begin, task.net, task.settings) if isinstance(begin, bytes) else resume(task.settings, begin)
        self._learner = Learner.begin(
            task.net,
            task.settings,
            task.incidence,
            state,
            capacity=task.rollout.capacity,
            environments=task.environments,
            seed=int(seed.generate_state(1)[0]),
        )

    def learn(self, blocks: Sequence[Steps]) -> Learned:
        """Add blocks of steps, and after each make the updates of a training, once there are enough steps."""
        losses, values = list[Any](), list[Any]()
        for each in blocks:
            self._learner.add(each)
            if self._learner.steps >= self._task.rollout.warmup and self._learner.finite:
                metrics = self._learner.learn(self._task.rollout.updates)
                losses.append(metrics.loss.mean())
                values.append(metrics.q.mean())
        state = self._learner.state
        return Learned(
            weights={name: np.asarray(each) for name, each in state.weights.items()},
            updates=int(state.updates),
            loss=float(np.mean(losses)) if losses else np.nan,
            q=float(np.mean(values)) if values else np.nan,
            finite=self._learner.finite,
            kept=kept.pack(self._task.net, state),
        )

"""Rollout: deep Q-learning from environments, on experience as it comes. numpy acts, JAX learns."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from steersman.policies.deep.architecture import Architecture
from steersman.stages.learn.deep.collector import Collector, Greedy, VectorWorld
from steersman.stages.learn.deep.learner import Learner
from steersman.stages.learn.deep.q_learning import Count, Positive, QSettings, QState, Share, begin

Floats = NDArray[np.float32]
_RECENT = 100
"""Episodes whose mean return is told."""
__all__ = ["Best", "Greedy", "Progress", "RolloutSettings", "Trained", "mean_return", "train_q"]


class RolloutSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How experience is collected, and how often it is learned from.

    collect: steps of each environment between two trainings. updates: of one training. capacity: steps that are kept.
    warmup: steps before the first training. epsilon_first, epsilon_last: share of actions drawn at random, falling
    linearly over the share `epsilon_over` of all steps. score_every: steps between two scores.
    """

    collect: Count = 256
    updates: Count = 128
    capacity: Count = 100_000
    warmup: Count = 1_000
    epsilon_first: Share = 1.0
    epsilon_last: Share = 0.05
    epsilon_over: Annotated[float, msgspec.Meta(gt=0.0, le=1.0)] = 0.2
    score_every: Positive = math.inf

    def epsilon(self, step: int, budget: int) -> float:
        """Return the share of actions drawn at random after so many of all steps."""
        done = min(1.0, step / (self.epsilon_over * budget))
        return self.epsilon_first + done * (self.epsilon_last - self.epsilon_first)


class Progress(NamedTuple):
    """Where a training stands: steps, updates, mean loss and value of the last updates, return of the last episodes."""

    steps: int
    updates: int
    loss: float
    q: float
    epsilon: float
    episodes: int
    mean_return: float
    score: float | None

    @classmethod
    def of(
        cls,
        returns: Sequence[float],
        *,
        steps: int,
        updates: int,
        loss: float,
        q: float,
        epsilon: float,
        score: float | None,
    ) -> "Progress":
        """Return it by the returns of all episodes that ended, of which the last hundred count."""
        mean = float(np.mean(returns[-_RECENT:])) if returns else math.nan
        return cls(steps, updates, loss, q, epsilon, len(returns), mean, score)


class Best:
    """The weights of the best score so far; None before the first."""

    def __init__(self) -> None:
        self.score = -math.inf
        self.weights: Mapping[str, Any] | None = None

    def hear(self, score: float | None, weights: Mapping[str, Any]) -> None:
        """Take note of a score, if there is one, and of the weights that it is of."""
        if score is not None and (self.weights is None or score > self.score):
            self.score, self.weights = score, weights


@dataclass(frozen=True, kw_only=True, eq=False)
class Trained:
    """What training gave: weights of the best score, or the last ones; its curve; after how many steps it was solved."""

    weights: Mapping[str, Floats]
    curve: tuple[Progress, ...]
    returns: tuple[float, ...]
    solved_at: int | None
    finite: bool


Score = Callable[[Greedy], float]
"""What a policy without exploration is worth, by the caller's own measure."""


def train_q(
    world: VectorWorld,
    net: Architecture,
    settings: QSettings,
    rollout: RolloutSettings,
    *,
    incidence: Floats | None = None,
    seed: int,
    budget_steps: int,
    score: Score | None = None,
    solved: float = math.inf,
    on_progress: Callable[[Progress, QState], bool | None] | None = None,
) -> Trained:
    """Learn from environments until the budget of steps is used up, or a score reaches `solved`.

    incidence: (actions, slots); None for one slot for each action. score: called every `score_every` steps. on_progress:
    called after each training; True stops. A seed gives the same weights to the bit on one machine.
    """
    run = _Run(world, net, settings, rollout, net.incidence(incidence), np.random.default_rng(seed), budget_steps)
    best = Best()
    for progress in run.go(score):
        best.hear(progress.score, run.weights)
        stop = on_progress(progress, run.learner.state) if on_progress else False
        if stop or best.score >= solved:
            break
    weights = run.weights if best.weights is None else best.weights
    return Trained(
        weights={name: np.asarray(each) for name, each in weights.items()},
        curve=tuple(run.curve),
        returns=tuple(run.collector.returns),
        solved_at=run.steps if best.score >= solved else None,
        finite=run.learner.finite,
    )


class _Run:
    """One training, between two steps of it."""

    def __init__(
        self,
        world: VectorWorld,
        net: Architecture,
        settings: QSettings,
        rollout: RolloutSettings,
        incidence: Floats,
        rng: np.random.Generator,
        budget: int,
    ) -> None:
        self.net, self.rollout, self.incidence, self.budget = net, rollout, incidence, budget
        state = begin(net, settings, rng)
        self.collector = Collector(world=world, features=net.features, actions=len(incidence), rng=rng)
        self.learner = Learner.begin(
            net,
            settings,
            incidence,
            state,
            capacity=rollout.capacity,
            environments=world.num_envs,
            seed=int(rng.integers(2**31)),
        )
        self.curve = list[Progress]()
        self._scored = 0

    @property
    def steps(self) -> int:
        return self.learner.steps

    @property
    def weights(self) -> dict[str, Any]:
        return self.learner.state.weights

    def go(self, score: Score | None) -> Iterator[Progress]:
        """Collect and learn in turn; ends with the budget, or at a loss that is no number."""
        while self.steps < self.budget and self.learner.finite:
            actor = Greedy(self.net, self.incidence, self.weights)
            epsilon = self.rollout.epsilon(self.steps, self.budget)
            self.learner.add(self.collector.collect(actor, self.rollout.collect, epsilon))
            if self.steps >= self.rollout.warmup:
                self.curve.append(self._learn(epsilon, score))
                yield self.curve[-1]

    def _learn(self, epsilon: float, score: Score | None) -> Progress:
        metrics = self.learner.learn(self.rollout.updates)
        return Progress.of(
            self.collector.returns,
            steps=self.steps,
            updates=int(self.learner.state.updates),
            loss=float(metrics.loss.mean()),
            q=float(metrics.q.mean()),
            epsilon=epsilon,
            score=self._score(score),
        )

    def _score(self, score: Score | None) -> float | None:
        if score is None or self.steps < self._scored + self.rollout.score_every:
            return None
        self._scored = self.steps
        return score(Greedy(self.net, self.incidence, self.weights))


def mean_return(actor: Greedy, world: VectorWorld, *, actions: int, features: int, episodes: int, seed: int) -> float:
    """Return the mean return of so many episodes without exploration; each environment plays the same number of them.

    The same number for each, since short episodes end first, and taking those that do would favour them.
    """
    each = math.ceil(episodes / world.num_envs)
    collector = Collector(world=world, features=features, actions=actions, rng=np.random.default_rng(seed))
    counts, total, sums = np.zeros(world.num_envs, int), 0.0, np.zeros(world.num_envs)
    while (counts < each).any():
        steps = collector.collect(actor, 1, 0.0)
        sums += steps.rewards[0] * steps.valid[0]
        ended = steps.ended[0]
        total += float(sums[ended & (counts < each)].sum())
        sums[ended] = 0.0
        counts += ended
    return total / (each * world.num_envs)

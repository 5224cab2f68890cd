"""Scale: one training by several workers. Actors collect with the newest weights, one learner learns from what they send.

A worker that is lost is started anew: an actor with a seed of its own, the learner from what it last told. A training ends
when something of its budget is used up, or when it cannot go on, with what was learned so far. What arrives when is up to
the machines, so a seed does not give the same weights again.
"""

import math
import time
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal

import numpy as np

from steersman.core.compute import Budget, Compute, Cost, Worker
from steersman.core.errors import DeadlineExceeded, InvalidInput, WorkerLost
from steersman.stages.learn.deep.parallel import Actor, Collected, Learned, RemoteLearner, Task, Weights
from steersman.stages.learn.deep.rollout import Best, Progress

_LOOK_S = 0.5
"""Time between two looks at the budget, at most."""
_EPSILON_PARTS = 10_000
Kind = Literal["collect", "score", "learn"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Scaled:
    """What training gave: weights of the best score, or the last ones; its curve, its returns, and what it cost.

    reason: why it ended. lost: how many workers were. finite: whether no loss was other than a number.
    """

    weights: Weights
    curve: tuple[Progress, ...]
    returns: tuple[float, ...]
    cost: Cost
    reason: str
    lost: int
    finite: bool


def train(
    compute: Compute,
    task: Task,
    *,
    actors: int,
    budget: Budget,
    seed: int,
    told: Callable[[Progress], None] = lambda _: None,
    most_lost: int = 10,
) -> Scaled:
    """Train until something of the budget is used up, on `actors` workers that collect and one that learns.

    told: is told after each answer of the learner that made updates. Raises InvalidInput without an actor or a limit, and
    before the first update WorkerLost where more than `most_lost` workers were lost, DeadlineExceeded where there is no room
    for a worker, and what environments raise; later each of these is the reason why the training ended.
    """
    if actors < 1:
        raise InvalidInput(f"training in parallel: there must be at least 1 actor, got {actors}.")
    if not budget.limited:
        raise InvalidInput("training in parallel: the budget has no limit, so it would never end. Give it steps or seconds.")
    crew = _Crew(compute, task, actors, seed)
    try:
        return _Run(crew, task, budget, told, most_lost).go()
    finally:
        crew.stop()


class _Crew:
    """The workers of a training: how they are started, each with randomness of its own, and what they have cost."""

    def __init__(self, compute: Compute, task: Task, actors: int, seed: int) -> None:
        self._compute, self._task, self.actors = compute, task, actors
        self._seeds = np.random.SeedSequence(seed)
        self._share = 1.0 / math.ceil(max(1.0, 2 * (actors + 1) / compute.slots))  # half of the slots may be lost
        self._workers: list[Worker] = []

    def seed(self) -> np.random.SeedSequence:
        return self._seeds.spawn(1)[0]

    def actor(self) -> Worker:
        return self._start("actor", partial(Actor, self._task, self.seed()))

    def learner(self, begin: Weights | bytes) -> Worker:
        return self._start("learner", partial(RemoteLearner, self._task, begin, self.seed()))

    def cpu_seconds(self) -> float:
        return sum(each.cpu_s for each in self._workers)

    def stop(self) -> None:
        for each in self._workers:
            each.stop()

    def _start(self, kind: str, make: Callable[[], object]) -> Worker:
        name = f"{kind}-{len(self._workers) + 1}"
        self._workers.append(self._compute.start(make, name=name, share=self._share, accelerator=kind == "learner"))
        return self._workers[-1]


class _Run:
    """One training. An actor whose steps the learner has not been sent waits, so that no steps pile up."""

    def __init__(self, crew: _Crew, task: Task, budget: Budget, told: Callable[[Progress], None], most_lost: int) -> None:
        self._crew, self._task, self._budget, self._told, self._most_lost = crew, task, budget, told, most_lost
        self._began, self._steps, self._updates, self._lost = time.monotonic(), 0, 0, 0
        self._weights: Weights = task.net.initial(np.random.default_rng(crew.seed()))
        self._kept: bytes | None = None
        self._finite = True
        self._busy: dict[Future[Any], tuple[Kind, Worker, Weights]] = {}
        self._blocks: list[tuple[Worker, Collected]] = []
        self._curve, self._returns = list[Progress](), list[float]()
        self._score_seed = int(crew.seed().generate_state(1)[0])
        self._best = Best()
        self._scored_at = 0
        self._scored: Weights | None = None
        self._score: float | None = None
        self._failed = ""
        self._idle = [crew.actor() for _ in range(crew.actors)]
        self._learner: Worker | None = crew.learner(self._weights)

    def go(self) -> Scaled:
        self._idle = [self._begun(each, self._crew.actor) for each in self._idle]
        self._learner = self._learner and self._begun(self._learner, self._new_learner)
        while (reason := self._over()) is None:
            self._give()
            for future in wait(self._busy, self._look_s(), FIRST_COMPLETED).done:
                self._answered(future, *self._busy.pop(future))
        return Scaled(
            weights=self._weights if self._best.weights is None else self._best.weights,
            curve=tuple(self._curve),
            returns=tuple(self._returns),
            cost=self._cost(),
            reason=reason,
            lost=self._lost,
            finite=self._finite,
        )

    def _cost(self) -> Cost:
        seconds = time.monotonic() - self._began
        return Cost(seconds=seconds, cpu_seconds=self._crew.cpu_seconds(), steps=self._steps, updates=self._updates)

    def _look_s(self) -> float:
        return min(_LOOK_S, max(self._budget.seconds - self._cost().seconds, 0.0))

    def _over(self) -> str | None:
        """Return why this is over; where its steps are used up, only once they are learned from and scored."""
        if self._failed:
            return self._failed
        if not self._finite:
            return "the loss was no number any more; the last good weights are kept"
        cost = self._cost()
        if self._collecting() or not self._at_rest() or self._score_due():
            return replace(self._budget, steps=math.inf).spent(cost)
        return self._budget.spent(cost)

    def _collecting(self) -> bool:
        return self._steps < self._budget.steps

    def _at_rest(self) -> bool:
        return not self._busy and not self._blocks

    def _score_due(self) -> bool:
        every = self._task.rollout.score_every
        if math.isinf(every) or self._scored is self._weights:
            return False
        last = not self._collecting() and self._at_rest()
        return self._updates > 0 and (last or self._steps >= self._scored_at + every)

    def _give(self) -> None:
        """Give those something to do who have nothing: the learner all steps there are, and actors the newest weights."""
        if self._learner is not None and self._blocks:
            self._ask("learn", self._learner, [block.steps for _, block in self._blocks])
            self._idle += [actor for actor, _ in self._blocks]
            self._blocks, self._learner = [], None
        waiting = []
        for actor in self._idle:
            if self._score_due():
                self._scored_at = self._steps
                self._ask("score", actor, self._weights, self._score_seed)
            elif self._collecting():
                self._ask("collect", actor, self._weights, self._epsilon())
            else:
                waiting.append(actor)
        self._idle = waiting

    def _ask(self, kind: Kind, worker: Worker, *args: object) -> None:
        self._busy[worker.call(kind, *args)] = kind, worker, self._weights

    def _epsilon(self) -> float:
        done = round(self._budget.share(self._cost()) * _EPSILON_PARTS)
        return self._task.rollout.epsilon(done, _EPSILON_PARTS)

    def _answered(self, future: Future[Any], kind: Kind, worker: Worker, weights: Weights) -> None:
        try:
            answer = future.result()
        except WorkerLost as error:
            self._replace(kind, worker, error)
            return
        except Exception as error:  # noqa: BLE001 - whatever an environment raises
            self._fail(error)
            return
        if kind == "collect":
            self._collected(worker, answer)
        elif kind == "score":
            self._was_scored(worker, answer, weights)
        else:
            self._learned(worker, answer)

    def _fail(self, error: Exception) -> None:
        """End with what was learned so far. Raises the error where nothing was."""
        if not self._updates:
            raise error
        self._failed = f"{type(error).__name__}: {error}"

    def _replace(self, kind: Kind, worker: Worker, error: WorkerLost) -> None:
        """Start another worker in the place of one that was lost; the learner goes on from what it last told."""
        try:
            self._count(worker, error)
            if kind == "learn":
                self._learner = self._begun(self._new_learner(), self._new_learner)
            else:
                self._idle.append(self._begun(self._crew.actor(), self._crew.actor))
        except (WorkerLost, DeadlineExceeded) as last:
            self._fail(last)

    def _new_learner(self) -> Worker:
        return self._crew.learner(self._kept or self._weights)

    def _begun(self, worker: Worker, again: Callable[[], Worker]) -> Worker:
        """Return a worker once it has a process, or another one where it is lost. Raises DeadlineExceeded without room."""
        while True:
            try:
                _ = worker.pid
            except WorkerLost as error:
                self._count(worker, error)
                worker = again()
            else:
                return worker

    def _count(self, worker: Worker, error: WorkerLost) -> None:
        """Count a worker that was lost. Raises WorkerLost where it is one too many."""
        worker.stop()
        self._lost += 1
        if self._lost > self._most_lost:
            raise WorkerLost(f"training in parallel: {self._lost} workers were lost, and it was given up. The last: {error}")

    def _collected(self, actor: Worker, block: Collected) -> None:
        self._steps += block.taken
        self._returns += block.returns
        self._blocks.append((actor, block))

    def _was_scored(self, actor: Worker, score: float, weights: Weights) -> None:
        self._score, self._scored = score, weights
        self._best.hear(score, weights)
        self._idle.append(actor)

    def _learned(self, learner: Worker, learned: Learned) -> None:
        self._learner, self._weights, self._kept = learner, learned.weights, learned.kept
        self._updates, self._finite = learned.updates, learned.finite
        if learned.updates and math.isfinite(learned.loss):
            self._curve.append(self._progress(learned))
            self._told(self._curve[-1])

    def _progress(self, learned: Learned) -> Progress:
        score, self._score = self._score, None
        return Progress.of(
            self._returns,
            steps=self._steps,
            updates=learned.updates,
            loss=learned.loss,
            q=learned.q,
            epsilon=self._epsilon(),
            score=score,
        )

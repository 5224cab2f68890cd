"""Train: a network learns from the log, becomes a version, is judged by the gate, and is released where that lets it pass.

Runs go on from a checkpoint to the bit. What came of each one, also of one that failed, is kept with the verdicts.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from steersman.core.compute import Budget, Cost
from steersman.core.errors import InvalidInput
from steersman.core.ports import Progress
from steersman.core.tracking import Begun, Ended, Quiet
from steersman.core.tracking import begin as run_head
from steersman.core.tracking import logged as told_metrics
from steersman.core.versions import PolicyVersion
from steersman.loops import experience
from steersman.loops.cut import keep, production
from steersman.loops.experience import Gathered
from steersman.loops.runtime import Runtime
from steersman.loops.training_job import begun, resumed, task_of
from steersman.policies.deep.artefact import FrozenNetwork, of_agent

if TYPE_CHECKING:
    from steersman.stages.learn.deep.checkpoint import Job
    from steersman.stages.learn.deep.incremental import Run, Task


@dataclass(frozen=True, kw_only=True, eq=False)
class Trained:
    """What a training came to: the job, the version that was cut, where learning stood, and what was left out of it.

    stopped: why it ended before its time; "" where it did not.
    """

    job: "Job"
    version: PolicyVersion
    run: "Run"
    left_out: dict[str, int]
    stopped: str


@dataclass(kw_only=True, eq=False)
class Attempt:
    """A training under way. last: where it stood at the last look. saved_at: when that was kept, by the world's timer.

    began: when it began, by that timer, and by the CPU seconds of this process. stopped: what of its budget is used up.
    """

    agent: Runtime
    job: "Job"
    progress: Progress
    tracker: Quiet
    head: Begun
    last: "Run"
    saved_at: float
    budget: Budget
    began: tuple[float, float]
    stopped: str = ""

    @property
    def cost(self) -> Cost:
        """What it has used so far; CPU seconds are those of the whole process."""
        seconds, cpu_seconds = self.agent.world.timer() - self.began[0], time.process_time() - self.began[1]
        return Cost(seconds=max(seconds, 0.0), cpu_seconds=cpu_seconds, updates=self.last.updates)

    def told(self, run: "Run") -> bool:
        """Hear of a look: show it, track it, keep a checkpoint where it is time; return whether to stop."""
        fitted, held = run.losses
        self.progress.step(f"loss {fitted:.4g}, held out {held:.4g}", run.updates - self.last.updates)
        self.last = run
        figures = {"loss": fitted, "held-out loss": held, "q": run.q}
        self.tracker.log(self.head.id, told_metrics(run.updates, figures, at=self.agent.world.clock()))
        if self.agent.world.timer() - self.saved_at >= self.agent.settings.training.checkpoint_s:
            self.save()
        self.stopped = self.budget.spent(self.cost) or ""
        return bool(self.stopped)

    def end(self, reason: str = "") -> None:
        """Tell the tracker what it took, and that it ended; a reason says why it failed."""
        at, cost = self.agent.world.clock(), self.cost
        figures = {"wall_s": cost.seconds, "cpu_s": cost.cpu_seconds}
        self.tracker.log(self.head.id, told_metrics(cost.updates, figures, at=at))
        self.tracker.end(self.head.id, Ended(at=at, reason=reason))

    def save(self) -> None:
        """Keep where it stands."""
        from steersman.stages.learn.deep.checkpoint import pack

        self.saved_at = self.agent.world.timer()
        if self.agent.world.checkpoints is not None:
            self.agent.world.checkpoints.keep(self.agent.spec.name, "running", pack(self.job, self.last))


def check_extra() -> None:
    """Raise InvalidInput where what trains networks is not installed."""
    try:
        import steersman.stages.learn.deep.q_learning  # noqa: F401 - that it can be imported is what is asked
    except ImportError as error:
        raise InvalidInput(f"training a network needs its extra: pip install 'steersman[deep]' ({error}).") from error


def train(
    agent: Runtime,
    *,
    actor: str,
    progress: Progress,
    resume: bool = False,
    anew: bool = False,
    updates: int | None = None,
    budget: Budget | None = None,
    kin: Sequence[Runtime] = (),
    attempted: Callable[[Attempt], None] = lambda _: None,
) -> Trained:
    """Train, and keep what was learned as a version. attempted: is told of the attempt before it begins.

    resume: go on with the training that was broken off, or, with more `updates`, with the one that ended last. anew: begin
    with nothing learned. budget: where it is used up, what was learned so far is kept. kin: others that a first training
    hears, the same ones where it is gone on with. Raises InvalidInput for too few outcomes, an extra that is missing or a
    loss that is no number, Conflict where there is nothing to go on with, and StoreError.
    """
    check_extra()
    job, run, found = resumed(agent, updates, kin) if resume else begun(agent, anew=anew, updates=updates, kin=kin)
    task = task_of(agent, job, found, kin)
    attempt = _attempt(agent, job, run, progress, budget or Budget())
    attempted(attempt)
    try:
        run = _learn(attempt, task, run)
        version = keep(
            agent,
            production(agent),
            _frozen(agent, task, run, found, job),
            position=job.position,
            outcomes=len(found.rows),
            actor=actor,
            reason=f"a network trained on {job.outcomes:,} outcomes in {run.updates:,} updates",
        )
    except BaseException as error:
        attempt.end(str(error) or type(error).__name__)
        raise
    attempt.end()
    return Trained(job=job, version=version, run=run, left_out=found.left_out, stopped=attempt.stopped)


def finish(agent: Runtime, trained: Trained, *, good: bool) -> None:
    """Keep the checkpoint of a training that ended, for the next one to go on from; nothing of one that made it worse.

    One that its budget stopped has not ended: --resume goes on with it.
    """
    from steersman.stages.learn.deep.checkpoint import pack

    place, name = agent.world.checkpoints, agent.spec.name
    if place is None:
        return
    if trained.stopped:
        place.keep(name, "running", pack(trained.job, trained.run))
        return
    if good:
        place.keep(name, "finished", pack(msgspec.structs.replace(trained.job, finished=True), trained.run))
    place.drop(name, "running")


def _learn(attempt: Attempt, task: "Task", run: "Run") -> "Run":
    from steersman.stages.learn.deep import incremental

    attempt.progress.phase(f"training {attempt.agent.spec.name}", max(attempt.job.updates - run.updates, 0))
    try:
        return incremental.train(task, run, attempt.job.updates, attempt.told)
    except BaseException as error:  # also Ctrl-C: what was learned up to the last look is kept
        if attempt.last.updates:
            attempt.save()
        if "RESOURCE_EXHAUSTED" in str(error) or isinstance(error, MemoryError):
            raise InvalidInput(
                "the network does not fit into memory; lower training.batch or training.hidden. What was learned up to the "
                "last look is kept: --resume goes on with it."
            ) from error
        raise


def _attempt(agent: Runtime, job: "Job", run: "Run", progress: Progress, budget: Budget) -> Attempt:
    settings, world = agent.settings.training, agent.world
    tracker = world.tracker(settings.tracker, settings.tracker_url) if world.tracker is not None else Quiet([])
    said = {"updates": job.updates, "outcomes": job.outcomes, "learning_rate": job.settings.learning_rate}
    head = run_head("training", agent=agent.spec.name, at=world.clock(), params={**said, "batch": job.settings.batch})
    tracker.begin(head)
    now = world.timer()
    return Attempt(
        agent=agent,
        job=job,
        progress=progress,
        tracker=tracker,
        head=head,
        last=run,
        saved_at=now,
        budget=budget,
        began=(now, time.process_time()),
    )


def _frozen(agent: Runtime, task: "Task", run: "Run", found: Gathered, job: "Job") -> FrozenNetwork:
    from steersman.stages.learn.deep import incremental
    from steersman.stages.learn.deep.quality import spread

    space = agent.spec.actions
    seen = np.array([agent.encoder.vector(each.decision.state) for each in found.rows], dtype=np.float32)
    with agent.lock:
        epsilon, bounds = agent.fold.epsilon, agent.fold.bounds
    return FrozenNetwork(
        **of_agent(agent.spec, agent.settings),
        epsilon=epsilon,
        bounds=bounds,
        net=job.net,
        weights={name: np.asarray(each, dtype=np.float32) for name, each in run.best.items()},
        visits=experience.visits(found.rows, space),
        td_variance=spread(incremental.errors(task, run), space.slots[task.held.actions], space.width),
        seen_low=seen.min(axis=0),
        seen_high=seen.max(axis=0),
    )

"""Train: a network learns from the log, becomes a version, is judged by the gate, and is released where that lets it pass.

Runs go on from a checkpoint to the bit. What came of each one, also of one that failed, is kept with the verdicts.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from steersman.core.compute import Budget, Cost
from steersman.core.errors import Conflict, InvalidInput
from steersman.core.ports import Progress
from steersman.core.tracking import Begun, Ended, Quiet
from steersman.core.tracking import begin as run_head
from steersman.core.tracking import logged as told_metrics
from steersman.core.versions import PolicyVersion
from steersman.loops import experience
from steersman.loops.cut import keep, production
from steersman.loops.evidence import holdout
from steersman.loops.experience import Gathered, gather, generator, incidence, parted
from steersman.loops.kin_experience import heard
from steersman.loops.runtime import Runtime
from steersman.policies.artefact import actions_digest
from steersman.policies.deep.architecture import Architecture
from steersman.policies.deep.artefact import FrozenNetwork, of_agent

if TYPE_CHECKING:
    from steersman.stages.learn.deep.batch import Batch
    from steersman.stages.learn.deep.checkpoint import Job
    from steersman.stages.learn.deep.incremental import Run, Task
    from steersman.stages.learn.deep.q_learning import Ewc


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
    job, run, found = _resumed(agent, updates) if resume else _begun(agent, anew=anew, updates=updates)
    task = _task(agent, job, found, kin)
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
    """Keep the checkpoint of a training that ended, for the next one to go on from; nothing of one that made it worse."""
    from steersman.stages.learn.deep.checkpoint import pack

    place, name = agent.world.checkpoints, agent.spec.name
    if place is not None:
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


def _begun(agent: Runtime, *, anew: bool, updates: int | None) -> tuple["Job", "Run", Gathered]:
    """Return a new job: on all outcomes that may be learned from, or on those since the last training, going on from it."""
    from steersman.stages.learn.deep import incremental, q_learning

    settings = agent.settings.training
    base = None if anew else _base(agent)
    position = holdout(agent, agent.settings.evaluation.holdout, after=base[0].position if base else 0)
    found = gather(agent, position)
    fresh = found.behind(base[0].position if base else 0)
    _check_enough(agent, len(fresh), found, later=base is not None)
    job = _job(agent, position, len(fresh), updates or settings.updates, base[0] if base else None)
    rng = generator(agent, position, "training")
    if base is None:
        return job, incremental.begin(q_learning.begin(job.net, job.settings, rng), rng), found
    before = base[1]
    state = before.state._replace(weights=dict(before.best))
    return job, incremental.begin(state, rng, _ewc(agent, job, before, found, rng)), found


def _ewc(agent: Runtime, job: "Job", before: "Run", found: Gathered, rng: np.random.Generator) -> "Ewc | None":
    """Return what holds weights near those of before, by what old outcomes say of each.

    None where there are none, or where new ones say that what was learned is wrong: then nothing of it is to be kept.
    """
    from steersman.stages.learn.deep import incremental
    from steersman.stages.learn.deep.q_learning import Ewc
    from steersman.stages.learn.deep.quality import experience as as_batch

    old = [each for each in found.rows if each.position <= job.since]
    if not agent.settings.training.ewc or not old:
        return None
    batch = as_batch(old, agent.spec, job.settings.gamma, job.settings.n_step)
    if _contradicted(agent, _task(agent, job, found), before, batch):
        return None
    information = incremental.fisher(job.net, incidence(agent.spec.actions), before.best, batch, rng)
    return Ewc(agent.settings.training.ewc, information, before.best)


def _contradicted(agent: Runtime, task: "Task", before: "Run", old: "Batch") -> bool:
    """Return whether new outcomes contradict a network in states of which old ones had told it."""
    from steersman.stages.learn.deep import incremental
    from steersman.stages.learn.deep.quality import contradicted

    known = ((task.learned.states >= old.states.min(axis=0)) & (task.learned.states <= old.states.max(axis=0))).all(axis=1)
    new, space = incremental.rows(task.learned, np.flatnonzero(known)), agent.spec.actions
    errors = incremental.errors(replace(task, held=new), before)
    low, high = agent.spec.reward_range
    margin = agent.settings.evaluation.margin * (high - low)
    return contradicted(errors, space.slots[new.actions], space.width, margin)


def _base(agent: Runtime) -> "tuple[Job, Run] | None":
    """Return the last training that ended, if its network is what would be trained now."""
    found = _checkpoint(agent, "finished")
    return found if found is not None and _fits(agent, found[0]) and found[0].net == network(agent) else None


def _resumed(agent: Runtime, updates: int | None) -> tuple["Job", "Run", Gathered]:
    """Return the job to go on with. Raises Conflict where there is none, or where the log or the definition has changed."""
    name, found = agent.spec.name, _checkpoint(agent, "running") or _checkpoint(agent, "finished")
    if found is None:
        raise Conflict(f"{name}: there is no training to go on with. Leave --resume out.")
    job, run = found
    if not _fits(agent, job):
        raise Conflict(f"{name}: the training was of another definition of the agent. Leave --resume out to train anew.")
    if job.finished and (updates or 0) <= run.updates:
        raise Conflict(
            f"{name}: the last training has ended, after {run.updates:,} updates. Ask for more with --updates, or leave "
            "--resume out to go on with new outcomes."
        )
    gathered = gather(agent, job.position)
    if len(gathered.behind(job.since)) != job.outcomes:
        raise Conflict(
            f"{name}: the training learned from {job.outcomes:,} outcomes, of which the log now has "
            f"{len(gathered.behind(job.since)):,}. Leave --resume out to train on what there is."
        )
    return msgspec.structs.replace(job, updates=updates or job.updates, finished=False), run, gathered


def _checkpoint(agent: Runtime, slot: Any) -> "tuple[Job, Run] | None":
    from steersman.stages.learn.deep.checkpoint import unpack

    found = None if agent.world.checkpoints is None else agent.world.checkpoints.last(agent.spec.name, slot)
    return None if found is None else unpack(found[1], found[0])


def _fits(agent: Runtime, job: "Job") -> bool:
    wanted, spec = of_agent(agent.spec, agent.settings), agent.spec
    ours = (spec.name, wanted["schema"], wanted["features"], actions_digest(spec.actions), agent.settings.learning.gamma)
    return (job.agent, job.schema, job.features, job.actions, job.settings.gamma) == ours


def _check_enough(agent: Runtime, fresh: int, found: Gathered, *, later: bool) -> None:
    least = agent.settings.evaluation.min_outcomes
    if fresh < least:
        since = "since the last training " if later else ""
        why = ", ".join(f"{count:,} {reason}" for reason, count in sorted(found.left_out.items()))
        raise InvalidInput(
            f"{agent.spec.name}: {fresh:,} outcomes {since}can be learned from, and {least:,} are needed "
            f"(evaluation.min_outcomes); the newest {100 * agent.settings.evaluation.holdout:g} % are left to judge by"
            f"{f'; left out: {why}' if why else ''}. Wait for more{', or train --anew on all of them' if later else ''}."
        )


def network(agent: Runtime) -> Architecture:
    """Return the network that settings describe. Raises InvalidInput for layers that are none."""
    settings, spec = agent.settings.training, agent.spec
    try:
        hidden = tuple(int(each) for each in settings.hidden.split(","))
    except ValueError as error:
        raise InvalidInput(f"training.hidden: {settings.hidden!r} is no list of widths, as in '512, 256'.") from error
    net = Architecture(
        features=len(of_agent(spec, agent.settings)["features"]),
        groups=tuple(len(each) for each in spec.actions.dimensions.values()),
        encoder="attention" if settings.encoder == "attention" else "mlp",
        hidden=hidden,
        stream=settings.stream,
    )
    net.check()
    return net


def _job(agent: Runtime, position: int, outcomes: int, updates: int, base: "Job | None") -> "Job":
    from steersman.stages.learn.deep.checkpoint import Job
    from steersman.stages.learn.deep.q_learning import QSettings

    settings, wanted = agent.settings.training, of_agent(agent.spec, agent.settings)
    return Job(
        agent=agent.spec.name,
        schema=wanted["schema"],
        features=wanted["features"],
        actions=actions_digest(agent.spec.actions),
        net=network(agent),
        settings=QSettings(
            learning_rate=settings.learning_rate if base is None else settings.later_rate,
            gamma=agent.settings.learning.gamma,
            tau=settings.tau,
            n_step=settings.n_step,
            batch=settings.batch,
            conservative=settings.conservative,
        ),
        since=0 if base is None else base.position,
        position=position,
        outcomes=outcomes,
        updates=updates,
    )


def _task(agent: Runtime, job: "Job", found: Gathered, kin: Sequence[Runtime] = ()) -> "Task":
    from steersman.stages.learn.deep.incremental import Task
    from steersman.stages.learn.deep.kin import join
    from steersman.stages.learn.deep.quality import experience as as_batch

    learned, held = parted(agent, found.behind(job.since), job.position)
    gamma, n_step = job.settings.gamma, job.settings.n_step
    experienced = as_batch(learned, agent.spec, gamma, n_step)
    if kin and not job.since:  # a later training goes on from a network that has heard them
        experienced = join([experienced, heard(agent, kin, job, learned)])
    return Task(
        net=job.net,
        settings=job.settings,
        incidence=incidence(agent.spec.actions),
        learned=experienced,
        held=as_batch(held, agent.spec, gamma, n_step),
        patience=agent.settings.training.patience,
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

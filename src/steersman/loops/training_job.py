"""Training jobs: what a training of a network begins with: nothing, the last one, or where it was broken off."""

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from steersman.core.errors import Conflict, InvalidInput
from steersman.loops.evidence import holdout
from steersman.loops.experience import Gathered, gather, generator, incidence, parted
from steersman.loops.kin_experience import heard
from steersman.loops.runtime import Runtime
from steersman.policies.artefact import actions_digest
from steersman.policies.deep.architecture import Architecture
from steersman.policies.deep.artefact import of_agent

if TYPE_CHECKING:
    from steersman.stages.learn.deep.batch import Batch
    from steersman.stages.learn.deep.checkpoint import Job
    from steersman.stages.learn.deep.incremental import Run, Task
    from steersman.stages.learn.deep.q_learning import Ewc


def begun(agent: Runtime, *, anew: bool, updates: int | None, kin: Sequence[Runtime]) -> tuple["Job", "Run", Gathered]:
    """Return a new job: on all outcomes that may be learned from, or on those since the last training, going on from it."""
    from steersman.stages.learn.deep import incremental, q_learning

    settings = agent.settings.training
    base = None if anew else _base(agent)
    position = holdout(agent, agent.settings.evaluation.holdout, after=base[0].position if base else 0)
    found = gather(agent, position)
    fresh = found.behind(base[0].position if base else 0)
    _check_enough(agent, len(fresh), found, later=base is not None)
    job = _job(agent, position, len(fresh), updates or settings.updates, base[0] if base else None)
    if base is None:  # a later training goes on from a network that has heard them
        job = msgspec.structs.replace(job, kin=_names(kin), kin_updates=job.updates)
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
    if _contradicted(agent, task_of(agent, job, found), before, batch):
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


def resumed(agent: Runtime, updates: int | None, kin: Sequence[Runtime]) -> tuple["Job", "Run", Gathered]:
    """Return the job to go on with. Raises Conflict where there is none, or where the log or the definition has changed."""
    name, found = agent.spec.name, _checkpoint(agent, "running") or _checkpoint(agent, "finished")
    if found is None:
        raise Conflict(f"{name}: there is no training to go on with. Leave --resume out.")
    job, run = found
    if not _fits(agent, job):
        raise Conflict(f"{name}: the training was of another definition of the agent. Leave --resume out to train anew.")
    if not job.since and job.kin != _names(kin):
        heard_then = " ".join(f"--kin {each}" for each in job.kin) or "none"
        raise Conflict(f"{name}: the training hears other kin. Name the same ones: {heard_then}.")
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


def _names(kin: Sequence[Runtime]) -> tuple[str, ...]:
    return tuple(each.spec.name for each in kin)


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
        holdout=settings.holdout,
    )


def task_of(agent: Runtime, job: "Job", found: Gathered, kin: Sequence[Runtime] = ()) -> "Task":
    """Return what a job learns from: its outcomes, of which a part is held out, and in a first training what kin say."""
    from steersman.stages.learn.deep.incremental import Task
    from steersman.stages.learn.deep.kin import join
    from steersman.stages.learn.deep.quality import experience as as_batch

    learned, held = parted(agent, found.behind(job.since), position=job.position, share=job.holdout)
    gamma, n_step = job.settings.gamma, job.settings.n_step
    experienced = as_batch(learned, agent.spec, gamma, n_step)
    if kin and job.kin:
        experienced = join([experienced, heard(agent, kin, job, learned)])
    return Task(
        net=job.net,
        settings=job.settings,
        incidence=incidence(agent.spec.actions),
        learned=experienced,
        held=as_batch(held, agent.spec, gamma, n_step),
        patience=agent.settings.training.patience,
    )

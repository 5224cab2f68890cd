"""Kin experience: what other agents of the same log have seen joins the training of a network, as a prior that fades."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import msgspec

from steersman.core.errors import InvalidInput
from steersman.loops.experience import gather, generator
from steersman.loops.runtime import Runtime

if TYPE_CHECKING:
    from steersman.stages.learn.deep.batch import Batch
    from steersman.stages.learn.deep.checkpoint import Job
    from steersman.stages.learn.deep.quality import Row


def heard(agent: Runtime, kin: Sequence[Runtime], job: "Job", rows: "Sequence[Row]") -> "Batch":
    """Return what kin say of the states in an agent's own outcomes, in all as much as `training.kin_outcomes` of them.

    Kin are heard up to the position that the job learns from, so the same log gives the same. Raises InvalidInput for an
    agent without kinship or that is its own kin, and for kin of another discount or without outcomes.
    """
    from steersman.stages.learn.deep import kin as replay

    gamma = job.settings.gamma
    told = []
    for each in kin:
        if each.spec.name == agent.spec.name or each.settings.learning.gamma != gamma:
            raise InvalidInput(
                f"{agent.spec.name} cannot hear {each.spec.name}: kin are others that learn with the same learning.gamma."
            )
        words = agent.spec.kinship.mapping.get(each.spec.name) if agent.spec.kinship else None
        told.append(replay.tell(each.spec, gather(each, job.position).rows, gamma, words))
    rng = generator(agent, job.position, "kin")
    network = replay.learn(
        replay.replay_of([*told, replay.tell(agent.spec, rows, gamma)]),
        [agent.spec.name],
        msgspec.structs.replace(job.settings, conservative=0.0, n_step=1),
        hidden=job.net.hidden,
        updates=job.kin_updates,
        rng=rng,
    )[agent.spec.name]
    return replay.pseudo_experience(network, agent.spec, rows, count=agent.settings.training.kin_outcomes, rng=rng)

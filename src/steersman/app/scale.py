"""Training in a Gymnasium environment by several processes, on this machine or on a Ray cluster."""

from collections.abc import Callable
from functools import partial
from typing import Any

from steersman.app.compute import open_compute
from steersman.app.worlds import library, register_worlds
from steersman.core.compute import Budget
from steersman.core.errors import NotFound
from steersman.loops import scale
from steersman.loops.scale import Scaled
from steersman.policies.deep.architecture import Architecture
from steersman.stages.learn.deep.parallel import Task
from steersman.stages.learn.deep.q_learning import QSettings
from steersman.stages.learn.deep.rollout import Progress, RolloutSettings


def train_scaled(
    env_id: str,
    net: Architecture,
    settings: QSettings,
    rollout: RolloutSettings,
    *,
    compute: str,
    actors: int,
    budget: Budget,
    seed: int,
    environments: int = 1,
    told: Callable[[Progress], None] = lambda _: None,
) -> Scaled:
    """Train by deep Q-learning with actors that each step so many environments of their own, and one learner.

    compute: as `app.compute.open_compute` takes it. rollout: as in one process; the shares of what is explored are of the
    budget. Raises what `loops.scale.train` and `open_compute` raise, and NotFound for an environment that workers cannot
    make.
    """
    task = Task(
        world=partial(vector, env_id),
        net=net,
        settings=settings,
        rollout=rollout,
        incidence=net.incidence(None),
        environments=environments,
    )
    with open_compute(compute) as opened:
        return scale.train(opened, task, actors=actors, budget=budget, seed=seed, told=told)


def vector(env_id: str, count: int) -> Any:
    """Return so many of an environment that step together; a process that is new knows only worlds of ours and of modules.

    Raises NotFound, saying why, where it cannot be made.
    """
    gymnasium = library()
    if env_id.startswith("steersman/"):
        register_worlds()
    try:
        return gymnasium.make_vec(env_id, num_envs=count, vectorization_mode="sync")
    except (gymnasium.error.Error, ImportError) as error:
        raise NotFound(
            f"environment {env_id!r} cannot be made in a process of its own: {error}. Name the module that registers it, as "
            "in gym:MODULE:ENV."
        ) from error

"""Sharding: the learners of a fleet are divided among devices, so that the one program of `fleet` runs on several GPUs."""

from collections.abc import Sequence
from typing import TypeVar

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from steersman.core.errors import InvalidInput

Stacked = TypeVar("Stacked")


def shard(stacked: Stacked, devices: Sequence[jax.Device] | None = None) -> Stacked:
    """Return states, replays, keys or batches of a fleet with the learners, their first axis, divided among devices.

    devices: all that JAX sees by default. What is learned does not change. Raises InvalidInput unless each device gets as
    many learners: spare ones would cost as much as those that are wanted.
    """
    devices = jax.devices() if devices is None else devices
    learners = len(jax.tree.leaves(stacked)[0])
    if learners % len(devices):
        least, more = learners // len(devices) * len(devices), -(-learners // len(devices)) * len(devices)
        near = f"{least} or {more}" if least else str(more)
        raise InvalidInput(
            f"fleet: {learners} learners cannot be divided evenly among {len(devices)} devices. Train {near}, or name fewer "
            "devices."
        )
    place = NamedSharding(Mesh(np.array(devices), ("learners",)), PartitionSpec("learners"))  # type: ignore[no-untyped-call]
    return jax.device_put(stacked, place)  # type: ignore[no-any-return]

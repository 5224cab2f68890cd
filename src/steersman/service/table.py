"""The table: all operations that a service offers, by its role."""

from typing import Literal

from steersman.service import agents, decisions, events, health, outcomes
from steersman.service.operations import Operation

Part = Literal["decide", "learn", "all"]

_OWN = (decisions, outcomes, agents, events)


def operations(part: Part = "all") -> tuple[Operation, ...]:
    """Return the operations of a process: one that only learns answers for its health and nothing else."""
    if part == "learn":
        return health.OPERATIONS
    return (*(each for room in (*_OWN, health) for each in room.OPERATIONS),)

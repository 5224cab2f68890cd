"""The table: all operations that a service offers, by its role."""

from importlib import import_module
from typing import Any, Literal

from steersman.service import (
    agents,
    audit,
    controls,
    decisions,
    events,
    export,
    health,
    keys,
    openapi,
    outcomes,
    releases,
    sessions,
    verdicts,
)
from steersman.service.operations import Operation

Part = Literal["decide", "learn", "all"]

_ROOMS = (decisions, outcomes, agents, releases, verdicts, controls, audit, keys, export, events, openapi, sessions)


def operations(part: Part = "all") -> tuple[Operation, ...]:
    """Return the operations of a process: one that only learns answers for its health and nothing else."""
    if part == "learn":
        return health.OPERATIONS
    own = tuple(each for room in (*_ROOMS, health) for each in room.OPERATIONS)
    return (*own, *_others("steersman.service.personalizer"), *_others("steersman.service.pages"))


def _others(room: str) -> tuple[Operation, ...]:
    found: tuple[Operation, ...] = import_module(room).OPERATIONS
    return found


def error_page() -> Any:
    """Return what makes a page of an error."""
    return import_module("steersman.service.pages").problem_page

"""Outcomes: the newest ones of an agent, each by its last revision, from as far back in the log as it takes."""

from collections.abc import Callable
from typing import NamedTuple

from steersman.core.values import Decision, Outcome
from steersman.loops.runtime import Runtime

_ROWS_EACH = 4  # positions of the log for one outcome: its decision, itself, and room for revisions and other agents


class Found(NamedTuple):
    """An outcome by its last revision, and the position at which it was first reported."""

    position: int
    decision: Decision
    outcome: Outcome


def newest(
    agent: Runtime,
    wanted: int,
    *,
    since: int = 0,
    until: int | None = None,
    counts: Callable[[Decision], bool] = lambda _: True,
) -> tuple[int, list[Found]]:
    """Return outcomes between two positions, oldest first, and where the last row lies.

    There are at least `wanted` that count, or all. An outcome lies where it was first reported: what was corrected since had
    been learned from before. Raises StoreError.
    """
    end = agent.log.durable_position if until is None else until
    reach = wanted * _ROWS_EACH
    while True:
        found: dict[str, Found] = {}
        position, after = 0, max(end - reach, since)
        for position, decision, outcome in agent.log.history(agent.spec.name, until, after=after, durable=True):
            if outcome.revision == 0:
                found[decision.id] = Found(position, decision, outcome)
            elif decision.id in found:
                found[decision.id] = Found(found[decision.id].position, decision, outcome)
        if after == since or sum(counts(each.decision) for each in found.values()) >= wanted:
            return position, list(found.values())
        reach *= _ROWS_EACH

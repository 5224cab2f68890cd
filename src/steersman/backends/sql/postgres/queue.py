"""The queue of a process that shares the store: what others were first to, it is told at the commit."""

from collections.abc import Sequence
from typing import ClassVar

from steersman.backends.sql.batch import Batch
from steersman.backends.sql.queue import Queue
from steersman.backends.sql.rows import known_event
from steersman.core.errors import Conflict
from steersman.core.ports import Row
from steersman.core.values import Decision, Outcome, Taken


class SharedQueue(Queue):
    """Positions of what waits are provisional: the store gives the true ones."""

    grouped: ClassVar[bool] = True

    def admit(self, rows: Sequence[Row], batches: Sequence[Batch]) -> None:
        """Raise Conflict for a decision, a revision or an event that this process has appended already."""
        given: set[object] = set()
        for row in rows:
            if isinstance(row, Taken):
                key: object = (row.stream, row.event)
                if key in given or any(key in each.taken for each in batches):
                    raise known_event(row)
                given.add(key)
            elif isinstance(row, Decision | Outcome):
                key = row.id if isinstance(row, Decision) else (row.decision_id, row.revision)
                if key in given or any(_holds(each, row) for each in batches):
                    raise known(row)
                given.add(key)

    def took(self, decision: Decision) -> None:
        """Nothing is counted here; the store counts."""

    def closed(self) -> None:
        """Nothing is held here; the store is asked at the commit."""


def _holds(batch: Batch, row: Decision | Outcome) -> bool:
    if isinstance(row, Decision):
        return row.id in batch.decisions
    return any(each.revision == row.revision for each in batch.outcomes.get(row.decision_id, ()))


def known(row: Decision | Outcome) -> Conflict:
    """Return what to raise for a row whose id the log holds."""
    if isinstance(row, Decision):
        return Conflict(f"the log already holds decision {row.id}; rows are never changed. Nothing was taken.")
    return Conflict(
        f"the log already holds revision {row.revision} of the outcome of {row.decision_id}; rows are never changed. "
        "Nothing was taken."
    )

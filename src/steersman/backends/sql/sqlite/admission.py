"""What may enter the log: each decision once, each revision of an outcome once and after its decision."""

import sqlite3
from collections.abc import Sequence

from steersman.backends.sql.batch import Batch
from steersman.backends.sql.rows import Columns, known_event, text
from steersman.backends.sql.sqlite.statements import SQL
from steersman.core.errors import Conflict, NotFound, StoreError
from steersman.core.ports import Row
from steersman.core.values import Decision, Outcome, Taken


class Admission:
    """Refuses rows whose ids the log holds. The caller lets one thread in at a time."""

    def __init__(self, reader: sqlite3.Connection) -> None:
        self._reader = reader
        self._newest_id: str = reader.execute(SQL.newest_id).fetchone()[0] or ""

    def took(self, decision: Decision) -> None:
        """Note that a decision is in the log now."""
        self._newest_id = max(self._newest_id, decision.id)

    def check(self, rows: Sequence[Row], batches: Sequence[Batch]) -> None:
        """Raise Conflict for a decision, a revision or an event that the log holds, NotFound for an outcome of no decision.

        `batches` are those that may not be durable yet. Raises StoreError if the store cannot be read.
        """
        self._refuse_taken([row for row in rows if isinstance(row, Taken)], batches)
        given: set[str] = set()
        doubtful: list[str] = []
        revisions: dict[str, set[int]] = {}
        for row in rows:
            if isinstance(row, Decision):
                if row.id in given:
                    raise _known_decision(row.id)
                given.add(row.id)
                if row.id <= self._newest_id:  # ids rise, so a new decision costs no look-up
                    doubtful.append(row.id)
            elif isinstance(row, Outcome):
                seen = revisions.setdefault(row.decision_id, set())
                if row.revision in seen:
                    raise _known_revision(row.decision_id, row.revision)
                seen.add(row.revision)
        if doubtful:
            self._refuse_decisions(doubtful, batches)
        if revisions:
            self._refuse_revisions(revisions, given, batches)

    def _refuse_taken(self, rows: Sequence[Taken], batches: Sequence[Batch]) -> None:
        for place, row in enumerate(rows):
            key = (row.stream, row.event)
            given = any((each.stream, each.event) == key for each in rows[:place])
            if given or any(key in each.taken for each in batches) or self._ask(SQL.taken, key):
                raise known_event(row)

    def _refuse_decisions(self, names: list[str], batches: Sequence[Batch]) -> None:
        for name in names:
            if any(name in each.decisions for each in batches):
                raise _known_decision(name)
        for (name,) in self._stored(SQL.known_decisions, names):
            raise _known_decision(name)

    def _refuse_revisions(self, revisions: dict[str, set[int]], given: set[str], batches: Sequence[Batch]) -> None:
        old, new = batches[0], batches[-1]
        for batch in batches:
            for name in revisions.keys() & batch.outcomes.keys():
                for each in batch.outcomes[name]:
                    if each.revision in revisions[name]:
                        raise _known_revision(name, each.revision)
        durable = [name for name in revisions if not (name in given or name in old.decisions or name in new.decisions)]
        settled = [name for (name,) in self._stored(SQL.not_open, durable)]  # none, where all wait for a first outcome
        known = self._stored(SQL.known_outcomes, settled)
        for name, revision in known:
            if revision in revisions[name]:
                raise _known_revision(name, revision)
        if missing := set(settled).difference(name for name, _ in known):
            raise NotFound(f"there is no decision {min(missing)!r} for an outcome. Nothing was taken.")

    def _stored(self, statement: str, names: list[str]) -> list[Columns]:
        return self._ask(statement, (text(names),)) if names else []

    def _ask(self, statement: str, parameters: tuple[str, ...]) -> list[Columns]:
        try:
            return self._reader.execute(statement, parameters).fetchall()
        except sqlite3.Error as error:
            raise StoreError(f"the store cannot be read: {error}. Nothing was taken.") from error


def _known_decision(name: str) -> Conflict:
    return Conflict(f"the log already holds decision {name}; rows are never changed. Nothing was taken.")


def _known_revision(name: str, revision: int) -> Conflict:
    return Conflict(
        f"the log already holds revision {revision} of the outcome of {name}; rows are never changed. Nothing was taken."
    )

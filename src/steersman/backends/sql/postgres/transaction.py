"""One batch, one transaction: rows, learned values and the log's head move together or not at all.

The head of the log is one row, and whoever moves it holds it until the commit: positions have no gaps, and rows become
visible in their order. So that it is held for a moment only, the whole transaction travels in one go, in the hope that no
other process was first to any of the ids; the tables refuse it if one was. Then it is made again with a look at each row.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import psycopg
from msgspec.structs import astuple

from steersman.backends.sql.batch import Batch, Changes, Group, Place
from steersman.backends.sql.postgres.connect import Connection
from steersman.backends.sql.postgres.queue import known
from steersman.backends.sql.postgres.statements import SQL
from steersman.backends.sql.rows import (
    Columns,
    audit_event,
    body_of,
    chain_old,
    encode,
    entry_columns,
    episode_columns,
    known_event,
    text,
)
from steersman.core.chain import chained
from steersman.core.errors import Conflict, InvalidInput, NotFound, SteersmanError
from steersman.core.values import ApiKey, AuditEvent, Contribution, Decision, Learned, Outcome, Taken

_OTHERS_WERE_FIRST = (psycopg.errors.UniqueViolation, psycopg.errors.DivisionByZero)
_CANNOT_BE_KEPT = (
    psycopg.DataError,
    psycopg.errors.ProgramLimitExceeded,
    psycopg.errors.NotNullViolation,
    psycopg.errors.CheckViolation,
)
_FAR_ON = 10**15  # a position that no log reaches


class Sender(NamedTuple):
    """Who writes: its name in the store, its stream, where others listen, and the key of the audit trail's chain.

    taken_s: for how long taken events are remembered.
    """

    name: str
    stream: int
    channel: str
    audit_key: bytes
    taken_s: float


def write(connection: Connection, batch: Batch, sender: Sender) -> int:
    """Store a batch durably and return the position of the log's last row; refused groups are told by their receipts.

    Raises psycopg.Error, and then nothing of it is there, unless the commit itself failed.
    """
    try:
        with connection.pipeline():
            connection.execute("BEGIN")
            answers = _apply(connection, Plan(batch.groups), batch, sender)
            connection.execute("COMMIT")
        return _settle(batch, answers)
    except (*_OTHERS_WERE_FIRST, *_CANNOT_BE_KEPT):
        connection.rollback()
    try:
        return _write_with_care(connection, batch, sender, batch.groups)
    except _CANNOT_BE_KEPT as error:
        if isinstance(error, _OTHERS_WERE_FIRST):
            raise
    return _write_with_care(connection, batch, sender, [each for each in batch.groups if _can_be_kept(connection, each)])


def _write_with_care(connection: Connection, batch: Batch, sender: Sender, groups: Sequence[Group]) -> int:
    with connection.transaction():
        connection.execute(SQL.lock_head)
        accepted = _examine(connection, groups)
        with connection.pipeline():
            answers = _apply(connection, Plan(accepted), batch, sender)
    return _settle(batch, answers)


def _can_be_kept(connection: Connection, group: Group) -> bool:
    """Try a group by itself, far from the head, and return whether the store takes it; if not, its receipt says why."""
    plan = Plan([group])
    try:
        with connection.transaction(force_rollback=True):
            _write_rows(connection, plan, plan.size - _FAR_ON)
            for agent, table in plan.learned.items():
                _write_table(connection, agent, table, plan.size)
    except _OTHERS_WERE_FIRST:
        return True
    except _CANNOT_BE_KEPT as error:
        group.receipt.refusal = InvalidInput(
            f"the store cannot keep a row: {str(error).splitlines()[0]}. Nothing was taken."
        )
        return False
    return True


def _settle(batch: Batch, answers: "list[psycopg.Cursor[Any]]") -> int:
    head, *tokens = answers
    for (receipt, *_), answer in zip(batch.asked, tokens, strict=True):
        (receipt.promised,) = answer.fetchone() or (0,)
    position, _ = head.fetchone() or (0, None)
    return int(position)


class Plan:
    """The rows of some groups, by what becomes of them. Rows of the log have a place: 1 for the first."""

    def __init__(self, groups: Iterable[Group]) -> None:
        self.size = 0
        self.decisions: dict[str, Decision] = {}
        self.decision_columns: list[Columns] = []
        self.outcome_columns: list[Columns] = []
        self.answered: set[str] = set()
        self.audit: list[AuditEvent] = []
        self.controls: list[Columns] = []
        self.keys: dict[str, Columns] = {}
        self.contributions: dict[Place, Columns] = {}
        self.taken: list[Taken] = []
        self.learned: dict[str, _Table] = {}
        self.cuts: list[Learned] = []
        for group in groups:
            for row, columns in zip(group.rows, group.columns, strict=True):
                self._take(row, columns)
            if group.learned is not None:
                self.learned.setdefault(group.learned.agent, _Table()).take(group.learned, self.size)
            if group.cut is not None:
                self.cuts.append(group.cut)

    def _take(self, row: object, columns: Columns) -> None:
        if isinstance(row, Decision):
            self.size += 1
            self.decisions[row.id] = row
            self.decision_columns.append((self.size, *columns))
        elif isinstance(row, Outcome):
            self.size += 1
            self.outcome_columns.append((self.size, *columns))
            self.answered.add(row.decision_id)
        elif isinstance(row, AuditEvent):
            self.audit.append(row)
        elif isinstance(row, Contribution):
            self.contributions[row.pool, row.source, row.key, row.role] = columns
        elif isinstance(row, Taken):
            self.taken.append(row)
        elif isinstance(row, ApiKey):
            self.keys[row.id] = columns
        else:
            self.controls.append(columns)

    def settled(self) -> list[str]:
        """Return the ids of decisions that must be stored already, because they get an outcome, or a revision of it."""
        return sorted(self.answered - self.decisions.keys())

    def opened(self) -> list[Columns]:
        """Return the columns of decisions that wait for an outcome now."""
        waiting = (each for key, each in self.decisions.items() if key not in self.answered)
        return [(each.id, each.agent, each.decided_at) for each in waiting]

    def counts(self) -> list[Columns]:
        """Return how many decisions each agent made, by stream."""
        counted = Counter((each.agent, each.stream) for each in self.decisions.values())
        return [(*place, count) for place, count in counted.items()]


class _Table:
    """What was learned for one agent: the changes together, the fence of each, and the position or the place of the last."""

    def __init__(self) -> None:
        self.changes = Changes()
        self.fences: set[int] = set()
        self.position: int | None = None
        self.place = 0

    def take(self, learned: Learned, place: int) -> None:
        self.changes.merge(learned, place)
        self.fences.add(learned.fence)
        self.position, self.place = learned.position, place


def _apply(connection: Connection, plan: Plan, batch: Batch, sender: Sender) -> "list[psycopg.Cursor[Any]]":
    """Write a plan; return the cursors that will know the head's position and the tokens granted."""
    head = connection.execute(SQL.move_head, (sender.name, batch.number, sender.stream, plan.size, sender.channel))
    for agent, table in plan.learned.items():
        for fence in table.fences:
            connection.execute(SQL.check_fence, (agent, fence))
    for base in plan.cuts:
        connection.execute(SQL.check_fence, (base.agent, base.fence))
    _write_rows(connection, plan, plan.size)
    if plan.taken:
        connection.execute(SQL.forget_taken, (max(each.at for each in plan.taken) - sender.taken_s,))
    write_audit(connection, plan.audit, sender.audit_key)
    for agent, table in sorted(plan.learned.items()):
        _write_table(connection, agent, table, plan.size)
    for base in plan.cuts:
        for statement in SQL.cut:
            connection.execute(statement, (base.agent, base.position))
        connection.execute(SQL.put_base, (base.agent, base.position, body_of(base)))
    for _, agent, period, *_ in batch.asked:
        connection.execute(SQL.begin_tokens, (agent, period))
    tokens = [connection.execute(SQL.reserve_tokens, tuple(asked[1:])) for asked in batch.asked]
    return [head, *tokens]


def _write_rows(connection: Connection, plan: Plan, before: int) -> None:
    """Write the rows of a plan, the first of them `before` places behind the head."""
    if plan.decision_columns:
        connection.execute(SQL.add_decisions, (before, *_arrays(plan.decision_columns)))
        _insert(connection, SQL.open_decisions, plan.opened())
        _insert(connection, SQL.count_decisions, plan.counts())
    if plan.outcome_columns:
        connection.execute(SQL.add_outcomes, (before, *_arrays(plan.outcome_columns)))
        if settled := plan.settled():
            connection.execute(SQL.settle_decisions, (settled, len(settled)) * 2)
    _insert(connection, SQL.add_controls, plan.controls)
    _insert(connection, SQL.put_keys, list(plan.keys.values()))
    _insert(connection, SQL.put_contributions, list(plan.contributions.values()))
    _insert(connection, SQL.add_taken, [astuple(each) for each in plan.taken])


def write_audit(connection: Connection, events: Sequence[AuditEvent], audit_key: bytes) -> None:
    """Write audit events, chained to the last one. The caller holds the head of the log, so that nobody comes between."""
    if events:
        found = connection.execute(SQL.last_audit).fetchone()
        last = audit_event(found) if found else chain_old(connection, SQL, audit_key)
        _insert(connection, SQL.add_audit, encode(list(chained(audit_key, last, events))))


def _write_table(connection: Connection, agent: str, table: _Table, size: int) -> None:
    changes = table.changes
    removed = changes.replace or bool(changes.removed)
    connection.execute(SQL.put_learned, (agent, table.position, size - table.place, changes.carry, removed))
    if changes.replace:
        for statement in SQL.forget_agent:
            connection.execute(statement, (agent,))
    elif changes.removed:
        for statement in SQL.remove_states:
            connection.execute(statement, (agent, sorted(changes.removed)))
    entries = [columns for each in changes.entries.values() for columns in entry_columns(agent, each.items())]
    _insert(connection, SQL.put_entries, entries)
    _insert(connection, SQL.put_states, [(agent, key, text(bins)) for key, bins in changes.states.items()])
    _insert(connection, SQL.put_episodes, episode_columns(changes.episodes.values()))
    _insert(connection, SQL.put_windows, [astuple(each) for each in changes.windows.values()])


def _insert(connection: Connection, statement: str, rows: Sequence[Columns]) -> None:
    if rows:
        connection.execute(statement, _arrays(rows))


def _pairs(taken: Sequence[Taken]) -> tuple[list[str], list[str]]:
    return [each.stream for each in taken], [each.event for each in taken]


def _arrays(rows: Sequence[Columns]) -> tuple[list[Any], ...]:
    return tuple(list(column) for column in zip(*rows, strict=True))


def _examine(connection: Connection, groups: Sequence[Group]) -> list[Group]:
    """Return the groups that may enter, and tell the others why not. The head is held: nothing changes meanwhile."""
    log = _Known(connection, groups)
    accepted = []
    for group in groups:
        group.receipt.refusal = None  # what an earlier attempt found may have changed
        try:
            log.admit(group)
        except SteersmanError as error:
            group.receipt.refusal = error
        else:
            accepted.append(group)
    return accepted


class _Known:
    """What the store holds of the ids in some groups, and what was admitted since."""

    def __init__(self, connection: Connection, groups: Sequence[Group]) -> None:
        rows = [row for group in groups for row in group.rows]
        ids = [row.id for row in rows if isinstance(row, Decision)]
        answered = [row.decision_id for row in rows if isinstance(row, Outcome)]
        agents = [each.agent for group in groups for each in (group.learned, group.cut) if each is not None]
        taken = [row for row in rows if isinstance(row, Taken)]
        self._taken = set(connection.execute(SQL.known_taken, _pairs(taken)).fetchall())
        self._fences: dict[Any, Any] = dict(connection.execute(SQL.fences, (agents,)).fetchall())  # type: ignore[arg-type]
        self._decisions = {name for (name,) in connection.execute(SQL.known_decisions, (ids,))}
        self._revisions: set[Any] = set()
        for name, revision in connection.execute(SQL.known_outcomes, (answered,)):
            self._decisions.add(name)
            self._revisions.add((name, revision))

    def admit(self, group: Group) -> None:
        """Raise Conflict or NotFound for a group that may not enter; else count it as entered."""
        decisions: set[object] = set()
        revisions: set[object] = set()
        taken: set[tuple[str, str]] = set()
        for row in group.rows:
            if isinstance(row, Taken):
                if (row.stream, row.event) in self._taken:
                    raise known_event(row)
                taken.add((row.stream, row.event))
            elif isinstance(row, Decision):
                if row.id in self._decisions:
                    raise known(row)
                decisions.add(row.id)
            elif isinstance(row, Outcome):
                if (row.decision_id, row.revision) in self._revisions:
                    raise known(row)
                revisions.add((row.decision_id, row.revision))
        self._check_decided(group, decisions)
        self._check_fence(group.learned or group.cut)
        self._decisions |= decisions
        self._revisions |= revisions
        self._taken |= taken

    def _check_decided(self, group: Group, decisions: set[object]) -> None:
        for row in group.rows:
            if isinstance(row, Outcome) and row.decision_id not in decisions and row.decision_id not in self._decisions:
                raise NotFound(f"there is no decision {row.decision_id!r} for an outcome. Nothing was taken.")

    def _check_fence(self, learned: Learned | None) -> None:
        if learned is not None and self._fences.get(learned.agent, 0) != learned.fence:
            raise Conflict(
                f"{learned.agent}: another process learns for it now (fence {self._fences.get(learned.agent, 0)}, not "
                f"{learned.fence}). What was learned here was refused; nothing is lost, the log holds every outcome."
            )

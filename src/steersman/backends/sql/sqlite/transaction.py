"""One batch, one transaction: rows, learned values and the log's head move together or not at all."""

import sqlite3
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress

from msgspec.structs import astuple

from steersman.backends.sql.batch import Batch, Changes
from steersman.backends.sql.rows import audit_event, body_of, chain_old, encode, entry_columns, episode_columns, text
from steersman.backends.sql.sqlite.statements import SQL, insert_many
from steersman.core.chain import chained
from steersman.core.values import TAKEN_S, ApiKey, AuditEvent, Control

Word = AuditEvent | Control | ApiKey
"""What has no place in the log's order."""


def write(connection: sqlite3.Connection, batch: Batch, audit_key: bytes = b"", taken_s: float = TAKEN_S) -> None:
    """Store a batch durably. taken_s: for how long taken events are remembered.

    Raises sqlite3.Error, and then nothing of it is there, unless the commit itself failed.
    """
    connection.execute("BEGIN IMMEDIATE")
    try:
        write_rows(connection, batch)
        _write_taken(connection, batch, taken_s)
        write_words(connection, [*batch.audit, *batch.controls, *batch.keys.values()], audit_key)
        write_learned(connection, batch)
        _cut(connection, batch)
        _grant(connection, batch)
        connection.execute(SQL.move_head, (batch.position, batch.number))
        connection.execute("COMMIT")
    except sqlite3.Error:
        with suppress(sqlite3.Error):  # after SQLITE_FULL it is rolled back already
            connection.execute("ROLLBACK")
        raise


def write_rows(connection: sqlite3.Connection, batch: Batch) -> None:
    """Write decisions, outcomes and what hangs on them."""
    insert_many(connection, SQL.add_decision, batch.decision_columns)
    insert_many(connection, SQL.add_outcome, batch.outcome_columns)
    answered = batch.outcomes.keys()
    waiting = [(each.id, each.agent, each.decided_at) for key, each in batch.decisions.items() if key not in answered]
    insert_many(connection, SQL.open_decision, waiting)
    if settled := [key for key in answered if key not in batch.decisions]:
        connection.execute(SQL.settle_decisions, (text(settled),))
    counts = Counter((each.agent, each.stream) for each in batch.decisions.values())
    insert_many(connection, SQL.count_decisions, [(*place, count) for place, count in counts.items()])
    insert_many(connection, SQL.put_contribution, [astuple(each) for each in batch.contributions.values()])


def _write_taken(connection: sqlite3.Connection, batch: Batch, taken_s: float) -> None:
    """Write which events were taken, and forget the oldest."""
    if taken := list(batch.taken.values()):
        insert_many(connection, SQL.add_taken, [astuple(each) for each in taken])
        connection.execute(SQL.forget_taken, (max(each.at for each in taken) - taken_s,))


def write_words(connection: sqlite3.Connection, words: Sequence[Word], audit_key: bytes) -> None:
    """Write audit events, chained to the last one, controls and keys."""
    if audit := [each for each in words if isinstance(each, AuditEvent)]:
        found = connection.execute(SQL.last_audit).fetchone()
        last = audit_event(found) if found else chain_old(connection, SQL, audit_key)
        insert_many(connection, SQL.add_audit, encode(list(chained(audit_key, last, audit))))
    insert_many(connection, SQL.add_control, encode([each for each in words if isinstance(each, Control)]))
    insert_many(connection, SQL.put_key, encode([each for each in words if isinstance(each, ApiKey)]))


def _cut(connection: sqlite3.Connection, batch: Batch) -> None:
    for base in batch.cuts:
        for statement in SQL.cut:
            connection.execute(statement, (base.agent, base.position))
        connection.execute(SQL.put_base, (base.agent, base.position, body_of(base)))


def _grant(connection: sqlite3.Connection, batch: Batch) -> None:
    """Reserve the tokens that were asked for, as far as the budget goes."""
    for receipt, agent, period, count, budget in batch.asked:
        found = connection.execute(SQL.tokens, (agent, period)).fetchone()
        reserved = found[0] if found else 0
        receipt.promised = max(0, min(count, budget - reserved))
        connection.execute(SQL.put_tokens, (agent, period, reserved + receipt.promised))


def write_learned(connection: sqlite3.Connection, batch: Batch) -> None:
    """Write what was learned, with the position up to which it was."""
    for agent, changes in batch.learned.items():
        _write_changes(connection, agent, changes)
        connection.execute(SQL.put_learned, (agent, changes.position, changes.carry))


def _write_changes(connection: sqlite3.Connection, agent: str, changes: Changes) -> None:
    if changes.replace:
        for statement in SQL.forget_agent:
            connection.execute(statement, (agent,))
    elif changes.removed:
        keys = text(sorted(changes.removed))
        for statement in SQL.remove_states:
            connection.execute(statement, (agent, keys))
    for each in changes.entries.values():
        insert_many(connection, SQL.put_entry, entry_columns(agent, each.items()))
    insert_many(connection, SQL.put_state, [(agent, key, text(bins)) for key, bins in changes.states.items()])
    insert_many(connection, SQL.put_episode, episode_columns(changes.episodes.values()))
    insert_many(connection, SQL.put_window, [astuple(each) for each in changes.windows.values()])

"""The statements that are run again and again, compiled from the tables once and run through the bare driver.

Placeholders are `?`, in the order in which the parameters stand in the statement.
"""

import re
import sqlite3
from collections.abc import Iterable, Sequence
from functools import cache, cached_property
from itertools import chain
from typing import Any

from sqlalchemy import ClauseElement, Select, Table, and_, bindparam, delete, exists, func, select, update
from sqlalchemy.dialects import sqlite
from sqlalchemy.dialects.sqlite import insert

from steersman.backends.sql import schema

_GROUP = re.compile(r"VALUES (\(\?[?, ]*\))")
_CHUNKS = (512, 64, 8, 1)


def sql(statement: ClauseElement) -> str:
    """Return a statement as SQLite's text."""
    return str(statement.compile(dialect=sqlite.dialect(paramstyle="qmark")))


def insert_many(connection: sqlite3.Connection, statement: str, rows: Sequence[Sequence[Any]]) -> None:
    """Insert rows by statements of up to 512 rows each.

    The driver lets go of the interpreter once for each statement: row by row, a busy thread would make the writer wait
    for its turn (5 ms) at every row.
    """
    start = 0
    for size in _CHUNKS:
        text = _repeated(statement, size)
        while len(rows) - start >= size:
            connection.execute(text, list(chain.from_iterable(rows[start : start + size])))
            start += size


@cache
def _repeated(statement: str, size: int) -> str:
    return _GROUP.sub(lambda match: f"VALUES {', '.join([match[1]] * size)}", statement)


def _each(name: str) -> Select[Any]:
    """Return the elements of a JSON array parameter: any number of keys in one parameter."""
    listed = func.json_each(bindparam(name)).table_valued("value")
    return select(listed.c.value)


def _upsert(table: Table, keys: Iterable[str]) -> str:
    statement = insert(table)
    names = [each.name for each in table.columns if each.name not in set(keys)]
    return sql(
        statement.on_conflict_do_update(index_elements=list(keys), set_={name: statement.excluded[name] for name in names})
    )


class Statements:
    """One property for each statement; each is compiled when it is first used."""

    @cached_property
    def head(self) -> str:
        """Position and number of commits."""
        return sql(select(schema.log_head.c.position, schema.log_head.c.commits))

    @cached_property
    def move_head(self) -> str:
        """Parameters: position, commits."""
        return sql(update(schema.log_head).values(position=bindparam("new_position"), commits=bindparam("new_commits")))

    @cached_property
    def add_decision(self) -> str:
        """All columns, in their order."""
        return sql(insert(schema.decisions))

    @cached_property
    def add_outcome(self) -> str:
        """All columns, in their order."""
        return sql(insert(schema.outcomes))

    @cached_property
    def open_decision(self) -> str:
        """All columns, in their order."""
        return sql(insert(schema.open_decisions))

    @cached_property
    def settle_decisions(self) -> str:
        """Parameter: decision ids as a JSON array."""
        table = schema.open_decisions
        return sql(delete(table).where(table.c.decision_id.in_(_each("ids"))))

    @cached_property
    def count_decisions(self) -> str:
        """Parameters: agent, how many more."""
        statement = insert(schema.agents)
        more = schema.agents.c.decisions + statement.excluded.decisions
        return sql(statement.on_conflict_do_update(index_elements=["name"], set_={"decisions": more}))

    @cached_property
    def put_entry(self) -> str:
        """All columns, in their order."""
        return _upsert(schema.entries, ["agent", "state_key", "slot"])

    @cached_property
    def put_state(self) -> str:
        """All columns, in their order."""
        return _upsert(schema.states, ["agent", "state_key"])

    @cached_property
    def put_episode(self) -> str:
        """All columns, in their order."""
        return _upsert(schema.episodes, ["agent", "episode"])

    @cached_property
    def put_learned(self) -> str:
        """All columns, in their order."""
        return _upsert(schema.learned, ["agent"])

    @cached_property
    def remove_states(self) -> tuple[str, ...]:
        """Parameters of each: agent, state keys as a JSON array."""
        return tuple(
            sql(delete(each).where(each.c.agent == bindparam("agent"), each.c.state_key.in_(_each("keys"))))
            for each in (schema.entries, schema.states)
        )

    @cached_property
    def forget_agent(self) -> tuple[str, ...]:
        """Parameter of each: agent."""
        return tuple(
            sql(delete(each).where(each.c.agent == bindparam("agent")))
            for each in (schema.entries, schema.states, schema.episodes)
        )

    @cached_property
    def add_audit(self) -> str:
        """At, actor, event, subject, detail."""
        return sql(insert(schema.audit_events).values(_placeholders(schema.audit_events)))

    @cached_property
    def add_switch(self) -> str:
        """Scope, active, actor, reason, at."""
        return sql(insert(schema.kill_switches).values(_placeholders(schema.kill_switches)))

    @cached_property
    def decision(self) -> str:
        """The body. Parameter: id."""
        return sql(select(schema.decisions.c.body).where(schema.decisions.c.id == bindparam("id")))

    @cached_property
    def outcomes(self) -> str:
        """The bodies, oldest first. Parameter: decision id."""
        table = schema.outcomes
        wanted = table.c.decision_id == bindparam("id")
        return sql(select(table.c.body).where(wanted).order_by(table.c.revision))

    @cached_property
    def known_outcomes(self) -> str:
        """Decision id and revision (null where there is none) of known decisions. Parameter: ids as a JSON array."""
        decision, outcome = schema.decisions, schema.outcomes
        both = decision.outerjoin(outcome, outcome.c.decision_id == decision.c.id)
        return sql(select(decision.c.id, outcome.c.revision).select_from(both).where(decision.c.id.in_(_each("ids"))))

    @cached_property
    def not_open(self) -> str:
        """Those that do not wait for a first outcome. Parameter: decision ids as a JSON array."""
        listed = func.json_each(bindparam("ids")).table_valued("value")
        waits = schema.open_decisions.c.decision_id
        return sql(select(listed.c.value).where(~exists(select(waits).where(waits == listed.c.value))))

    @cached_property
    def known_decisions(self) -> str:
        """The ids. Parameter: ids as a JSON array."""
        return sql(select(schema.decisions.c.id).where(schema.decisions.c.id.in_(_each("ids"))))

    @cached_property
    def newest_id(self) -> str:
        """The greatest decision id."""
        return sql(select(func.max(schema.decisions.c.id)))

    @cached_property
    def history(self) -> str:
        """Position, bodies of decision and outcome, in log order. Parameters: agent, last position."""
        outcome, decision = schema.outcomes, schema.decisions
        both = outcome.join(decision, decision.c.id == outcome.c.decision_id)
        return sql(
            select(outcome.c.position, decision.c.body, outcome.c.body)
            .select_from(both)
            .where(outcome.c.agent == bindparam("agent"), outcome.c.position <= bindparam("until"))
            .order_by(outcome.c.position)
        )

    @cached_property
    def all_decisions(self) -> str:
        """Position and body in log order."""
        return sql(select(schema.decisions.c.position, schema.decisions.c.body).order_by(schema.decisions.c.position))

    @cached_property
    def all_outcomes(self) -> str:
        """Position and body in log order."""
        return sql(select(schema.outcomes.c.position, schema.outcomes.c.body).order_by(schema.outcomes.c.position))

    @cached_property
    def recent(self) -> str:
        """Position and body, newest first. Parameters: agent, limit, 0."""
        table = schema.decisions
        newest = select(table.c.position, table.c.body).where(table.c.agent == bindparam("agent"))
        ordered = newest.order_by(table.c.decided_at.desc(), table.c.position.desc())
        return sql(ordered.limit(bindparam("most")))

    @cached_property
    def last_of_episode(self) -> str:
        """Position and body. Parameters: agent, episode, 1, 0."""
        table = schema.decisions
        mine = and_(
            table.c.agent == bindparam("agent"), table.c.episode == bindparam("episode"), table.c.episode != table.c.id
        )
        newest = select(table.c.position, table.c.body).where(mine).order_by(table.c.position.desc())
        return sql(newest.limit(bindparam("most")))

    @cached_property
    def waiting(self) -> str:
        """Position and body, oldest first. Parameters: agent, before."""
        waits, decision = schema.open_decisions, schema.decisions
        both = waits.join(decision, decision.c.id == waits.c.decision_id)
        wanted = and_(waits.c.agent == bindparam("agent"), waits.c.decided_at < bindparam("before"))
        return sql(
            select(decision.c.position, decision.c.body)
            .select_from(both)
            .where(wanted)
            .order_by(waits.c.decided_at, decision.c.position)
        )

    @cached_property
    def open_episodes(self) -> str:
        """All columns. Parameter: agent."""
        table = schema.episodes
        return sql(select(*table.c).where(table.c.agent == bindparam("agent"), table.c.ended_at.is_(None)))

    @cached_property
    def entries(self) -> str:
        """All columns but the agent. Parameter: agent."""
        table = schema.entries
        return sql(select(*list(table.c)[1:]).where(table.c.agent == bindparam("agent")))

    @cached_property
    def states(self) -> str:
        """Key and bins. Parameter: agent."""
        table = schema.states
        return sql(select(table.c.state_key, table.c.bins).where(table.c.agent == bindparam("agent")))

    @cached_property
    def learned(self) -> str:
        """Position and carry. Parameter: agent."""
        table = schema.learned
        return sql(select(table.c.position, table.c.carry).where(table.c.agent == bindparam("agent")))

    @cached_property
    def agents(self) -> str:
        """Name and number of decisions."""
        return sql(select(schema.agents.c.name, schema.agents.c.decisions))

    @cached_property
    def audit(self) -> str:
        """At, actor, event, subject, detail, newest first. Parameters: limit, 0."""
        table = schema.audit_events
        return sql(select(*list(table.c)[1:]).order_by(table.c.id.desc()).limit(bindparam("most")))

    @cached_property
    def kill_switches(self) -> str:
        """Scope, active, actor, reason, at: the last of each scope."""
        table = schema.kill_switches
        later = table.alias()
        newer = exists(select(later.c.id).where(later.c.scope == table.c.scope, later.c.id > table.c.id))
        return sql(select(*list(table.c)[1:]).where(~newer).order_by(table.c.scope))


def _placeholders(table: Table) -> dict[str, Any]:
    return {each.name: bindparam(each.name) for each in table.columns if not each.primary_key}


SQL = Statements()

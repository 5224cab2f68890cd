"""SQLite's own statements: how rows are written, composed from the tables."""

from collections.abc import Iterable
from functools import cached_property
from typing import Any

from sqlalchemy import Table, bindparam, delete, exists, func, select, update
from sqlalchemy.dialects import sqlite
from sqlalchemy.dialects.sqlite import insert

from steersman.backends.sql import schema
from steersman.backends.sql.queries import Queries


class SqliteQueries(Queries):
    """Adds what is written. Any number of keys is one parameter: a JSON array."""

    def __init__(self) -> None:
        super().__init__(sqlite.dialect(paramstyle="qmark"))

    def _upsert(self, table: Table, keys: Iterable[str], *, but: tuple[str, ...] = ()) -> str:
        columns = [each.name for each in table.columns if each.name not in but]
        statement = insert(table).values({name: bindparam(name) for name in columns})
        changed = {name: statement.excluded[name] for name in columns if name not in set(keys)}
        return self.text(statement.on_conflict_do_update(index_elements=list(keys), set_=changed))

    @cached_property
    def move_head(self) -> str:
        """Parameters: position, commits."""
        return self.text(
            update(schema.log_head).values(position=bindparam("new_position"), commits=bindparam("new_commits"))
        )

    @cached_property
    def newest_id(self) -> str:
        """The greatest decision id."""
        return self.text(select(func.max(schema.decisions.c.id)))

    @cached_property
    def not_open(self) -> str:
        """Those that do not wait for a first outcome. Parameter: decision ids."""
        listed = func.json_each(bindparam("ids")).table_valued("value")
        waits = schema.open_decisions.c.decision_id
        return self.text(select(listed.c.value).where(~exists(select(waits).where(waits == listed.c.value))))

    @cached_property
    def add_decision(self) -> str:
        """All columns, in their order."""
        return self.text(insert(schema.decisions))

    @cached_property
    def add_outcome(self) -> str:
        """All columns, in their order."""
        return self.text(insert(schema.outcomes))

    @cached_property
    def open_decision(self) -> str:
        """All columns, in their order."""
        return self.text(insert(schema.open_decisions))

    @cached_property
    def settle_decisions(self) -> str:
        """Parameter: decision ids."""
        table = schema.open_decisions
        return self.text(delete(table).where(table.c.decision_id.in_(self.each("ids"))))

    @cached_property
    def count_decisions(self) -> str:
        """Parameters: agent, stream, how many more."""
        statement = insert(schema.streams)
        more = schema.streams.c.decisions + statement.excluded.decisions
        return self.text(statement.on_conflict_do_update(index_elements=["agent", "stream"], set_={"decisions": more}))

    @cached_property
    def put_entry(self) -> str:
        """All columns but the version, in their order."""
        return self._upsert(schema.entries, ["agent", "state_key", "slot"], but=("version",))

    @cached_property
    def put_state(self) -> str:
        """All columns but the version, in their order."""
        return self._upsert(schema.states, ["agent", "state_key"], but=("version",))

    @cached_property
    def put_episode(self) -> str:
        """All columns, in their order."""
        return self._upsert(schema.episodes, ["agent", "episode"])

    @cached_property
    def put_window(self) -> str:
        """All columns, in their order."""
        return self._upsert(schema.learning_stats, ["agent", "number"])

    @cached_property
    def put_learned(self) -> str:
        """Agent, position, carry."""
        return self._upsert(schema.learned, ["agent"], but=("version", "replaced"))

    @cached_property
    def put_base(self) -> str:
        """All columns, in their order."""
        return self._upsert(schema.bases, ["agent"])

    @cached_property
    def put_contribution(self) -> str:
        """All columns, in their order."""
        return self._upsert(schema.contributions, ["pool", "source", "key", "role"])

    @cached_property
    def add_taken(self) -> str:
        """All columns, in their order."""
        return self.text(insert(schema.taken))

    @cached_property
    def forget_taken(self) -> str:
        """Parameter: before when."""
        return self.text(delete(schema.taken).where(schema.taken.c.at < bindparam("before")))

    @cached_property
    def put_tokens(self) -> str:
        """All columns, in their order."""
        return self._upsert(schema.tokens, ["agent", "period"])

    @cached_property
    def remove_states(self) -> tuple[str, ...]:
        """Parameters of each: agent, state keys."""
        return tuple(
            self.text(delete(each).where(each.c.agent == bindparam("agent"), each.c.state_key.in_(self.each("keys"))))
            for each in (schema.entries, schema.states)
        )

    @cached_property
    def forget_agent(self) -> tuple[str, ...]:
        """Parameter of each: agent."""
        return tuple(
            self.text(delete(each).where(each.c.agent == bindparam("agent")))
            for each in (schema.entries, schema.states, schema.episodes, schema.learning_stats)
        )

    @cached_property
    def add_audit(self) -> str:
        """All columns but the id, in their order."""
        return self.text(insert(schema.audit_events).values(_placeholders(schema.audit_events)))

    @cached_property
    def add_control(self) -> str:
        """All columns but the id, in their order."""
        return self.text(insert(schema.controls).values(_placeholders(schema.controls)))

    @cached_property
    def put_key(self) -> str:
        """All columns, in their order."""
        return self._upsert(schema.api_keys, ["id"])


def _placeholders(table: Table) -> dict[str, Any]:
    return {each.name: bindparam(each.name) for each in table.columns if not each.primary_key}

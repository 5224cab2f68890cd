"""PostgreSQL's own statements: any number of rows is one statement, whose parameters are arrays, one for each column.

Times are given as unix seconds. Positions are counted from the head of the log, which the transaction has moved before.
"""
# ruff: noqa: S608 - every name in these texts is one of our own tables or columns; values are parameters

from collections.abc import Iterable
from functools import cached_property

from sqlalchemy import Column, Dialect, Table
from sqlalchemy.dialects import postgresql

from steersman.backends.sql import schema
from steersman.backends.sql.queries import Queries

DIALECT: Dialect = postgresql.dialect(paramstyle="format")  # type: ignore[no-untyped-call]


class PostgresQueries(Queries):
    """Adds what is written."""

    def __init__(self) -> None:
        super().__init__(DIALECT)

    def _insert(self, table: Table, *, keys: Iterable[str] = (), but: str = "version", version: bool = False) -> str:
        """Return an insert of arrays of all columns but one; with `keys`, rows that are there are replaced."""
        columns = [each for each in table.columns if each.name != but]
        names = [each.name for each in columns]
        values = [_value(each) for each in columns]
        source = f"unnest({', '.join(_array(each) for each in columns)}) AS given ({', '.join(map(_quoted, names))})"
        if version:
            names, values = [*names, "version"], [*values, "learned.version"]
            source += " JOIN learned ON learned.agent = given.agent"
        listed = ", ".join(map(_quoted, names))
        text = f"INSERT INTO {table.name} ({listed}) SELECT {', '.join(values)} FROM {source}"
        if keys:
            changed = ", ".join(f"{_quoted(name)} = excluded.{_quoted(name)}" for name in names if name not in set(keys))
            text += f" ON CONFLICT ({', '.join(map(_quoted, keys))}) DO UPDATE SET {changed}"
        return text

    def _insert_placed(self, table: Table) -> str:
        """Return an insert of rows whose position is given as a place in the batch. First parameter: rows in the batch."""
        columns = [each for each in table.columns if each.name != "position"]
        names = ", ".join(each.name for each in columns)
        arrays = ", ".join(["%b::bigint[]", *(_array(each) for each in columns)])
        values = ", ".join(_value(each) for each in columns)
        return (
            f"INSERT INTO {table.name} (position, {names}) SELECT given.place + log_head.position - %s, {values} "
            f"FROM log_head, unnest({arrays}) AS given (place, {names})"
        )

    @cached_property
    def lock_head(self) -> str:
        """The position, held until the transaction ends."""
        return "SELECT position FROM log_head WHERE id = 1 FOR UPDATE"

    @cached_property
    def move_head(self) -> str:
        """The new position. Counts the writer's transaction, and tells those who listen.

        Fails by a division by zero if that transaction was counted before: the answer to its commit was lost. Parameters:
        writer, number of its transaction, stream, by how many rows, channel.
        """
        return (
            "WITH counted AS (INSERT INTO writers (name, commits, stream, seen_at) VALUES (%s, %s, %s, now()) "
            "ON CONFLICT (name) DO UPDATE SET "
            "commits = excluded.commits, stream = excluded.stream, seen_at = excluded.seen_at "
            "WHERE writers.commits < excluded.commits RETURNING 1) "
            "UPDATE log_head SET position = position + %s / (SELECT count(*) FROM counted), commits = commits + 1 "
            "WHERE id = 1 RETURNING position, pg_notify(%s, '')"
        )

    @cached_property
    def streams_of_others(self) -> str:
        """The streams of writers that have not said goodbye. Parameter: this writer."""
        return "SELECT stream FROM writers WHERE name <> %s AND seen_at > now() - interval '1 day'"

    @cached_property
    def commits(self) -> str:
        """How many transactions a writer has committed. Parameter: writer."""
        return "SELECT commits FROM writers WHERE name = %s"

    @cached_property
    def forget_writers(self) -> str:
        """Forget this writer, and those of processes that have been gone for a day. Parameter: writer."""
        return "DELETE FROM writers WHERE name = %s OR seen_at < now() - interval '1 day'"

    @cached_property
    def check_fence(self) -> str:
        """Fails by a division by zero if the lease is another one. Parameters: agent, fence."""
        return "SELECT 1 / (COALESCE((SELECT fence FROM leases WHERE agent = %s FOR SHARE), 0) = %s)::int"

    @cached_property
    def fences(self) -> str:
        """Agent and fence. Parameter: agents."""
        return "SELECT agent, fence FROM leases WHERE agent = ANY(%s) FOR SHARE"

    @cached_property
    def add_decisions(self) -> str:
        """Parameters: rows in the batch, then arrays: places, and all columns but the position."""
        return self._insert_placed(schema.decisions)

    @cached_property
    def add_outcomes(self) -> str:
        """Parameters: rows in the batch, then arrays: places, and all columns but the position."""
        return self._insert_placed(schema.outcomes)

    @cached_property
    def open_decisions(self) -> str:
        """Arrays of all columns."""
        return self._insert(schema.open_decisions)

    @cached_property
    def settle_decisions(self) -> str:
        """They wait no more. Fails by a division by zero if one of them was never made; looks only where not all waited.

        Parameters: decision ids, how many, and both once more.
        """
        return (
            "WITH gone AS (DELETE FROM open_decisions WHERE decision_id = ANY(%b) RETURNING 1) "
            "SELECT CASE WHEN (SELECT count(*) FROM gone) = %s THEN 1 "
            "ELSE 1 / ((SELECT count(*) FROM decisions WHERE id = ANY(%b)) = %s)::int END"
        )

    @cached_property
    def count_decisions(self) -> str:
        """Arrays of all columns."""
        return (
            self._insert(schema.streams)
            + " ON CONFLICT (agent, stream) DO UPDATE SET decisions = streams.decisions + excluded.decisions"
        )

    @cached_property
    def put_learned(self) -> str:
        """Parameters: agent, position (null: so many rows before the head), so many, carry, whether entries were removed."""
        return (
            "INSERT INTO learned (agent, position, carry, version, replaced) "
            "SELECT %s, COALESCE(%s::bigint, log_head.position - %s), %s, 1, 1 FROM log_head "
            "ON CONFLICT (agent) DO UPDATE SET position = excluded.position, carry = excluded.carry, "
            "version = learned.version + 1, replaced = CASE WHEN %s THEN learned.version + 1 ELSE learned.replaced END"
        )

    @cached_property
    def put_entries(self) -> str:
        """Arrays of all columns but the version."""
        return self._insert(schema.entries, keys=("agent", "state_key", "slot"), version=True)

    @cached_property
    def put_states(self) -> str:
        """Arrays of all columns but the version."""
        return self._insert(schema.states, keys=("agent", "state_key"), version=True)

    @cached_property
    def put_episodes(self) -> str:
        """Arrays of all columns."""
        return self._insert(schema.episodes, keys=("agent", "episode"))

    @cached_property
    def put_windows(self) -> str:
        """Arrays of all columns."""
        return self._insert(schema.learning_stats, keys=("agent", "number"))

    @cached_property
    def put_base(self) -> str:
        """All columns, in their order."""
        return (
            "INSERT INTO bases (agent, position, body) VALUES (%s, %s, %s) "
            "ON CONFLICT (agent) DO UPDATE SET position = excluded.position, body = excluded.body"
        )

    @cached_property
    def put_contributions(self) -> str:
        """Arrays of all columns."""
        return self._insert(schema.contributions, keys=("pool", "source", "key", "role"))

    @cached_property
    def add_taken(self) -> str:
        """Arrays of all columns."""
        return self._insert(schema.taken)

    @cached_property
    def known_taken(self) -> str:
        """Stream and event of those that were taken. Parameters: arrays of streams and events."""
        given = "unnest(%b::text[], %b::text[]) AS given (stream, event)"
        return f"SELECT taken.stream, taken.event FROM taken JOIN {given} USING (stream, event)"

    @cached_property
    def forget_taken(self) -> str:
        """Parameter: before when."""
        return "DELETE FROM taken WHERE at < to_timestamp(%s)"

    @cached_property
    def remove_states(self) -> tuple[str, ...]:
        """Parameters of each: agent, state keys."""
        return tuple(f"DELETE FROM {name} WHERE agent = %s AND state_key = ANY(%b)" for name in ("entries", "states"))

    @cached_property
    def forget_agent(self) -> tuple[str, ...]:
        """Parameter of each: agent."""
        return tuple(f"DELETE FROM {name} WHERE agent = %s" for name in ("entries", "states", "episodes", "learning_stats"))

    @cached_property
    def begin_tokens(self) -> str:
        """Parameters: agent, period."""
        return "INSERT INTO tokens (agent, period, reserved) VALUES (%s, %s, 0) ON CONFLICT DO NOTHING"

    @cached_property
    def reserve_tokens(self) -> str:
        """How many were granted. Parameters: agent, period, how many, budget."""
        return (
            "WITH mine AS (SELECT agent, period, reserved FROM tokens WHERE agent = %s AND period = %s FOR UPDATE) "
            "UPDATE tokens SET reserved = mine.reserved + GREATEST(0, LEAST(%s::bigint, %s - mine.reserved)) FROM mine "
            "WHERE tokens.agent = mine.agent AND tokens.period = mine.period RETURNING tokens.reserved - mine.reserved"
        )

    @cached_property
    def add_audit(self) -> str:
        """Arrays of all columns but the id."""
        return self._insert(schema.audit_events, but="id")

    @cached_property
    def add_controls(self) -> str:
        """Arrays of all columns but the id."""
        return self._insert(schema.controls, but="id")

    @cached_property
    def put_keys(self) -> str:
        """Arrays of all columns."""
        return self._insert(schema.api_keys, keys=("id",))

    @cached_property
    def lease(self) -> str:
        """The fence, or nothing while another has it. Parameters: agent, holder, seconds."""
        return (
            "INSERT INTO leases (agent, holder, fence, expires_at) "
            "VALUES (%s, %s, 1, clock_timestamp() + make_interval(secs => %s)) "
            "ON CONFLICT (agent) DO UPDATE SET holder = excluded.holder, expires_at = excluded.expires_at, "
            "fence = leases.fence + (leases.holder <> excluded.holder)::int "
            "WHERE leases.holder = excluded.holder OR leases.expires_at < clock_timestamp() RETURNING fence"
        )

    @cached_property
    def renew(self) -> str:
        """The agents whose leases were renewed, which no other process has taken. Parameters: seconds, agents, holder."""
        return (
            "UPDATE leases SET expires_at = clock_timestamp() + make_interval(secs => %s) "
            "WHERE agent = ANY(%s) AND holder = %s RETURNING agent"
        )

    @cached_property
    def release(self) -> str:
        """Parameters: agents, holder."""
        return "UPDATE leases SET expires_at = clock_timestamp() WHERE agent = ANY(%s) AND holder = %s"

    @cached_property
    def holder(self) -> str:
        """Who holds the lease now. Parameter: agent."""
        return "SELECT holder FROM leases WHERE agent = %s AND expires_at >= clock_timestamp()"


def _array(column: "Column[object]") -> str:
    kind = "double precision" if column.info.get("instant") else column.type.compile(dialect=DIALECT)
    return f"%b::{kind}[]"


def _value(column: "Column[object]") -> str:
    name = f"given.{_quoted(column.name)}"
    return f"to_timestamp({name})" if column.info.get("instant") else name


def _quoted(name: str) -> str:
    return f'"{name}"'

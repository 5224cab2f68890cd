"""The tables, as SQLAlchemy Core knows them: the one source of every SQL statement here, and what the migrations must equal.

Decisions and outcomes share one run of positions and are never updated. What is asked for often is a column; the whole
row is JSON in `body`, as text, because a binary JSON type would not give every number back to the bit. Audit events and
controls have ids of their own, because another process may write them while the owner of the store is at work.

The same tables serve SQLite and PostgreSQL. Times are unix seconds in SQLite and `timestamptz` in PostgreSQL.
"""

from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    Dialect,
    Double,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
    false,
    text,
)
from sqlalchemy.schema import CreateIndex, CreateTable, DDLElement

_BIG = BigInteger().with_variant(Integer, "sqlite")  # only INTEGER is SQLite's own row number
_INSTANT = DateTime(timezone=True).with_variant(Double, "sqlite")

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "pk": "pk_%(table_name)s",
    }
)


def _text(name: str, **options: Any) -> Column[str]:
    return Column(name, Text, nullable=False, **options)


def _number(name: str, *, nullable: bool = False) -> Column[float]:
    return Column(name, Double, nullable=nullable)


def _whole(name: str, **options: Any) -> Column[int]:
    return Column(name, _BIG, nullable=False, **options)


def _version(name: str = "version") -> Column[int]:
    return _whole(name, server_default=text("0"))


def _flag(name: str) -> Column[bool]:
    return Column(name, Boolean, nullable=False, server_default=false())


def _instant(name: str, *, nullable: bool = False) -> Column[Any]:
    return Column(name, _INSTANT, nullable=nullable, info={"instant": True})


log_head = Table(
    "log_head",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    _whole("position"),
    _whole("commits"),
    CheckConstraint("id = 1", name="one_row"),
)

decisions = Table(
    "decisions",
    metadata,
    _whole("position", primary_key=True, autoincrement=False),
    _text("id"),
    _text("agent"),
    _text("episode"),
    _whole("step"),
    _text("arm"),
    _text("action"),
    _instant("decided_at"),
    _text("body"),
    _flag("drawn"),
    _flag("overridden"),
    Column("latency_us", Double, nullable=False, server_default=text("0")),
    UniqueConstraint("id"),
)
Index(None, decisions.c.agent, decisions.c.decided_at)
Index(None, decisions.c.agent, decisions.c.position)
_NAMED = decisions.c.episode != decisions.c.id  # a decision that stands alone is an episode of its own id
Index(None, decisions.c.agent, decisions.c.episode, sqlite_where=_NAMED, postgresql_where=_NAMED)

outcomes = Table(
    "outcomes",
    metadata,
    _whole("position", primary_key=True, autoincrement=False),
    _text("decision_id"),
    _whole("revision"),
    _text("agent"),
    _text("kind"),
    _number("reward", nullable=True),
    _instant("reported_at"),
    _text("body"),
    Column("success", Boolean),
    _number("cost", nullable=True),
    Column("false_block", Boolean),
    UniqueConstraint("decision_id", "revision"),
)
Index(None, outcomes.c.agent, outcomes.c.position)

open_decisions = Table(
    "open_decisions",
    metadata,
    _text("decision_id", primary_key=True),
    _text("agent"),
    _instant("decided_at"),
    sqlite_with_rowid=False,
)

streams = Table(
    "streams",
    metadata,
    _text("agent", primary_key=True),
    _whole("stream", primary_key=True, autoincrement=False),
    _whole("decisions"),
    sqlite_with_rowid=False,
)
"""How many decisions an agent has made in each stream of random numbers; a process at work has a stream of its own."""

entries = Table(
    "entries",
    metadata,
    _text("agent", primary_key=True),
    _text("state_key", primary_key=True),
    _whole("slot", primary_key=True),
    _number("value"),
    _whole("visits"),
    _number("td_variance"),
    _number("reward_mean"),
    _number("reward_m2"),
    _instant("updated_at"),
    _version(),
    sqlite_with_rowid=False,
    postgresql_with={"fillfactor": 60},  # room to update in place
)

states = Table(
    "states",
    metadata,
    _text("agent", primary_key=True),
    _text("state_key", primary_key=True),
    _text("bins"),
    _version(),
    sqlite_with_rowid=False,
)

episodes = Table(
    "episodes",
    metadata,
    _text("agent", primary_key=True),
    _text("episode", primary_key=True),
    _instant("started_at"),
    _instant("ended_at", nullable=True),
    _whole("steps"),
    _number("total_reward"),
    _number("total_return"),
    Column("complete", Boolean, nullable=False),
    sqlite_with_rowid=False,
)
Index(None, episodes.c.agent, episodes.c.ended_at)

learned = Table(
    "learned",
    metadata,
    _text("agent", primary_key=True),
    _whole("position"),
    Column("carry", LargeBinary, nullable=False),
    _version(),
    _version("replaced"),
    sqlite_with_rowid=False,
)
"""How far an agent's table has learned. Each write raises `version`; `replaced` is that of the last write which took
entries away. Entries and states carry the version that wrote them, so that whoever follows reads only what is new."""

bases = Table(
    "bases",
    metadata,
    _text("agent", primary_key=True),
    _whole("position"),
    Column("body", LargeBinary, nullable=False),
    sqlite_with_rowid=False,
)
"""What was learned of an agent's rows that were cut from the log: where a fold of the rest begins."""

learning_stats = Table(
    "learning_stats",
    metadata,
    _text("agent", primary_key=True),
    _whole("number", primary_key=True, autoincrement=False),
    _instant("started_at"),
    _instant("ended_at"),
    _whole("outcomes"),
    _whole("updates"),
    _number("td_bias"),
    _number("td_noise"),
    _whole("td_pairs"),
    _number("reward_mean"),
    _number("reward_m2"),
    _number("noise"),
    _whole("successes"),
    _whole("varied"),
    _number("explored"),
    _whole("policy_changes"),
    _whole("states_seen"),
    _number("epsilon"),
    sqlite_with_rowid=False,
)

CONVERGENCE = """
CREATE VIEW convergence AS
SELECT known.agent,
       COUNT(stats.number) AS windows,
       MIN(stats.started_at) AS started_at,
       MAX(stats.ended_at) AS ended_at,
       COALESCE(SUM(stats.outcomes), 0) AS outcomes,
       COALESCE(SUM(stats.updates), 0) AS updates,
       SUM(stats.td_bias * stats.td_pairs) / NULLIF(SUM(stats.td_pairs), 0) AS td_bias,
       SUM(stats.reward_mean * stats.outcomes) / NULLIF(SUM(stats.outcomes), 0) AS reward_mean,
       SUM(stats.successes) * 1.0 / NULLIF(SUM(stats.outcomes), 0) AS success_rate,
       SUM(stats.explored) * 1.0 / NULLIF(SUM(stats.outcomes), 0) AS explored_share,
       SUM(stats.policy_changes) * 1.0 / NULLIF(SUM(stats.updates), 0) AS policy_change_rate
FROM (SELECT DISTINCT agent FROM streams) AS known
LEFT JOIN (
    SELECT each.* FROM learning_stats AS each
    WHERE each.number > (SELECT MAX(last.number) FROM learning_stats AS last WHERE last.agent = each.agent) - 10
) AS stats ON stats.agent = known.agent
GROUP BY known.agent
"""
"""A summary of each agent's last ten windows for whoever asks by SQL; an agent without windows has none of the measures."""

contributions = Table(
    "contributions",
    metadata,
    _text("pool", primary_key=True),
    _text("source", primary_key=True),
    _text("key", primary_key=True),
    _text("role", primary_key=True),
    _number("value"),
    _number("count"),
    _number("variance"),
    _instant("updated_at"),
    sqlite_with_rowid=False,
)

leases = Table(
    "leases",
    metadata,
    _text("agent", primary_key=True),
    _text("holder"),
    _whole("fence"),
    _instant("expires_at"),
    sqlite_with_rowid=False,
)
"""Who learns for an agent. A new holder raises `fence`; what is learned under a lower one is refused."""

writers = Table(
    "writers",
    metadata,
    _text("name", primary_key=True),
    _whole("commits"),
    _whole("stream"),
    _instant("seen_at"),
    sqlite_with_rowid=False,
)
"""How many transactions a process has committed, so that one whose answer was lost is not made twice."""

tokens = Table(
    "tokens",
    metadata,
    _text("agent", primary_key=True),
    _whole("period", primary_key=True, autoincrement=False),
    _whole("reserved"),
    sqlite_with_rowid=False,
)
"""Exploring decisions reserved of the budget of a period, by whichever process."""

audit_events = Table(
    "audit_events",
    metadata,
    Column("id", _BIG, primary_key=True),
    _instant("at"),
    _text("actor"),
    _text("event"),
    _text("subject"),
    _text("detail"),
    _version("number"),
    _text("digest", server_default=text("''")),
)
Index(None, audit_events.c.number)
"""The audit trail: `number` and `digest` chain each event to the one before; see `core.chain`."""

controls = Table(
    "controls",
    metadata,
    Column("id", _BIG, primary_key=True),
    _text("scope"),
    Column("active", Boolean, nullable=False),
    _text("actor"),
    _text("reason"),
    _instant("at"),
    _text("kind"),
    _text("choices"),
    _instant("expires_at", nullable=True),
)
Index(None, controls.c.kind, controls.c.scope)
"""What people say must hold: kill switches, pins, pauses. The last row of a kind and scope counts."""

api_keys = Table(
    "api_keys",
    metadata,
    _text("id", primary_key=True),
    _text("tenant"),
    _text("name"),
    _text("roles"),
    _text("digest"),
    _instant("created_at"),
    _instant("expires_at", nullable=True),
    _instant("revoked_at", nullable=True),
    sqlite_with_rowid=False,
)

policy_versions = Table(
    "policy_versions",
    metadata,
    _text("agent", primary_key=True),
    _text("id", primary_key=True),
    _instant("cut_at"),
    _text("body"),
    Column("artefact", LargeBinary, nullable=False),  # last, so that whoever reads the rest does not pass it
)
Index(None, policy_versions.c.agent, policy_versions.c.cut_at)
"""Policy versions, written once. Two agents may have learned the same, so that the hash alone names none."""

deployments = Table(
    "deployments",
    metadata,
    _text("agent", primary_key=True),
    _whole("number", primary_key=True, autoincrement=False),
    _instant("at"),
    _text("body"),
)
"""Each move of an agent's pointer; the last number says what is in production."""

judgements = Table(
    "judgements",
    metadata,
    _text("id", primary_key=True),
    _text("agent"),
    _instant("at"),
    _text("body"),
)
Index(None, judgements.c.agent, judgements.c.at)
"""Verdicts on versions, as they were given."""

taken = Table(
    "taken",
    metadata,
    _text("stream", primary_key=True),
    _text("event", primary_key=True),
    _text("position"),
    _text("decision_id"),
    _instant("at"),
    sqlite_with_rowid=False,
)
Index(None, taken.c.at)
"""Events that were worked off, and what they led to; forgotten after a time."""

alembic_version = Table(
    "alembic_version", MetaData(), Column("version_num", Text, primary_key=True, nullable=False)
)  # Alembic's own; known here so that a new store is stamped without importing Alembic


def definitions(dialect: Dialect) -> tuple[str, ...]:
    """Return the statements that make all tables and indexes, as a dialect's text."""
    tables = [*metadata.sorted_tables, alembic_version]
    indexes = sorted((each for table in tables for each in table.indexes), key=lambda each: str(each.name))
    made: list[DDLElement] = [*(CreateTable(each) for each in tables), *(CreateIndex(each) for each in indexes)]
    return (*(str(each.compile(dialect=dialect)) for each in made), CONVERGENCE)

"""The tables, as SQLAlchemy Core knows them: the one source of every SQL statement here, and what the migrations must equal.

Decisions and outcomes share one run of positions and are never updated. What is asked for often is a column; the whole
row is JSON in `body`, readable with `json_extract`. Audit events and kill switches have ids of their own, because another
process may write them while the owner of the store is at work.
"""

from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Double,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
)

APPLICATION_ID = 0x53746565  # "Stee", in the header of the file
REVISIONS = ("0001",)
"""The migrations, oldest first. A store is of the last one, or is brought there, or was written by a newer version."""

_BIG = BigInteger().with_variant(Integer, "sqlite")  # only INTEGER is SQLite's own row number

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
    _number("decided_at"),
    _text("body"),
    UniqueConstraint("id"),
)
Index(None, decisions.c.agent, decisions.c.decided_at)
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
    _number("reported_at"),
    _text("body"),
    UniqueConstraint("decision_id", "revision"),
)
Index(None, outcomes.c.agent)

open_decisions = Table(
    "open_decisions",
    metadata,
    _text("decision_id", primary_key=True),
    _text("agent"),
    _number("decided_at"),
    sqlite_with_rowid=False,
)

agents = Table(
    "agents",
    metadata,
    _text("name", primary_key=True),
    _whole("decisions"),
    sqlite_with_rowid=False,
)

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
    _number("updated_at"),
    sqlite_with_rowid=False,
)

states = Table(
    "states",
    metadata,
    _text("agent", primary_key=True),
    _text("state_key", primary_key=True),
    _text("bins"),
    sqlite_with_rowid=False,
)

episodes = Table(
    "episodes",
    metadata,
    _text("agent", primary_key=True),
    _text("episode", primary_key=True),
    _number("started_at"),
    _number("ended_at", nullable=True),
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
    sqlite_with_rowid=False,
)

audit_events = Table(
    "audit_events",
    metadata,
    Column("id", _BIG, primary_key=True),
    _number("at"),
    _text("actor"),
    _text("event"),
    _text("subject"),
    _text("detail"),
)

kill_switches = Table(
    "kill_switches",
    metadata,
    Column("id", _BIG, primary_key=True),
    _text("scope"),
    Column("active", Boolean, nullable=False),
    _text("actor"),
    _text("reason"),
    _number("at"),
)
Index(None, kill_switches.c.scope)

alembic_version = Table(
    "alembic_version", MetaData(), Column("version_num", Text, primary_key=True, nullable=False)
)  # Alembic's own; known here so that a new store is stamped without importing Alembic

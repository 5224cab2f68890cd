"""The first tables."""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_BIG = sa.BigInteger().with_variant(sa.Integer, "sqlite")
_INSTANT = sa.DateTime(timezone=True).with_variant(sa.Double, "sqlite")


def upgrade() -> None:
    """Make all tables and mark the file as ours."""
    if op.get_context().dialect.name == "sqlite":
        op.execute("PRAGMA application_id = 1400137061")
    _log()
    _learned()
    _events()
    op.execute("INSERT INTO log_head (id, position, commits) VALUES (1, 0, 0)")


def _text(name: str) -> "sa.Column[str]":
    return sa.Column(name, sa.Text, nullable=False)


def _number(name: str, *, nullable: bool = False) -> "sa.Column[float]":
    return sa.Column(name, sa.Double, nullable=nullable)


def _instant(name: str, *, nullable: bool = False) -> "sa.Column[object]":
    return sa.Column(name, _INSTANT, nullable=nullable)


def _whole(name: str, **options: Any) -> "sa.Column[int]":
    return sa.Column(name, _BIG, nullable=False, **options)


def _log() -> None:
    op.create_table(
        "log_head",
        sa.Column("id", sa.Integer, nullable=False, autoincrement=False),
        _whole("position"),
        _whole("commits"),
        sa.CheckConstraint("id = 1", name=op.f("ck_log_head_one_row")),
        sa.PrimaryKeyConstraint("id", name="pk_log_head"),
    )
    op.create_table(
        "decisions",
        _whole("position", autoincrement=False),
        _text("id"),
        _text("agent"),
        _text("episode"),
        _whole("step"),
        _text("arm"),
        _text("action"),
        _instant("decided_at"),
        _text("body"),
        sa.PrimaryKeyConstraint("position", name="pk_decisions"),
        sa.UniqueConstraint("id", name="uq_decisions_id"),
    )
    op.create_index("ix_decisions_agent_decided_at", "decisions", ["agent", "decided_at"])
    named = sa.text("episode != id")
    op.create_index(
        "ix_decisions_agent_episode", "decisions", ["agent", "episode"], sqlite_where=named, postgresql_where=named
    )
    op.create_table(
        "outcomes",
        _whole("position", autoincrement=False),
        _text("decision_id"),
        _whole("revision"),
        _text("agent"),
        _text("kind"),
        _number("reward", nullable=True),
        _instant("reported_at"),
        _text("body"),
        sa.PrimaryKeyConstraint("position", name="pk_outcomes"),
        sa.UniqueConstraint("decision_id", "revision", name="uq_outcomes_decision_id_revision"),
    )
    op.create_index("ix_outcomes_agent", "outcomes", ["agent"])
    op.create_table(
        "open_decisions",
        _text("decision_id"),
        _text("agent"),
        _instant("decided_at"),
        sa.PrimaryKeyConstraint("decision_id", name="pk_open_decisions"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "agents",
        _text("name"),
        _whole("decisions"),
        sa.PrimaryKeyConstraint("name", name="pk_agents"),
        sqlite_with_rowid=False,
    )


def _learned() -> None:
    op.create_table(
        "entries",
        _text("agent"),
        _text("state_key"),
        _whole("slot"),
        _number("value"),
        _whole("visits"),
        _number("td_variance"),
        _number("reward_mean"),
        _number("reward_m2"),
        _instant("updated_at"),
        sa.PrimaryKeyConstraint("agent", "state_key", "slot", name="pk_entries"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "states",
        _text("agent"),
        _text("state_key"),
        _text("bins"),
        sa.PrimaryKeyConstraint("agent", "state_key", name="pk_states"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "episodes",
        _text("agent"),
        _text("episode"),
        _instant("started_at"),
        _instant("ended_at", nullable=True),
        _whole("steps"),
        _number("total_reward"),
        _number("total_return"),
        sa.Column("complete", sa.Boolean, nullable=False),
        sa.PrimaryKeyConstraint("agent", "episode", name="pk_episodes"),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_episodes_agent_ended_at", "episodes", ["agent", "ended_at"])
    op.create_table(
        "learned",
        _text("agent"),
        _whole("position"),
        sa.Column("carry", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("agent", name="pk_learned"),
        sqlite_with_rowid=False,
    )


def _events() -> None:
    op.create_table(
        "audit_events",
        _whole("id"),
        _instant("at"),
        _text("actor"),
        _text("event"),
        _text("subject"),
        _text("detail"),
        sa.PrimaryKeyConstraint("id", name="pk_audit_events"),
    )
    op.create_table(
        "kill_switches",
        _whole("id"),
        _text("scope"),
        sa.Column("active", sa.Boolean, nullable=False),
        _text("actor"),
        _text("reason"),
        _instant("at"),
        sa.PrimaryKeyConstraint("id", name="pk_kill_switches"),
    )
    op.create_index("ix_kill_switches_scope", "kill_switches", ["scope"])

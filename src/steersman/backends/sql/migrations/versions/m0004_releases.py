"""Releases: policy versions, moves of the pointer to them, verdicts; and decisions by agent in the order of the log."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_BIG = sa.BigInteger().with_variant(sa.Integer, "sqlite")
_INSTANT = sa.DateTime(timezone=True).with_variant(sa.Double, "sqlite")


def upgrade() -> None:
    """Add the tables and indexes."""
    op.create_index("ix_decisions_agent_position", "decisions", ["agent", "position"])
    _policy_versions()
    _deployments()
    _judgements()


def _text(name: str) -> "sa.Column[str]":
    return sa.Column(name, sa.Text, nullable=False)


def _instant(name: str) -> "sa.Column[object]":
    return sa.Column(name, _INSTANT, nullable=False)


def _policy_versions() -> None:
    op.create_table(
        "policy_versions",
        _text("agent"),
        _text("id"),
        _instant("cut_at"),
        _text("body"),
        sa.Column("artefact", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("agent", "id", name="pk_policy_versions"),
    )
    op.create_index("ix_policy_versions_agent_cut_at", "policy_versions", ["agent", "cut_at"])


def _deployments() -> None:
    op.create_table(
        "deployments",
        _text("agent"),
        sa.Column("number", _BIG, nullable=False, autoincrement=False),
        _instant("at"),
        _text("body"),
        sa.PrimaryKeyConstraint("agent", "number", name="pk_deployments"),
    )


def _judgements() -> None:
    op.create_table(
        "judgements",
        _text("id"),
        _text("agent"),
        _instant("at"),
        _text("body"),
        sa.PrimaryKeyConstraint("id", name="pk_judgements"),
    )
    op.create_index("ix_judgements_agent_at", "judgements", ["agent", "at"])

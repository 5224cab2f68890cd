"""Events: which were worked off, so that each counts once however often a bus brings it."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_INSTANT = sa.DateTime(timezone=True).with_variant(sa.Double, "sqlite")


def upgrade() -> None:
    """Add the table."""
    op.create_table(
        "taken",
        _text("stream"),
        _text("event"),
        _text("position"),
        _text("decision_id"),
        sa.Column("at", _INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("stream", "event", name="pk_taken"),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_taken_at", "taken", ["at"])


def _text(name: str) -> "sa.Column[str]":
    return sa.Column(name, sa.Text, nullable=False)

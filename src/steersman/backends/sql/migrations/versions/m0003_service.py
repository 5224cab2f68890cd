"""What the service needs: keys, pins and pauses beside kill switches, a chained audit trail, and columns to sum up by."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_BIG = sa.BigInteger().with_variant(sa.Integer, "sqlite")
_INSTANT = sa.DateTime(timezone=True).with_variant(sa.Double, "sqlite")


def upgrade() -> None:
    """Add columns and tables. Decisions and outcomes of before count in no sum that asks for the new columns."""
    _columns()
    _controls()
    op.create_table(
        "api_keys",
        _text("id"),
        _text("tenant"),
        _text("name"),
        _text("roles"),
        _text("digest"),
        sa.Column("created_at", _INSTANT, nullable=False),
        sa.Column("expires_at", _INSTANT),
        sa.Column("revoked_at", _INSTANT),
        sa.PrimaryKeyConstraint("id", name="pk_api_keys"),
        sqlite_with_rowid=False,
    )


def _text(name: str) -> "sa.Column[str]":
    return sa.Column(name, sa.Text, nullable=False)


def _columns() -> None:
    for name in ("drawn", "overridden"):
        op.add_column("decisions", sa.Column(name, sa.Boolean, nullable=False, server_default=sa.false()))
    op.add_column("decisions", sa.Column("latency_us", sa.Double, nullable=False, server_default=sa.text("0")))
    for name, kind in (("success", sa.Boolean), ("cost", sa.Double), ("false_block", sa.Boolean)):
        op.add_column("outcomes", sa.Column(name, kind()))
    op.add_column("audit_events", sa.Column("number", _BIG, nullable=False, server_default=sa.text("0")))
    op.add_column("audit_events", sa.Column("digest", sa.Text, nullable=False, server_default=sa.text("''")))
    op.create_index("ix_audit_events_number", "audit_events", ["number"])


def _controls() -> None:
    op.create_table(
        "controls",
        sa.Column("id", _BIG, nullable=False),
        _text("scope"),
        sa.Column("active", sa.Boolean, nullable=False),
        _text("actor"),
        _text("reason"),
        sa.Column("at", _INSTANT, nullable=False),
        _text("kind"),
        _text("choices"),
        sa.Column("expires_at", _INSTANT),
        sa.PrimaryKeyConstraint("id", name="pk_controls"),
    )
    op.create_index("ix_controls_kind_scope", "controls", ["kind", "scope"])
    op.execute(
        "INSERT INTO controls (scope, active, actor, reason, at, kind, choices) "
        "SELECT scope, active, actor, reason, at, 'kill', '{}' FROM kill_switches ORDER BY id"
    )
    op.drop_table("kill_switches")

"""Learning for a fleet: what many processes need on one store, and what agents share."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_BIG = sa.BigInteger().with_variant(sa.Integer, "sqlite")
_INSTANT = sa.DateTime(timezone=True).with_variant(sa.Double, "sqlite")


def upgrade() -> None:
    """Count decisions by stream, give learned rows a version, and add the tables of a fleet."""
    _streams()
    _versions()
    _shared_learning()
    _many_processes()
    op.execute(CONVERGENCE)


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


def _text(name: str) -> "sa.Column[str]":
    return sa.Column(name, sa.Text, nullable=False)


def _number(name: str) -> "sa.Column[float]":
    return sa.Column(name, sa.Double, nullable=False)


def _whole(name: str) -> "sa.Column[int]":
    return sa.Column(name, _BIG, nullable=False)


def _instant(name: str) -> "sa.Column[object]":
    return sa.Column(name, _INSTANT, nullable=False)


def _streams() -> None:
    op.create_table(
        "streams",
        _text("agent"),
        sa.Column("stream", _BIG, nullable=False, autoincrement=False),
        _whole("decisions"),
        sa.PrimaryKeyConstraint("agent", "stream", name="pk_streams"),
        sqlite_with_rowid=False,
    )
    op.execute("INSERT INTO streams (agent, stream, decisions) SELECT name, 0, decisions FROM agents")
    op.drop_table("agents")
    op.drop_index("ix_outcomes_agent", "outcomes")
    op.create_index("ix_outcomes_agent_position", "outcomes", ["agent", "position"])


def _versions() -> None:
    if op.get_context().dialect.name == "postgresql":
        op.execute("ALTER TABLE entries SET (fillfactor = 60)")
    for table, name in (("entries", "version"), ("states", "version"), ("learned", "version"), ("learned", "replaced")):
        op.add_column(table, sa.Column(name, _BIG, nullable=False, server_default=sa.text("0")))


def _shared_learning() -> None:
    op.create_table(
        "bases",
        _text("agent"),
        _whole("position"),
        sa.Column("body", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("agent", name="pk_bases"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "learning_stats",
        _text("agent"),
        sa.Column("number", _BIG, nullable=False, autoincrement=False),
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
        sa.PrimaryKeyConstraint("agent", "number", name="pk_learning_stats"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "contributions",
        _text("pool"),
        _text("source"),
        _text("key"),
        _text("role"),
        _number("value"),
        _number("count"),
        _number("variance"),
        _instant("updated_at"),
        sa.PrimaryKeyConstraint("pool", "source", "key", "role", name="pk_contributions"),
        sqlite_with_rowid=False,
    )


def _many_processes() -> None:
    op.create_table(
        "leases",
        _text("agent"),
        _text("holder"),
        _whole("fence"),
        _instant("expires_at"),
        sa.PrimaryKeyConstraint("agent", name="pk_leases"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "writers",
        _text("name"),
        _whole("commits"),
        _whole("stream"),
        _instant("seen_at"),
        sa.PrimaryKeyConstraint("name", name="pk_writers"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "tokens",
        _text("agent"),
        sa.Column("period", _BIG, nullable=False, autoincrement=False),
        _whole("reserved"),
        sa.PrimaryKeyConstraint("agent", "period", name="pk_tokens"),
        sqlite_with_rowid=False,
    )

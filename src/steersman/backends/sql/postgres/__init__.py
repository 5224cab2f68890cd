"""The log and what is released in PostgreSQL: a store that any number of processes share."""

from steersman.backends.sql.postgres.log import PostgresLog
from steersman.backends.sql.postgres.releases import PostgresReleases
from steersman.backends.sql.postgres.unowned import append_unowned

__all__ = ["PostgresLog", "PostgresReleases", "append_unowned"]

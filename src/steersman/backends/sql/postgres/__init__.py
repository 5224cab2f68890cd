"""The log in PostgreSQL: a store that any number of processes share."""

from steersman.backends.sql.postgres.log import PostgresLog
from steersman.backends.sql.postgres.unowned import append_unowned

__all__ = ["PostgresLog", "append_unowned"]

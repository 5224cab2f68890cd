"""The log in an SQL database: SQLite in a file beside the program."""

from steersman.backends.sql.sqlite.log import SqliteLog
from steersman.backends.sql.sqlite.store import verify
from steersman.backends.sql.sqlite.unowned import append_unowned

__all__ = ["SqliteLog", "append_unowned", "verify"]

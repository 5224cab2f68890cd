"""The log and what is released in an SQL database: SQLite in a file beside the program."""

from steersman.backends.sql.sqlite.log import SqliteLog
from steersman.backends.sql.sqlite.releases import SqliteReleases
from steersman.backends.sql.sqlite.store import verify
from steersman.backends.sql.sqlite.unowned import append_unowned

__all__ = ["SqliteLog", "SqliteReleases", "append_unowned", "verify"]

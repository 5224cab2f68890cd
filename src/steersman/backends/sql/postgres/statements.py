"""What is run in PostgreSQL, as text."""

from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

from steersman.backends.sql import texts

if TYPE_CHECKING:
    from steersman.backends.sql.postgres.composed import PostgresQueries
    from steersman.backends.sql.release_queries import ReleaseQueries

_WRITTEN = texts.read(Path(__file__).parent)
DEFINITIONS = _WRITTEN.definitions
SQL = cast("PostgresQueries", SimpleNamespace(**_WRITTEN.log))
RELEASES = cast("ReleaseQueries", SimpleNamespace(**_WRITTEN.releases))

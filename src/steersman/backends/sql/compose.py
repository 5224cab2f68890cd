"""Write the statements of both dialects into files: `python -m steersman.backends.sql.compose`."""

from functools import cached_property
from pathlib import Path

import msgspec

from steersman.backends.sql import schema
from steersman.backends.sql.composer import Composer
from steersman.backends.sql.postgres.composed import PostgresQueries
from steersman.backends.sql.release_queries import ReleaseQueries
from steersman.backends.sql.sqlite.composed import SqliteQueries
from steersman.backends.sql.texts import Statements, Texts

_QUERIES = {"sqlite": SqliteQueries, "postgres": PostgresQueries}


def composed(folder: str) -> Statements:
    """Return the statements of the dialect whose folder is called so."""
    log = _QUERIES[folder]()
    return Statements(
        definitions=schema.definitions(log.dialect), log=_texts(log), releases=_texts(ReleaseQueries(log.dialect))
    )


def _texts(queries: Composer) -> Texts:
    made = {
        name: getattr(queries, name)
        for kind in type(queries).__mro__
        for name, each in vars(kind).items()
        if isinstance(each, cached_property)
    }
    return dict(sorted(made.items()))


def written(statements: Statements) -> bytes:
    """Return what stands in the file."""
    return msgspec.json.format(msgspec.json.encode(statements), indent=1) + b"\n"


def main() -> None:
    """Write both files."""
    for folder in _QUERIES:
        (Path(__file__).parent / folder / "statements.json").write_bytes(written(composed(folder)))


if __name__ == "__main__":
    main()

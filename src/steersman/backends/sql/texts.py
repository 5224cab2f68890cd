"""The statements of a dialect as text, read from a file: to compose them takes as long as all else that opens a store.

`python -m steersman.backends.sql.compose` writes the files. Run it after a change of the tables or of what is asked of them.
"""

from pathlib import Path

import msgspec

Texts = dict[str, str | tuple[str, ...]]
"""By the name of the property that makes it."""


class Statements(msgspec.Struct, frozen=True, kw_only=True):
    """All that a store of one dialect runs: what makes the tables, what the log asks and writes, and what releases do."""

    definitions: tuple[str, ...]
    log: Texts
    releases: Texts


def read(folder: Path) -> Statements:
    """Return the statements of the dialect whose folder this is."""
    return msgspec.json.decode((folder / "statements.json").read_bytes(), type=Statements)

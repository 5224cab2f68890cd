"""Words from outside: a control, a key or an audit event, written to a store that another process may own.

Such rows have no position in the log, so that the owner's count of positions stays true without asking anybody.
"""

import os
import sqlite3
from collections.abc import Sequence
from pathlib import Path

from steersman.backends.sql.rows import encode
from steersman.backends.sql.sqlite import connect, store
from steersman.backends.sql.sqlite.transaction import Word, write_words
from steersman.core.errors import NotFound


def append_unowned(path: str | os.PathLike[str], rows: Sequence[Word], audit_key: bytes = b"") -> None:
    """Write rows durably, whoever owns the store.

    Raises NotFound without a store, StoreVersionError for an older one, or StoreError.
    """
    file = Path(path)
    encode(rows)
    try:
        if store.inspect(file) is None:
            raise NotFound(f"no store at {file}. Name the store whose agents are meant.")
        store.check_current(file)
    except (sqlite3.Error, OSError) as error:
        raise connect.unusable(file, error) from error
    with connect.transaction(file) as connection:
        write_words(connection, rows, audit_key)

"""Streams of a bus: what they may be called, and what fits into them."""

import re
from collections.abc import Sequence

from steersman.core.errors import InvalidInput

MAX_BODY = 900_000  # bytes; Kafka takes a million in its usual settings, headers and all
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,190}")
_MAX_KEY = 1_000


def dead_letters(stream: str) -> str:
    """Return the stream into which the entries of a stream go that nobody can work off."""
    return f"{stream}.dead"


def check_stream(name: str) -> str:
    """Return a stream's name. Raises InvalidInput for one that not every bus can have."""
    if not _NAME.fullmatch(name):
        raise InvalidInput(f"stream {name!r}: use letters, digits, '.', '_' and '-', at most 191 of them.")
    return name


def check_entries(stream: str, entries: Sequence[tuple[str, bytes]]) -> None:
    """Raise InvalidInput for a stream or an entry that not every bus can take; nothing was published then."""
    check_stream(stream)
    for key, body in entries:
        if len(body) > MAX_BODY:
            raise InvalidInput(f"{stream}: a body of {len(body)} bytes; at most {MAX_BODY} fit. Send where it lies instead.")
        if not key.isprintable() or len(key.encode()) > _MAX_KEY:
            raise InvalidInput(f"{stream}: the key {key[:50]!r} is not printable, or longer than {_MAX_KEY} bytes.")

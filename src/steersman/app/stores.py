"""Stores: where a URL leads, what is released there, the key of its audit trail, and words to one that another owns."""

import hashlib
import os
import secrets
import tempfile
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from steersman.core.errors import InvalidInput, NotFound, NotPermitted, StoreError
from steersman.core.ports import Log, Registry, Releases
from steersman.core.values import TAKEN_S, ApiKey, AuditEvent, Control

DEFAULT_STORE = ".steersman/log.db"
AUDIT_KEY = "STEERSMAN_AUDIT_KEY"
_POSTGRES = ("postgresql://", "postgres://")
_KEY_BYTES = 32


def open_log(
    url: str | os.PathLike[str] | None, *, queue_rows: int, taken_s: float = TAKEN_S, read_only: bool = False
) -> Log:
    """Return the log behind a URL or a file. Raises InvalidInput for a scheme without a backend."""
    if target(url) in ("memory:", "memory://"):
        from steersman.backends.memory import MemoryLog

        return MemoryLog(queue_rows=queue_rows, taken_s=taken_s)
    if is_shared(url):
        where, key = target(url), audit_key(url)
        made = _postgres().PostgresLog
        shared: Log = made(where, queue_rows=queue_rows, read_only=read_only, audit_key=key, taken_s=taken_s)
        return shared
    path = store_file(url, must_exist=read_only)
    if target(url) == DEFAULT_STORE:
        try:
            path.parent.mkdir(exist_ok=True)
        except OSError as error:
            raise StoreError(f"cannot make {path.parent}: {error}. Name a store: --store or STEERSMAN_STORE.") from error
    from steersman.backends.sql import SqliteLog

    made_key = partial(audit_key, url, make=True)
    return SqliteLog(path, queue_rows=queue_rows, read_only=read_only, audit_key=made_key, taken_s=taken_s)


class EmbeddedReleases(Registry, Releases, Protocol):
    """A store's own registry, together with what is in production. Close it before the log."""

    def close(self) -> None:
        """Let the store go."""


def open_releases(url: str | os.PathLike[str] | None, log: Log, *, read_only: bool = False) -> EmbeddedReleases:
    """Return what is kept and released in the store of a log, whoever owns that.

    In memory the log takes the audit events, and each call begins anew. Raises StoreVersionError for an older store.
    """
    if target(url) in ("memory:", "memory://"):
        from steersman.backends.memory import MemoryReleases

        return MemoryReleases(log)
    key = b"" if read_only else audit_key(url, make=True)
    if is_shared(url):
        shared: EmbeddedReleases = _postgres().PostgresReleases(target(url), log=log, audit_key=key, read_only=read_only)
        return shared
    from steersman.backends.sql import SqliteReleases

    return SqliteReleases(store_file(url, must_exist=True), audit_key=key, read_only=read_only)


def append_in(url: str | os.PathLike[str] | None, *words: Control | ApiKey | AuditEvent, make: bool = False) -> None:
    """Append words to a store that another process may own; make it if there is none and that is asked for.

    Raises NotFound without a store, StoreVersionError for an older one.
    """
    if is_shared(url):
        if make:
            open_log(url, queue_rows=1).close()
        _postgres().append_unowned(target(url), words, audit_key(url))
        return
    from steersman.backends.sql import append_unowned

    if make and not store_file(url, must_exist=False).exists():
        open_log(url, queue_rows=1).close()
    append_unowned(store_file(url, must_exist=True), words, audit_key(url, make=True))


def audit_key(url: str | os.PathLike[str] | None, *, make: bool = False) -> bytes:
    """Return the key with which a store's audit trail is chained: STEERSMAN_AUDIT_KEY, else that of the file beside it.

    make: make the file if there is none. Without a key (in memory, or a server's store without the variable) the chain
    shows mistakes, and malice only against an anchor.
    """
    if given := os.environ.get(AUDIT_KEY):
        return given.encode()
    if is_shared(url) or target(url).startswith("memory:"):
        return b""
    store = store_file(url, must_exist=False)
    file = store.with_name(f"{store.name}.audit-key")
    with suppress(FileExistsError, FileNotFoundError, PermissionError):
        if make:
            _make_key(file)
    try:
        return file.read_bytes()
    except FileNotFoundError:
        return b""
    except OSError as error:
        raise NotPermitted(f"cannot read {file}, the key of the audit trail: {error.strerror}.") from error


def _make_key(file: Path) -> None:
    """Make a file with a new key, whole or not at all, which its owner alone can read."""
    descriptor, name = tempfile.mkstemp(dir=file.parent, prefix=f"{file.name}.")
    try:
        with os.fdopen(descriptor, "w") as made:
            made.write(secrets.token_hex(_KEY_BYTES))
        os.link(name, file)
    finally:
        os.unlink(name)


def is_shared(url: str | os.PathLike[str] | None) -> bool:
    """Return whether a URL leads to a store that many processes share."""
    return target(url).startswith(_POSTGRES)


def target(url: str | os.PathLike[str] | None) -> str:
    """Return where a URL, the environment or the default leads."""
    return os.fspath(url) if url is not None else os.environ.get("STEERSMAN_STORE") or DEFAULT_STORE


def beside(url: str | os.PathLike[str] | None, what: str) -> Path | None:
    """Return the folder for what belongs to a store and is not in it: FILE.what, below .steersman here for a shared one.

    None for a store in memory. Raises InvalidInput as `store_file`.
    """
    if target(url).startswith("memory:"):
        return None
    if is_shared(url):
        digest = hashlib.sha256(target(url).encode()).hexdigest()[:16]  # tenants share no store, and so none of this
        return Path(".steersman") / f"{digest}.{what}"
    store = store_file(url, must_exist=False)
    return store.with_name(f"{store.name}.{what}")


def store_file(url: str | os.PathLike[str] | None, *, must_exist: bool) -> Path:
    """Return the file of an embedded store. Raises InvalidInput for another scheme, NotFound where it has to exist."""
    where = target(url)
    scheme, found, rest = where.partition("://")
    if found and scheme != "sqlite":
        raise InvalidInput(f"no backend for {scheme}://. Use a file, sqlite:///FILE, postgresql://… or memory:.")
    if not where:
        raise InvalidInput("the store's name is empty. Name a file, or leave the option out.")
    path = Path(rest.removeprefix("/") if found else where)  # sqlite:///relative, sqlite:////absolute
    if must_exist and not path.exists():
        raise NotFound(f"no store at {path}. Name one with --store or STEERSMAN_STORE, or make one by deciding.")
    return path


def _postgres() -> Any:
    """Return the room of PostgreSQL. Raises InvalidInput where its driver is not installed."""
    try:
        from steersman.backends.sql import postgres
    except ImportError as error:
        raise InvalidInput(f"PostgreSQL needs its driver: pip install 'steersman[postgres]' ({error}).") from error
    return postgres

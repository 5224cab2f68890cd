"""Where a store is in PostgreSQL, connections to it, and what to say when there are none."""

import re
from dataclasses import dataclass
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from steersman.core.errors import InvalidInput, StoreError

CONNECT_S = 5
STATEMENT_S = 30
LOCK_MS = 10_000
_SCHEMA = re.compile(r"[a-z_][a-z0-9_]{0,62}")
_DEFAULT_SCHEMA = "steersman"

Connection = psycopg.Connection[tuple[object, ...]]


@dataclass(frozen=True, kw_only=True)
class Target:
    """A database, and the schema in it that holds the tables. `shown` is the address without the password."""

    conninfo: str
    schema: str
    shown: str


def target(url: str) -> Target:
    """Return what a URL names: `postgresql://user:password@host:port/database?schema=steersman`.

    All options of libpq may stand in the URL. Raises InvalidInput for a URL that cannot be read.
    """
    parts = urlsplit(url)
    options = dict(parse_qsl(parts.query))
    schema = options.pop("schema", _DEFAULT_SCHEMA)
    if not _SCHEMA.fullmatch(schema):
        raise InvalidInput(f"schema {schema!r}: use lower-case letters, digits and underscores.")
    bare = urlunsplit(parts._replace(scheme="postgresql", query=urlencode(options)))
    try:
        values = conninfo_to_dict(bare)
    except psycopg.ProgrammingError as error:
        raise InvalidInput(
            f"the store's URL cannot be read: {_line(error)} Write postgresql://user@host/database."
        ) from error
    values.setdefault("connect_timeout", CONNECT_S)
    values.setdefault("application_name", "steersman")
    values.setdefault("tcp_user_timeout", CONNECT_S * 2000)
    values.setdefault("keepalives_idle", CONNECT_S * 2)
    own = f"-c search_path={schema} -c statement_timeout={STATEMENT_S}s -c lock_timeout={LOCK_MS}ms"
    values["options"] = f"{values.get('options') or ''} {own}".strip()
    place = f"{values.get('host') or 'localhost'}:{values.get('port') or 5432}"
    shown = f"postgresql://{values.get('user') or ''}@{place}/{values.get('dbname') or ''}"
    return Target(conninfo=make_conninfo("", **values), schema=schema, shown=shown.replace("//@", "//"))


def connect(where: Target) -> Connection:
    """Return a connection on which each statement is a transaction of its own unless one is begun."""
    return psycopg.connect(where.conninfo, autocommit=True)


def writer(where: Target) -> Connection:
    """Return a connection whose commits are on the disk when they return, whatever the server's default is."""
    connection = connect(where)
    (durability,) = connection.execute("SELECT current_setting('synchronous_commit')").fetchone() or ("",)
    if durability == "off":
        connection.execute("SET synchronous_commit = on")
    return connection


_REASONS = (
    ("28", "the login was refused: check user and password"),
    ("3D000", "there is no such database: create it, or name another"),
    ("42501", "rights are missing: GRANT CREATE ON DATABASE to this user, or have an owner create the schema and grant it"),
    ("53100", "the server's disk is full: free space there"),
    ("53300", "the server has no connection left: raise max_connections, or run fewer processes"),
    ("57P03", "the server is starting or stopping: try again in a moment"),
)
_WORDS = (
    ("password authentication failed", "28"),
    ("no password supplied", "28"),
    ("no pg_hba.conf entry", "28"),
    ("does not exist", "3D000"),
    ("too many clients", "53300"),
    ("starting up", "57P03"),
    ("shutting down", "57P03"),
)


def unusable(where: Target, error: Exception) -> StoreError:
    """Return what to raise for a store that cannot be reached, opened or read."""
    said = _line(error)
    state = getattr(error, "sqlstate", None) or next((code for words, code in _WORDS if words in said), "")
    reason = next((text for code, text in _REASONS if state.startswith(code)), "")
    if not reason and not state:
        reason = "check that the server runs, and host and port of the URL"
    return StoreError(f"cannot use the store {where.shown}: {said} {_sentence(reason)}".strip())


def _line(error: Exception) -> str:
    """Return an error's first line as a sentence; the driver's texts go on for several."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    said = next((line for line in lines if "FATAL" in line or "error" in line.lower()), lines[0] if lines else "no answer")
    return said.rstrip(".") + "."


def _sentence(reason: str) -> str:
    return f"{reason[0].upper()}{reason[1:]}." if reason else ""


def channel(where: Target) -> str:
    """Return the channel on which the processes of a store tell each other that something was committed."""
    return f"steersman_{where.schema}"

"""Where a store is in PostgreSQL, connections to it, and what to say when there are none."""

import logging
import re
from dataclasses import dataclass
from functools import cache
from urllib.parse import SplitResult, unquote, urlsplit

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from steersman.core.errors import InvalidInput, StoreError

CONNECT_S = 5
STATEMENT_S = 30
LOCK_MS = 10_000
_SERVER_SIDE = (
    ("idle_in_transaction_session_timeout", "5s"),
    ("tcp_keepalives_idle", "5"),
    ("tcp_keepalives_interval", "2"),
    ("tcp_keepalives_count", "3"),
    ("tcp_user_timeout", "10s"),
)
_SCHEMA = re.compile(r"(?!pg_)[a-z_][a-z0-9_]{0,52}")  # with the channel's prefix, as long as a name may be
_DEFAULT_SCHEMA = "steersman"
_LAST_PORT = 65_535

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
    bare, schema = _split(url)
    if not _SCHEMA.fullmatch(schema):
        raise InvalidInput(
            f"schema {schema!r}: use at most 53 lower-case letters, digits and underscores, and begin with a letter, but "
            "not with pg_."
        )
    try:
        values = conninfo_to_dict(bare)
    except psycopg.ProgrammingError as error:
        hint = "A % in it must be written %25." if "percent" in str(error) else _line(error)
        raise _unreadable(hint) from None  # the driver's text may hold the password
    for port in str(values.get("port") or 1).split(","):
        if not port.isdecimal() or not 0 < int(port) <= _LAST_PORT:
            raise _unreadable(f"There is no port {port!r}.")
    values.setdefault("connect_timeout", CONNECT_S)
    values.setdefault("application_name", "steersman")
    values.setdefault("tcp_user_timeout", CONNECT_S * 2000)
    values.setdefault("keepalives_idle", CONNECT_S * 2)
    own = f"-c search_path={schema} -c statement_timeout={STATEMENT_S}s -c lock_timeout={LOCK_MS}ms"
    values["options"] = f"{values.get('options') or ''} {own}".strip()
    place = f"{values.get('host') or 'localhost'}:{values.get('port') or 5432}"
    shown = f"postgresql://{values.get('user') or ''}@{place}/{values.get('dbname') or ''}"
    return Target(conninfo=make_conninfo("", **values), schema=schema, shown=shown.replace("//@", "//"))


def _split(url: str) -> tuple[str, str]:
    """Return a URL without its schema, and the schema. What libpq or we would misread is refused, and not shown."""
    try:
        parts = urlsplit(url)
    except ValueError as error:
        raise _unreadable(f"{error}.") from error
    if _misread(parts):
        raise _unreadable("In user and password, @ must be written %40, / %2F, ? %3F, # %23 and % %25.")
    options = [each for each in parts.query.split("&") if each]
    schemas = [unquote(each.removeprefix("schema=")) for each in options if each.startswith("schema=")]
    query = "&".join(each for each in options if not each.startswith("schema="))
    return f"postgresql://{parts.netloc}{parts.path}{query and '?'}{query}", (schemas or [_DEFAULT_SCHEMA])[-1]


def _misread(parts: SplitResult) -> bool:
    """Return whether a character of the login stands where it ends the login, or the whole address."""
    login_goes_on = "@" not in parts.netloc and "@" in parts.query
    return login_goes_on or parts.netloc.count("@") > 1 or "@" in parts.path or bool(parts.fragment)


def _unreadable(reason: str) -> InvalidInput:
    return InvalidInput(
        f"the store's URL cannot be read: {reason} Write postgresql://user:password@host:port/database?schema=steersman."
    )


def connect(where: Target) -> Connection:
    """Return a connection on which each statement is a transaction of its own unless one is begun."""
    return psycopg.connect(where.conninfo, autocommit=True)


def writer(where: Target) -> Connection:
    """Return a connection whose commits are on the disk when they return, whatever the server's default is."""
    _hush()
    connection = connect(where)
    for name, value in _SERVER_SIDE:  # a writer that is cut off in mid-transaction must not hold the head of the log
        connection.execute("SELECT set_config(%s, %s, false)", (name, value))
    (durability,) = connection.execute("SELECT current_setting('synchronous_commit')").fetchone() or ("",)
    if durability == "off":
        connection.execute("SET synchronous_commit = on")
    return connection


@cache
def _hush() -> None:
    """Keep the driver from printing that a pipeline ended by an error: the writer tells of each by itself."""
    logging.getLogger("psycopg").addFilter(lambda record: "terminating" not in str(record.msg))


_NO_RIGHTS = "42501"
_REASONS = (
    ("28", "the login was refused: check user and password"),
    ("3D000", "there is no such database: create it, or name another"),
    ("55P03", "another process keeps it locked: try again in a moment"),
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
    if state == _NO_RIGHTS:
        reason = _missing_rights(where, said)
    if not reason and not state:
        reason = "check that the server runs, and host and port of the URL"
    return StoreError(f"cannot use the store {where.shown}: {said} {_sentence(reason)}".strip())


def _missing_rights(where: Target, said: str) -> str:
    """Return what an owner has to run."""
    login = conninfo_to_dict(where.conninfo)
    user, schema = login.get("user") or "this user", where.schema
    if "for database" in said:
        return (
            f"rights are missing: have the database's owner run CREATE SCHEMA {schema} AUTHORIZATION {user}, or "
            f"GRANT CREATE ON DATABASE {login.get('dbname') or ''} TO {user}"
        )
    granted = (f"SCHEMA {schema}", f"ALL TABLES IN SCHEMA {schema}", f"ALL SEQUENCES IN SCHEMA {schema}")
    return (
        f"rights are missing: have the store's owner run {' '.join(f'GRANT ALL ON {each} TO {user};' for each in granted)}"
    )


def _line(error: Exception) -> str:
    """Return an error's first line as a sentence; the driver's texts go on for several."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    said = next((line for line in lines if "FATAL" in line or "error" in line.lower()), lines[0] if lines else "no answer")
    return said.rstrip(".") + "."


def _sentence(reason: str) -> str:
    return f"{reason[0].upper()}{reason[1:].rstrip(';')}." if reason else ""


def channel(where: Target) -> str:
    """Return the channel on which the processes of a store tell each other that something was committed."""
    return f"steersman_{where.schema}"

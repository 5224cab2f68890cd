"""Logs: one line for each event, as text for people or as JSON for machines, without what must not be told.

An event is a constant sentence with fields of known names. What a caller sent (states, measurements, texts) is in
neither, and the messages of exceptions, which may quote it, are left out: only their type and where they were raised is
told. What other libraries log is cut down to its constant part, and what looks like a secret is blackened everywhere.
"""

import logging
import re
import sys
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from datetime import UTC, datetime
from types import MappingProxyType, TracebackType
from typing import Any, Literal, TextIO, get_args

import msgspec

Format = Literal["text", "json"]
FORMATS: tuple[str, ...] = get_args(Format)
FIELDS = frozenset(
    {
        "address", "agent", "client", "count", "decision", "duration_ms", "error", "instance", "key", "method", "operation",
        "path", "pid", "reason", "role", "size", "status", "store", "tenant", "trace",
    }
)  # fmt: skip
"""The names that fields may have; others are left out."""

_OURS = "steersman"
_LONGEST = 300
_FRAMES = 12
_SECRETS = re.compile(
    r"steer_[0-9a-zA-Z]+_[\w-]+"  # an API key
    r"|(?i:(?:cookie|authorization)[\"']?\s*[=:]).*"
    r"|(?i:bearer)\s+[\w.~+/=-]+"
    r"|(?i:(?:password|secret|token|api[-_]?key|subscription-key)[\"']?\s*[=:]\s*)[^\s,;&]+"
    r"|(?<=://)[^/\s:@]+:[^/\s@]+(?=@)"  # user and password of an address
)
_CONTEXT: ContextVar[Mapping[str, Any]] = ContextVar("steersman_log_context", default=MappingProxyType({}))
_encode = msgspec.json.Encoder().encode


def configure(log_format: Format = "text", level: int = logging.INFO, stream: TextIO | None = None) -> None:
    """Send all logs of this process, also of libraries with handlers of their own, to a stream (default: standard error)."""
    handler = _Handler(stream or sys.stderr)
    handler.setFormatter(JsonFormatter() if log_format == "json" else TextFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for logger in [each for each in root.manager.loggerDict.values() if isinstance(each, logging.Logger)]:
        if logger.handlers:  # such as MLflow gives to SQLAlchemy's, which would write what a caller sent as it is
            logger.handlers[:] = []
            logger.propagate = True
    for name in ("uvicorn", "uvicorn.access", "uvicorn.error"):
        logger = logging.getLogger(name)
        logger.propagate = True
        logger.setLevel(logging.NOTSET)


def event(logger: logging.Logger, level: int, text: str, /, **fields: Any) -> None:
    """Log an event: a constant sentence, and what varies as fields (see FIELDS)."""
    logger.log(level, text, extra={"fields": fields})


@contextmanager
def bound(**fields: Any) -> Iterator[None]:
    """Add fields to all that is logged within: the trace, the key's id, the tenant of a request."""
    token = _CONTEXT.set({**_CONTEXT.get(), **fields})
    try:
        yield
    finally:
        _CONTEXT.reset(token)


def line(record: logging.LogRecord) -> dict[str, Any]:
    """Return what may be told of a record."""
    fields = {**_CONTEXT.get(), **getattr(record, "fields", {}), **_access(record)}
    told: dict[str, Any] = {
        "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "level": record.levelname.lower(),
        "logger": record.name,
        "event": _text(_sentence(record)),
    }
    told |= {name: _value(value) for name, value in fields.items() if name in FIELDS and value not in (None, "")}
    if record.exc_info and record.exc_info[0] is not None:
        kind, _, trace = record.exc_info
        told |= {"error": kind.__name__, "raised": _frames(trace)}
    return told


class _Handler(logging.StreamHandler[TextIO]):
    """Writes lines. What cannot be written is not shown by its traceback, which would quote it."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - as logging calls it
        """Say that a line is missing, and nothing of it."""
        with suppress(Exception):
            self.stream.write(f"a line of {record.name} could not be logged\n")


class JsonFormatter(logging.Formatter):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        return _encode(line(record)).decode()


class TextFormatter(logging.Formatter):
    """One line of words: when, how bad, what, and the fields behind it."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line. What could begin another one is escaped."""
        told = line(record)
        head = f"{told.pop('at')} {told.pop('level'):<8} {told.pop('event')}"
        del told["logger"]
        fields = "".join(
            f"  {name}={_encode(value).decode() if name == 'raised' else value}" for name, value in told.items()
        )
        return _escaped(head + fields)


def _sentence(record: logging.LogRecord) -> str:
    """Return the event of a record; of other libraries only what is the same each time, or what uvicorn says of itself."""
    if record.name == "uvicorn.access":
        return "request"
    if record.name.partition(".")[0] in (_OURS, "uvicorn"):
        return _message(record)
    return str(record.msg)


def _message(record: logging.LogRecord) -> str:
    """Return the message of a record, with the types of errors in the place of what they say."""
    if not isinstance(record.args, tuple):
        return str(record.msg)
    try:
        return str(record.msg) % tuple(
            type(each).__name__ if isinstance(each, BaseException) else each for each in record.args
        )
    except (TypeError, ValueError):
        return str(record.msg)


def _access(record: logging.LogRecord) -> dict[str, Any]:
    """Return the fields of a line of uvicorn's access log: the path without its query, which may hold anything."""
    if record.name != "uvicorn.access" or not isinstance(record.args, tuple) or len(record.args) != 5:
        return {}
    client, method, path, _, status = record.args
    return {"client": client, "method": method, "path": str(path).partition("?")[0], "status": status}


def _value(value: Any) -> Any:
    return value if isinstance(value, bool | int | float) else _text(str(value))


def _text(text: str) -> str:
    """Return the first line of a text, without secrets and not too long."""
    first = text.splitlines()[0] if text else ""
    clean = _SECRETS.sub("[secret]", first.encode("utf-8", "backslashreplace").decode())
    return clean if len(clean) <= _LONGEST else f"{clean[:_LONGEST]}…"


def _escaped(text: str) -> str:
    return "".join(each if each.isprintable() else ascii(each)[1:-1] for each in text)


def _frames(trace: TracebackType | None) -> list[str]:
    """Return where an exception went through, the last places first, without the source or the values there."""
    frames = traceback.extract_tb(trace)[-_FRAMES:]
    return [f"{each.filename.rpartition('site-packages/')[2]}:{each.lineno} {each.name}" for each in reversed(frames)]

"""Reading: a request's body and its query, with limits, into what an operation takes."""

from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any
from urllib.parse import parse_qsl

import msgspec

from steersman.core.errors import InvalidInput, nearest
from steersman.service.operations import Operation
from steersman.service.problems import NotJson, TooLarge
from steersman.service.routes import Bound

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]

_MOST_FIELDS = 20
_FORM = b"application/x-www-form-urlencoded"


async def read_body(bound: Bound, found: Mapping[bytes, bytes], receive: Receive, most: int) -> Any:
    """Return the body, of at most `most` bytes, read into the operation's type.

    Forms are for the pages alone. Raises NotJson, TooLarge and InvalidInput.
    """
    kind = found.get(b"content-type", b"").partition(b";")[0].strip().lower()
    form = kind == _FORM and not bound.operation.documented
    if not form and kind != b"application/json" and not (kind.startswith(b"application/") and kind.endswith(b"+json")):
        raise NotJson("send JSON, with the header 'Content-Type: application/json'.")
    body = await _whole(found, receive, most)
    try:
        if form:
            return msgspec.convert(dict(_pairs(body)), bound.operation.body, strict=False)
        return bound.decoder.decode(body)  # type: ignore[union-attr]  # only asked where there is one
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise InvalidInput(f"the body cannot be used: {error}.") from error
    except RecursionError as error:
        raise InvalidInput("the body cannot be used: it is nested too deeply.") from error


async def _whole(found: Mapping[bytes, bytes], receive: Receive, most: int) -> bytes:
    """Return the body. Raises TooLarge as soon as it is known to be, and reads no further."""
    said = found.get(b"content-length")
    if said is not None and int(said) > most:
        raise _too_large(most)
    message = await receive()
    body: bytes = message.get("body", b"")
    if message.get("more_body"):
        parts, size = [body], len(body)
        while message.get("more_body"):
            message = await receive()
            parts.append(message.get("body", b""))
            size += len(parts[-1])
            if size > most:
                raise _too_large(most)
        body = b"".join(parts)
    if message["type"] == "http.disconnect":
        raise InvalidInput("the connection ended before the body did.")
    if len(body) > most:
        raise _too_large(most)
    return body


def _too_large(most: int) -> TooLarge:
    return TooLarge(f"the body is larger than {most} bytes. Send it in parts, or raise service.body_bytes.")


def _pairs(text: bytes) -> list[tuple[str, str]]:
    """Return names and values of a query or a form. Raises InvalidInput where there are too many."""
    try:
        return parse_qsl(text.decode(), keep_blank_values=True, max_num_fields=_MOST_FIELDS)
    except ValueError as error:
        raise InvalidInput(f"the query or form cannot be read: {error}.") from error


def read_query(operation: Operation, text: bytes) -> Mapping[str, str]:
    """Return a query's parameters by name. Raises InvalidInput for one that is not known, or comes twice."""
    pairs = _pairs(text)
    found = dict(pairs)
    if operation.documented:
        unknown = next((name for name in found if name not in operation.query), None)
        if unknown is not None:
            raise InvalidInput(f"unknown parameter {unknown!r}.{nearest(unknown, operation.query)}")
        if len(found) != len(pairs):
            raise InvalidInput("a parameter comes twice. Send each once.")
    return found

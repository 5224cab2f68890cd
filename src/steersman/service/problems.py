"""Problems: what the service could not do, as RFC 9457 documents. The one place that knows which error has which status."""

import logging
import math
import re
import uuid
from collections.abc import Iterable

import msgspec

from steersman.core.errors import (
    Conflict,
    DeadlineExceeded,
    InvalidInput,
    NotFound,
    NotPermitted,
    Overloaded,
    SteersmanError,
    StoreError,
    TooMany,
    Unauthenticated,
)
from steersman.service.operations import Reply

MEDIA_TYPE = "application/problem+json"
RETRY_S = 1
_LONGEST = 2_000
_log = logging.getLogger("steersman.service")


class TooLarge(InvalidInput):
    """The request's body, or its headers, are larger than the service takes."""


class MethodNotAllowed(InvalidInput):
    """The path exists and does not take this method."""

    def __init__(self, method: str, allowed: Iterable[str]) -> None:
        self.allowed = ", ".join(sorted(allowed))
        super().__init__(f"this path does not take {method}. It takes {self.allowed}.")


class NotJson(InvalidInput):
    """The request's body is not said to be JSON."""


class Throttled(TooMany):
    """The key has had its share for now."""

    def __init__(self, message: str, retry_after_s: float) -> None:
        self.retry_after_s = retry_after_s
        super().__init__(message)


class Problem(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What went wrong and the way out. `type` is stable, for programs; `detail` is for people."""

    type: str
    title: str
    status: int
    detail: str
    error: str
    instance: str = ""


_STATUS: dict[type[SteersmanError], int] = {
    MethodNotAllowed: 405,
    TooLarge: 413,
    NotJson: 415,
    InvalidInput: 400,
    Unauthenticated: 401,
    NotPermitted: 403,
    NotFound: 404,
    Conflict: 409,
    TooMany: 429,
    DeadlineExceeded: 503,
    Overloaded: 503,
    StoreError: 503,
    SteersmanError: 500,
}
_encode = msgspec.json.Encoder().encode


def problem(error: SteersmanError) -> Problem:
    """Return the document for an error."""
    kind = next(each for each in type(error).__mro__ if each in _STATUS)
    return Problem(
        type=_urn(kind.__name__),
        title=_words(kind.__name__),
        status=_STATUS[kind],
        detail=shortened(str(error)),
        error=kind.__name__,
    )


def shortened(text: str) -> str:
    """Return a text that may hold what a caller sent, cut to a length that an answer or a row can have."""
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"


def refused(error: SteersmanError) -> Reply:
    """Return the answer for an error, with the headers that belong to it."""
    found = problem(error)
    return Reply(body=_encode(found), media_type=MEDIA_TYPE, status=found.status, headers=_headers(error, found.status))


def _headers(error: SteersmanError, status: int) -> dict[str, str]:
    if isinstance(error, MethodNotAllowed):
        return {"allow": error.allowed}
    if isinstance(error, TooLarge):
        return {"connection": "close"}  # the rest of it is not read
    if status == 401:
        return {"www-authenticate": 'Bearer realm="steersman"'}
    if status in (429, 503):
        return {"retry-after": str(max(RETRY_S, math.ceil(getattr(error, "retry_after_s", RETRY_S))))}
    return {}


def failed(error: Exception) -> Reply:
    """Log an error of our own under a number, and return the answer, which tells the number and nothing else."""
    number = uuid.uuid4().urn
    _log.error("a request failed", exc_info=error, extra={"fields": {"instance": number}})
    found = Problem(
        type=_urn("Unexpected"),
        title="Unexpected",
        status=500,
        detail="the service failed. Its log says more under the instance's number; please report it as a bug.",
        error="Unexpected",
        instance=number,
    )
    return Reply(body=_encode(found), media_type=MEDIA_TYPE, status=500)


def raw(status: int, phrase: str, found: Problem, *, close: bool) -> bytes:
    """Return a whole HTTP/1.1 answer, for where no request could be read, or none is to be begun."""
    body = _encode(found)
    retry = f"retry-after: {RETRY_S}\r\n" if status == 503 else ""
    ending = "connection: close\r\n" if close else ""
    head = (
        f"HTTP/1.1 {status} {phrase}\r\ncontent-type: {MEDIA_TYPE}\r\ncontent-length: {len(body)}\r\n"
        f"x-content-type-options: nosniff\r\ncache-control: no-store\r\n{retry}{ending}\r\n"
    )
    return head.encode() + body


def plain(name: str, status: int, detail: str) -> Problem:
    """Return a document for something that has no error of its own."""
    return Problem(type=_urn(name), title=_words(name), status=status, detail=detail, error=name)


def _words(name: str) -> str:
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name).capitalize()


def _urn(name: str) -> str:
    return "urn:steersman:problem:" + _words(name).lower().replace(" ", "-")

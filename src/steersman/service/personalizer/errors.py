"""Errors in the shape that clients of Personalizer read: {"error": {"code": …, "message": …}}."""

import msgspec

from steersman.core.errors import (
    Conflict,
    InvalidInput,
    NotFound,
    NotPermitted,
    SteersmanError,
    TooMany,
    Unauthenticated,
)
from steersman.service.operations import Reply
from steersman.service.personalizer.messages import ErrorResponse, PersonalizerError
from steersman.service.problems import TooLarge, refused

_CODES: dict[type[SteersmanError], str] = {
    TooLarge: "PayloadSizeExceeded",
    InvalidInput: "BadRequest",
    Unauthenticated: "Unauthorized",
    NotPermitted: "Forbidden",
    NotFound: "ResourceNotFound",
    Conflict: "OperationNotAllowed",
    TooMany: "TooManyRequests",
    SteersmanError: "InternalServerError",
}
_encode = msgspec.json.Encoder().encode


def refusal(error: SteersmanError) -> Reply:
    """Return the answer for an error: status and headers as everywhere, the body as clients of Personalizer expect it."""
    plain = refused(error)
    code = _CODES[next(each for each in type(error).__mro__ if each in _CODES)]
    body = ErrorResponse(error=PersonalizerError(code=code, message=str(error)[:2_000]))
    return Reply(body=_encode(body), status=plain.status, headers=plain.headers)

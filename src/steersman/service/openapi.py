"""The OpenAPI 3.1 document, made from the table of operations."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from steersman import __version__
from steersman.service.messages import DecisionAnswer, Failed, OutcomeAnswer
from steersman.service.operations import Call, Operation, Reply
from steersman.service.problems import MEDIA_TYPE, Problem

_PARAMETER = re.compile(r"\{(\w+)(?::\w+)?\}")
_REF = "#/components/schemas/{name}"
_DESCRIPTION = (
    "Ask for decisions, act, and report what came of it. Send a key as 'Authorization: Bearer steer_…'; without any key in "
    "the store, and on this machine alone, none is needed. Errors are problem documents (RFC 9457): `detail` holds the way "
    "out."
)
_ERRORS = {
    "400": "The request does not fit.",
    "401": "No key, or one that does not hold.",
    "403": "The key has another role.",
    "404": "There is no such thing here.",
    "405": "The path does not take this method.",
    "409": "It contradicts what is recorded.",
    "413": "The body is too large.",
    "415": "The body is no JSON.",
    "429": "The key sends too much; Retry-After says when to come back.",
    "503": "The service cannot do it now; Retry-After says when to come back.",
}


async def _document(call: Call) -> Reply:
    return Reply(body=call.host.once("openapi", lambda: msgspec.json.encode(document(call.host.operations))))


def document(operations: tuple[Operation, ...]) -> dict[str, Any]:
    """Return the document for the operations that are meant for programs."""
    documented = [each for each in operations if each.documented]
    own = [each for operation in documented for each in (operation.body, operation.answer) if each is not None]
    types = [Problem, DecisionAnswer, OutcomeAnswer, Failed, *own]
    schemas, components = msgspec.json.schema_components(types, ref_template=_REF)
    by_type = dict(zip(map(_key, types), schemas, strict=True))
    paths: dict[str, dict[str, Any]] = {}
    for each in documented:
        path = _PARAMETER.sub(r"{\1}", each.path)
        paths.setdefault(path, {})[each.method.lower()] = _operation(each, by_type)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Steersman",
            "version": __version__,
            "description": _DESCRIPTION,
            "license": {"name": "Apache-2.0"},
        },
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {
                "key": {"type": "http", "scheme": "bearer"},
                "session": {"type": "apiKey", "in": "cookie", "name": "steersman_session"},
            },
        },
        "tags": [{"name": tag} for tag in _tags(documented)],
    }


def _key(kind: Any) -> str:
    return repr(kind)


def _tags(operations: Iterable[Operation]) -> list[str]:
    return list(dict.fromkeys(each.tag for each in operations if each.tag))


def _operation(operation: Operation, by_type: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {
        "operationId": _name(operation),
        "summary": operation.summary,
        "parameters": [*_in_path(operation), *_in_query(operation)],
        "responses": {str(operation.status): _answer(operation, by_type), **_errors(operation, by_type)},
        "security": [{"key": []}, {"session": []}] if operation.role else [],
    }
    if operation.tag:
        found["tags"] = [operation.tag]
    if operation.role:
        found["x-role"] = operation.role
    if operation.body is not None:
        content = {"application/json": {"schema": by_type[_key(operation.body)]}}
        found["requestBody"] = {"required": True, "content": content}
    return found


def _name(operation: Operation) -> str:
    """Return a name that says the method and the path: "post_v1_decisions"."""
    words = re.findall(r"\w+", _PARAMETER.sub(r"\1", operation.path))
    return "_".join([operation.method.lower(), *words])


def _in_path(operation: Operation) -> list[dict[str, Any]]:
    text = {"type": "string", "minLength": 1}
    return [{"name": each, "in": "path", "required": True, "schema": text} for each in _PARAMETER.findall(operation.path)]


def _in_query(operation: Operation) -> list[dict[str, Any]]:
    return [
        {"name": name, "in": "query", "description": meaning, "schema": {"type": "string"}}
        for name, meaning in operation.query.items()
    ]


def _answer(operation: Operation, by_type: Mapping[str, Any]) -> dict[str, Any]:
    if operation.answer is None:
        return {"description": operation.summary}
    media = "text/event-stream" if operation.path.endswith("/events") else "application/json"
    return {"description": operation.summary, "content": {media: {"schema": by_type[_key(operation.answer)]}}}


def _errors(operation: Operation, by_type: Mapping[str, Any]) -> dict[str, Any]:
    content: dict[str, Any] = {MEDIA_TYPE: {"schema": by_type[_key(Problem)]}}
    if operation.tag == "personalizer":
        content["application/json"] = {"schema": {"type": "object"}}  # its errors are those that its clients know
    return {status: {"description": meaning, "content": content} for status, meaning in _ERRORS.items()}


OPERATIONS = (
    Operation(
        method="GET",
        path="/v1/openapi.json",
        role=None,
        summary="This document.",
        handler=_document,
        answer=dict[str, Any],
        tag="health",
    ),
)

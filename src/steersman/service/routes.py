"""Routes: from a method and a path to the operation that is meant, by the table of operations."""

import re
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import msgspec
from starlette.convertors import Convertor, register_url_convertor
from starlette.routing import compile_path

from steersman.core.errors import NotFound
from steersman.service.operations import Operation
from steersman.service.problems import MethodNotAllowed

_NONE: Mapping[str, str] = {}


class AgentName(Convertor[str]):
    """An agent's name: "pack/agent", or without a pack."""

    regex = "[^/]+(?:/[^/]+)?"

    def convert(self, value: str) -> str:
        """Return the name."""
        return value

    def to_string(self, value: str) -> str:
        """Return the name."""
        return value


register_url_convertor("agent", AgentName())


class Bound(NamedTuple):
    """An operation and what reads its body."""

    operation: Operation
    decoder: "msgspec.json.Decoder[Any] | None"


class _Pattern(NamedTuple):
    regex: "re.Pattern[str]"
    convertors: Mapping[str, Convertor[Any]]
    methods: dict[str, Bound]


class Routes:
    """All operations by path. Paths without parameters are found at once, the others in the table's order."""

    def __init__(self, operations: Iterable[Operation]) -> None:
        self._exact: dict[str, dict[str, Bound]] = {}
        self._patterns: dict[str, _Pattern] = {}
        for each in operations:
            self._add(each)

    def _add(self, operation: Operation) -> None:
        bound = Bound(operation, None if operation.body is None else msgspec.json.Decoder(operation.body))
        if "{" not in operation.path:
            methods = self._exact.setdefault(operation.path, {})
        else:
            if operation.path not in self._patterns:
                regex, _, convertors = compile_path(operation.path)
                self._patterns[operation.path] = _Pattern(regex, convertors, {})
            methods = self._patterns[operation.path].methods
        methods[operation.method] = bound

    def find(self, method: str, path: str) -> tuple[Bound, Mapping[str, str]]:
        """Return the operation and the path's parameters. Raises NotFound or MethodNotAllowed."""
        methods = self._exact.get(path)
        if methods is not None:
            return _of_method(methods, method), _NONE
        allowed: dict[str, Bound] = {}
        for each in self._patterns.values():
            match = each.regex.match(path)
            if match is None:
                continue
            if method in each.methods or (method == "HEAD" and "GET" in each.methods):
                values = {name: convertor.convert(match[name]) for name, convertor in each.convertors.items()}
                return _of_method(each.methods, method), values
            allowed |= each.methods
        if allowed:
            return _of_method(allowed, method), _NONE
        raise NotFound("there is nothing at this path. GET /v1/openapi.json lists what there is.")


def _of_method(methods: Mapping[str, Bound], method: str) -> Bound:
    found = methods.get(method) or (methods.get("GET") if method == "HEAD" else None)
    if found is None:
        raise MethodNotAllowed(method, methods)
    return found

"""The OpenAPI document: it names each operation, and all that it refers to is in it."""

import json
import re
from typing import Any

import httpx

from steersman.service import table
from steersman.service.openapi import document

_FOUND = document(table.operations())


def test_each_operation_for_programs_is_in_it() -> None:
    named = {(method.upper(), path) for path, methods in _FOUND["paths"].items() for method in methods}
    plain = {(each.method, re.sub(r":\w+\}", "}", each.path)) for each in table.operations() if each.documented}
    assert named == plain


def test_all_that_it_refers_to_is_in_it() -> None:
    names = set(re.findall(r'"#/components/schemas/([^"]+)"', json.dumps(_FOUND)))
    assert names <= set(_FOUND["components"]["schemas"])


def test_each_operation_says_what_it_takes_and_who_may() -> None:
    for path, methods in _FOUND["paths"].items():
        for operation in methods.values():
            names = {each["name"] for each in operation["parameters"] if each["in"] == "path"}
            assert names == set(re.findall(r"\{(\w+)\}", path))
            assert bool(operation["security"]) is ("x-role" in operation)
            assert "400" in operation["responses"]


def test_names_of_operations_are_their_own() -> None:
    names = [operation["operationId"] for methods in _FOUND["paths"].values() for operation in methods.values()]
    assert len(set(names)) == len(names)


def test_it_is_served(client: httpx.Client) -> None:
    served: dict[str, Any] = client.get("/v1/openapi.json").json()
    assert served == json.loads(json.dumps(_FOUND))
    assert served["openapi"] == "3.1.0"

"""What clients of a web interface can rely on is read from its description."""

import copy
from pathlib import Path
from typing import Any

import pytest

from steersman.core.errors import InvalidInput
from steersman.packs.qe.tools.openapi import compare_descriptions, find_description, load_description

OLD: dict[str, Any] = {
    "paths": {
        "/items": {
            "get": {
                "parameters": [{"name": "page", "in": "query", "schema": {"type": "integer"}}],
                "responses": {
                    "200": {"content": {"application/json": {"schema": {"properties": {"name": {"type": "string"}}}}}}
                },
            }
        }
    }
}


def _rules(change: Any) -> set[str]:
    new = copy.deepcopy(OLD)
    change(new["paths"]["/items"]["get"])
    return {each.rule for each in compare_descriptions(OLD, new)}


def test_each_change_of_an_operation_breaks_what_it_breaks() -> None:
    assert _rules(lambda get: get.update(description="more words")) == set()
    assert _rules(lambda get: get["parameters"][0].update(required=True)) == {"required"}
    assert _rules(lambda get: get["parameters"].clear()) == {"parameter"}
    assert _rules(lambda get: get["parameters"][0]["schema"].update(type="string")) == {"type"}
    assert _rules(lambda get: get["responses"].clear()) == {"answer"}
    assert _rules(lambda get: get["responses"]["200"].clear()) == {"answer"}
    assert _rules(lambda get: get.update(requestBody={"required": True})) == {"required"}
    assert {each.rule for each in compare_descriptions(OLD, {"paths": {}})} == {"removed"}


def test_a_description_is_found_and_read_and_what_is_none_is_refused(tmp_path: Path) -> None:
    assert find_description(tmp_path) == ""
    (tmp_path / "openapi.yaml").write_text("paths:\n  /a: {}\n")
    assert find_description(tmp_path) == "openapi.yaml"
    assert load_description("openapi.yaml", "paths:\n  /a: {}\n") == {"paths": {"/a": {}}}
    for bad in ("{", "[]", "{}"):
        with pytest.raises(InvalidInput, match=r"openapi\.json is no OpenAPI description"):
            load_description("openapi.json", bad)

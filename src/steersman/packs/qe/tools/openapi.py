"""The description of a web interface (OpenAPI) in a project, and what a change of it breaks for its clients."""

import importlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from steersman.core.errors import InvalidInput
from steersman.packs.qe.tools.public_api import Broken
from steersman.packs.qe.tools.run import has

FILES = ("openapi.json", "openapi.yaml", "openapi.yml")
_METHODS = frozenset({"get", "put", "post", "delete", "options", "head", "patch", "trace"})


def find_description(root: Path) -> str:
    """Return the path of the description below a root, "" for none; of a YAML one only where PyYAML can read it."""
    readable = FILES if has("yaml") else FILES[:1]
    places = [root, *(root / each for each in ("docs", "api", "spec"))]
    found = (place / name for place in places for name in readable if (place / name).is_file())
    return next((each.relative_to(root).as_posix() for each in found), "")


def load_description(file: str, text: str) -> dict[str, Any]:
    """Return a description as a document. Raises InvalidInput where it is none."""
    try:
        read = json.loads if file.endswith(".json") else importlib.import_module("yaml").safe_load
        found = read(text)
    except Exception as error:  # each reader has errors of its own
        raise InvalidInput(f"{file} is no OpenAPI description: {error}. Mend it, or take it away.") from error
    if not isinstance(found, dict) or not isinstance(found.get("paths"), dict):
        raise InvalidInput(f"{file} is no OpenAPI description: it has no 'paths'. Mend it, or take it away.")
    return found


def compare_descriptions(old: Mapping[str, Any], new: Mapping[str, Any]) -> tuple[Broken, ...]:
    """Return which requests or answers of the old description no longer fit the new one; references are not followed."""
    broken: list[Broken] = []
    after = dict(operations(new))
    for name, before in operations(old):
        if name not in after:
            broken.append(Broken(name=name, rule="removed", message=f"{name} is gone"))
            continue
        changes = (*_parameters(before, after[name]), *_answers(before, after[name]))
        broken += [Broken(name=name, rule=rule, message=f"{name}: {words}") for rule, words in changes]
    return tuple(broken)


def operations(document: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield each operation under its name, such as "GET /items"."""
    for path, item in document["paths"].items():
        for method, operation in (item or {}).items():
            if method in _METHODS and isinstance(operation, dict):
                yield f"{method.upper()} {path}", operation


def _parameters(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    before, after = (_by_name(one.get("parameters", ())) for one in (old, new))
    for name, each in after.items():
        if each.get("required") and not before.get(name, {}).get("required"):
            yield "required", f"wants the parameter {name[1]}"
    for name, each in before.items():
        if name not in after:
            yield "parameter", f"has no parameter {name[1]} any more"
        elif _type(each) != _type(after[name]):
            yield "type", f"{name[1]} was {_type(each)} and is {_type(after[name])}"
    if (new.get("requestBody") or {}).get("required") and not (old.get("requestBody") or {}).get("required"):
        yield "required", "wants a body"


def _answers(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    after = {str(status): each for status, each in (new.get("responses") or {}).items()}
    for status, each in ((str(status), each) for status, each in (old.get("responses") or {}).items()):
        if status not in after and status.startswith("2"):
            yield "answer", f"does not answer with {status} any more"
            continue
        kept = _properties(after.get(status) or {})
        for name, kind in _properties(each or {}).items():
            if name not in kept:
                yield "answer", f"{status} has no {name} any more"
            elif kept[name] != kind:
                yield "answer", f"{status}: {name} was {kind} and is {kept[name]}"


def _by_name(parameters: Any) -> dict[tuple[str, str], dict[str, Any]]:
    return {(str(each.get("in")), str(each.get("name"))): each for each in parameters if isinstance(each, dict)}


def _type(parameter: Mapping[str, Any]) -> str:
    return str((parameter.get("schema") or {}).get("type", parameter.get("type", "")))


def _properties(response: Mapping[str, Any]) -> dict[str, str]:
    """Return the properties of an answer with their types, over all its media types."""
    schemas = [each.get("schema") or {} for each in (response.get("content") or {}).values()]
    return {name: str(each.get("type", "")) for schema in schemas for name, each in (schema.get("properties") or {}).items()}

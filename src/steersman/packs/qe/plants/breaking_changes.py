"""Releases with one change each: some break those who call the changed function, others look alike and do not.

Each is made from the project's own functions, by their syntax tree; a change that fits no function is not made.
"""

import ast
import copy
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from steersman.packs.qe.plants.function_edits import KINDS, Function, Node, new_function, word


@dataclass(frozen=True, kw_only=True)
class Release:
    """A changed copy: the files that differ, what was done to which function, and whether that breaks a caller."""

    kind: str
    breaking: bool
    name: str
    texts: Mapping[str, str]


def public_functions(sources: Mapping[str, str]) -> list[Function]:
    """Return the public functions and methods whose body starts on a line of its own, by file and position."""
    found: list[Function] = []
    for file, text in sorted(sources.items()):
        if file.rsplit("/", 1)[-1].startswith("_") or "\f" in text or "\r" in text:
            continue  # `splitlines` and the parser count the lines of such a file differently
        try:
            tree = ast.parse(text)
        except (SyntaxError, ValueError):
            continue
        for node in tree.body:
            inner = node.body if isinstance(node, ast.ClassDef) and not node.name.startswith("_") else [node]
            found += [_function(file, text, each, node is not each) for each in inner if _is_public(each)]
    return found


def plant_releases(
    sources: Mapping[str, str], generator: np.random.Generator, *, change: str, count: int
) -> tuple[Release, ...]:
    """Return so many releases of one class of change ("body", "added", "definitions"), half of them breaking on average."""
    functions = public_functions(sources)
    return tuple(_release(functions, sources, generator, change) for _ in range(count))


def plant_descriptions(
    file: str, document: Mapping[str, Any], generator: np.random.Generator, *, count: int
) -> tuple[Release, ...]:
    """Return so many releases that change an OpenAPI description, half of them breaking on average."""
    return tuple(_described(file, copy.deepcopy(dict(document)), generator) for _ in range(count))


def _is_public(node: ast.AST) -> bool:
    if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) or node.name.startswith("_"):
        return False
    head_ends = max([node.lineno, *(each.end_lineno or 0 for each in _signature_nodes(node))])
    return node.body[0].lineno > head_ends


def _signature_nodes(node: Node) -> list[ast.expr]:
    given = node.args
    annotations = [each.annotation for each in (*given.posonlyargs, *given.args, *given.kwonlyargs) if each.annotation]
    return [
        *given.defaults,
        *(each for each in given.kw_defaults if each),
        *annotations,
        *([node.returns] if node.returns else []),
    ]


def _function(file: str, text: str, node: Any, method: bool) -> Function:
    return Function(file=file, text=text, node=node, method=method)


def _release(functions: list[Function], sources: Mapping[str, str], generator: np.random.Generator, change: str) -> Release:
    """Return one release; where no change of the wanted kind fits any function, a new function is its change."""
    breaking = bool(generator.random() < 0.5)
    kinds = [each for each, (of, breaks, _) in KINDS.items() if of == change and breaks == breaking]
    for number in generator.permutation(len(kinds) * len(functions)):
        kind, function = kinds[number // len(functions)], functions[number % len(functions)]
        text = KINDS[kind][2](function, generator)
        if text is not None and text != function.text and _compiles(text):
            return Release(kind=kind, breaking=breaking, name=function.node.name, texts={function.file: text})
    file = sorted(sources)[int(generator.integers(len(sources)))]
    text = new_function(_at_end(file, sources[file]), generator)
    return Release(kind="new function", breaking=False, name="", texts={file: text})


def _compiles(text: str) -> bool:
    try:
        ast.parse(text)
    except SyntaxError:
        return False
    return True


def _at_end(file: str, text: str) -> Function:
    """Return a stand-in for a file without a function: what is appended to it needs the text alone."""
    node = ast.parse("def nothing():\n    pass\n").body[0]
    return _function(file, text, node, False)


def _described(file: str, document: dict[str, Any], generator: np.random.Generator) -> Release:
    """Return a release of a description: an operation gone or asking for more, or one more and other words."""
    breaking = bool(generator.random() < 0.5)
    paths: dict[str, Any] = document["paths"]
    path = sorted(paths)[int(generator.integers(len(paths)))]
    methods = [each for each in sorted(paths[path]) if isinstance(paths[path][each], dict)]
    if not breaking or not methods:
        paths[f"/planted-{word(generator)}"] = {"get": {"responses": {"200": {"description": "planted"}}}}
        return _description(file, document, "new operation", False)
    operation = paths[path][methods[0]]
    if generator.random() < 0.5:
        del paths[path][methods[0]]
        return _description(file, document, "removed operation", True)
    planted = {"name": word(generator), "in": "query", "required": True, "schema": {"type": "string"}}
    operation["parameters"] = [*operation.get("parameters", []), planted]
    return _description(file, document, "required query parameter", True)


def _description(file: str, document: dict[str, Any], kind: str, breaking: bool) -> Release:
    return Release(kind=kind, breaking=breaking, name=file, texts={file: json.dumps(document, indent=2) + "\n"})

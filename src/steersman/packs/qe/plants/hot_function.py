"""A function that tests call often, so that it is worth timing, and whether it can be changed in place."""

import ast
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class HotFunction:
    """A function of the top of a module that tests call. calls: pickled arguments, base64. callers: who was under way."""

    file: str
    module: str
    name: str
    line: int
    count: int
    calls: tuple[str, ...]
    callers: frozenset[str] = frozenset()

    @property
    def id(self) -> str:
        """The file and the name."""
        return f"{self.file}::{self.name}"


def top_functions(file: str, text: str) -> list[ast.FunctionDef]:
    """Return the plain functions at the top of a file: not decorated, no generators, not in one line."""
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError):
        return []
    return [each for each in tree.body if isinstance(each, ast.FunctionDef) and _is_plain(each)]


def _is_plain(node: ast.FunctionDef) -> bool:
    yields = any(isinstance(each, ast.Yield | ast.YieldFrom) for each in ast.walk(node))
    return not node.decorator_list and not yields and node.body[-1].lineno > node.lineno

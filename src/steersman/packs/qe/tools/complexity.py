"""Cognitive complexity and length of functions, and what radon says of their paths and of how maintainable files are.

Cognitive complexity: G. Ann Campbell, "Cognitive Complexity: an overview and evaluation", TechDebt 2018, and her white
paper for SonarSource. What nests costs one more for each level around it; comprehensions, as there, cost nothing.
"""

import ast
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from steersman.core.errors import InvalidInput
from steersman.packs.qe.tools.run import Output, run_tool

FunctionNode = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True, kw_only=True)
class Function:
    """A function or a method with what is nested in it: its qualified name, its lines from 1, and how hard it is to read."""

    file: str
    name: str
    first: int
    last: int
    cognitive: int

    @property
    def length(self) -> int:
        """Its lines."""
        return self.last - self.first + 1


@dataclass(frozen=True, kw_only=True)
class Cyclomatic:
    """The paths through each function, by file and first line, and what counting them took in seconds."""

    of: Mapping[tuple[str, int], int]
    cpu_s: float
    wall_s: float


@dataclass(frozen=True, kw_only=True)
class Maintainability:
    """The maintainability index of each file, 0–100, and what it took in seconds."""

    of: Mapping[str, float]
    cpu_s: float
    wall_s: float


def functions(file: str, text: str) -> tuple[Function, ...]:
    """Return the functions and methods of a source text; none if it does not parse."""
    return tuple(
        Function(
            file=file,
            name=name,
            first=node.lineno,
            last=node.end_lineno or node.lineno,
            cognitive=cognitive_complexity(node),
        )
        for name, node in function_nodes(text)
    )


def function_nodes(text: str) -> list[tuple[str, FunctionNode]]:
    """Return the functions and methods of a source text with their qualified names; none if it does not parse."""
    try:
        return list(_named(ast.parse(text), ""))
    except (SyntaxError, ValueError):
        return []


def cognitive_complexity(node: FunctionNode) -> int:
    """Return how hard a function is to follow: 0 for straight code, no upper end."""
    return cognitive_of(node.body, node.name)


def cognitive_of(statements: Sequence[ast.stmt], function: str = "") -> int:
    """Return the same of statements alone, as if they stood in a function of that name."""
    counter = _Counter(function)
    for statement in statements:
        counter.visit(statement)
    return counter.total


def cyclomatic(root: Path, files: Sequence[str], scratch: Path, timeout_s: float) -> Cyclomatic:
    """Return radon's cyclomatic complexity of the functions of files. Raises InvalidInput where radon says nothing."""
    output = run_tool("radon", ["cc", "-j", *files], root=root, scratch=scratch, timeout_s=timeout_s)
    blocks = [(file, each) for file, entries in _json(output).items() if isinstance(entries, list) for each in entries]
    found = {(file, each["lineno"]): _with_closures(each) for file, each in blocks if each["type"] != "class"}
    return Cyclomatic(of=found, cpu_s=output.cpu_s, wall_s=output.wall_s)


def maintainability(root: Path, files: Sequence[str], scratch: Path, timeout_s: float) -> Maintainability:
    """Return radon's maintainability index of files; one that does not parse has none. Raises InvalidInput as above."""
    output = run_tool("radon", ["mi", "-j", *files], root=root, scratch=scratch, timeout_s=timeout_s)
    found = {file: float(each["mi"]) for file, each in _json(output).items() if "mi" in each}
    return Maintainability(of=found, cpu_s=output.cpu_s, wall_s=output.wall_s)


def _with_closures(block: Mapping[str, Any]) -> int:
    return int(block["complexity"]) + sum(_with_closures(each) for each in block.get("closures", ()))


def _json(output: Output) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.JSONDecoder().raw_decode(output.text[max(output.text.find("{"), 0) :])[0]
    except ValueError as error:
        raise InvalidInput(f"radon ended with {output.exit_code} and said: {output.text.strip()[-400:]}") from error
    return found


def _named(node: ast.AST, prefix: str) -> Iterator[tuple[str, FunctionNode]]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, FunctionNode):
            yield f"{prefix}{child.name}", child
        elif isinstance(child, ast.ClassDef):
            yield from _named(child, f"{prefix}{child.name}.")
        elif isinstance(child, ast.If | ast.Try):
            yield from _named(child, prefix)


class _Counter(ast.NodeVisitor):
    """Adds up the complexity of a function that is called `name`, below `nesting` structures."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.total = self.nesting = 0

    def visit_If(self, node: ast.If) -> None:
        self.total += 1 + self.nesting
        self._branches(node)

    def visit_IfExp(self, node: ast.IfExp) -> None:
        self.total += 1 + self.nesting
        self._nested([node.test, node.body, node.orelse])

    def visit_For(self, node: ast.For | ast.AsyncFor) -> None:
        self.visit(node.iter)
        self._loop(node)

    visit_AsyncFor = visit_For  # noqa: N815

    def visit_While(self, node: ast.While) -> None:
        self.visit(node.test)
        self._loop(node)

    def visit_ExceptHandler(self, node: ast.ExceptHandler) -> None:
        self.total += 1 + self.nesting
        self._nested(node.body)

    def visit_Match(self, node: ast.Match) -> None:
        self.total += 1 + self.nesting
        self.visit(node.subject)
        self._nested(node.cases)

    def visit_BoolOp(self, node: ast.BoolOp) -> None:
        self.total += 1
        self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> None:
        self.total += isinstance(node.func, ast.Name) and node.func.id == self.name
        self.generic_visit(node)

    def visit_Lambda(self, node: ast.Lambda) -> None:
        self._nested([node.body])

    def visit_FunctionDef(self, node: FunctionNode) -> None:
        self._nested(node.body)

    visit_AsyncFunctionDef = visit_FunctionDef  # noqa: N815

    def _loop(self, node: ast.For | ast.AsyncFor | ast.While) -> None:
        self.total += 1 + self.nesting
        self._nested(node.body)
        if node.orelse:
            self.total += 1
            self._nested(node.orelse)

    def _branches(self, node: ast.If) -> None:
        """An elif costs 1 and nests no deeper; so does an else."""
        self.visit(node.test)
        self._nested(node.body)
        if not node.orelse:
            return
        self.total += 1
        if is_elif(node):
            self._branches(node.orelse[0])  # type: ignore[arg-type]  # an elif is an if
        else:
            self._nested(node.orelse)

    def _nested(self, nodes: Sequence[ast.AST]) -> None:
        self.nesting += 1
        for each in nodes:
            self.visit(each)
        self.nesting -= 1


def is_elif(node: ast.If) -> bool:
    """Return whether what follows an if's body is an elif: an if as far left as itself."""
    first = node.orelse[0] if node.orelse else None
    return len(node.orelse) == 1 and isinstance(first, ast.If) and first.col_offset == node.col_offset

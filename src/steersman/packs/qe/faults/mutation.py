"""Seeded faults: small, syntactically valid changes to a file, spliced into its text so that the rest stays as it was."""

import ast
import functools
import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass
from types import CodeType

import numpy as np

from steersman.packs.qe.faults.byte_code import UNFIT, compiled, same_program

_COMPARE = {"==": "!=", "!=": "==", "<": "<=", "<=": "<", ">": ">=", ">=": ">", "is not": "is", "is": "is not"} | {
    "not in": "in",
    "in": "not in",
}
_ARITHMETIC = {"+": "-", "-": "+", "*": "+", "//": "*", "/": "*", "%": "*", "**": "*", "<<": ">>", ">>": "<<"} | {
    "&": "|",
    "|": "&",
    "^": "&",
}
_BOOLEAN = {"and": "or", "or": "and"}
_SYMBOL = re.compile(r"is\s+not|not\s+in|\bis\b|\bin\b|\band\b|\bor\b|==|!=|<=|>=|<<|>>|\*\*|//|[<>+\-*/%&|^]")


@dataclass(frozen=True, kw_only=True)
class Fault:
    """One fault: in `file`, on `line` (from 1), the text from `start` to `end` (character offsets) becomes `after`."""

    file: str
    line: int
    function: str
    operator: str
    start: int
    end: int
    before: str
    after: str

    @property
    def name(self) -> str:
        """The fault in one short line."""
        return f"{self.file}:{self.line} {self.operator}: {self.before!r} → {self.after!r}"

    def apply(self, source: str) -> str:
        """Return the source with the fault. Raises ValueError where the text is not the one the fault was made for."""
        if source[self.start : self.end] != self.before:
            raise ValueError(f"{self.name}: the text at {self.start} is {source[self.start : self.end]!r}.")
        return source[: self.start] + self.after + source[self.end :]


@dataclass(frozen=True, kw_only=True)
class _Splice:
    operator: str
    start: int
    end: int
    after: str


class _Positions:
    """Turns the (line, UTF-8 column) of the AST into offsets of the text."""

    def __init__(self, source: str) -> None:
        self._lines = source.splitlines(keepends=True)
        self._starts = [0]
        for line in self._lines:
            self._starts.append(self._starts[-1] + len(line))

    def start(self, node: ast.expr | ast.stmt) -> int:
        return self._offset(node.lineno, node.col_offset)

    def end(self, node: ast.expr | ast.stmt) -> int:
        return self._offset(node.end_lineno or node.lineno, node.end_col_offset or 0)

    def _offset(self, line: int, column: int) -> int:
        text = self._lines[line - 1]
        return self._starts[line - 1] + len(text.encode()[:column].decode(errors="ignore"))


def faults(file: str, source: str) -> list[Fault]:
    """Return all faults for a source text that `is_valid` accepts, none across lines; none if the text does not parse."""
    return [each for each in candidates(file, source) if is_valid(each, source)]


def is_valid(fault: Fault, source: str) -> bool:
    """Return whether the source compiles with the fault, and to another program: what is proved the same is no fault."""
    try:
        return not same_program(_compiled(source, fault.file), compiled(fault.apply(source), fault.file))
    except UNFIT:
        return False
    except SyntaxWarning:  # where warnings are errors: the fault is valid all the same
        return True


@functools.lru_cache(maxsize=64)
def _compiled(source: str, file: str) -> CodeType:
    return compiled(source, file)


def candidates(file: str, source: str) -> list[Fault]:
    """Return all faults for a source text that may be valid; checking each would compile the whole text for each."""
    try:
        nodes = list(_nodes(ast.parse(source)))
    except UNFIT:
        return []
    if "\f" in source or "\r" in source.replace("\r\n", ""):
        return []  # `splitlines` and the parser count the lines of such a file differently
    positions = _Positions(source)
    found: dict[tuple[int, int, str], Fault] = {}
    for function, node in nodes:
        for splice in _splices(node, source, positions):
            fault = Fault(
                file=file,
                line=source.count("\n", 0, splice.start) + 1,
                function=function,
                operator=splice.operator,
                start=splice.start,
                end=splice.end,
                before=source[splice.start : splice.end],
                after=splice.after,
            )
            if "\n" not in fault.before and fault.before != fault.after:
                found[fault.start, fault.end, fault.after] = fault
    return list(found.values())


def sample(generator: np.random.Generator, found: list[Fault], count: int) -> list[Fault]:
    """Return up to `count` different faults, drawn without replacement, spread over the operators."""
    if not found:
        return []
    sizes: dict[str, int] = {}
    for each in found:
        sizes[each.operator] = sizes.get(each.operator, 0) + 1
    weights = np.array([1.0 / np.sqrt(sizes[each.operator]) for each in found])
    chosen = generator.choice(len(found), size=min(count, len(found)), replace=False, p=weights / weights.sum())
    return [found[int(index)] for index in chosen]


def harmless_edit(source: str, line: int, note: str) -> str | None:
    """Return the source with a comment added to a line, or None where that would change more than the text."""
    lines = source.splitlines(keepends=True)
    if not 1 <= line <= len(lines):
        return None
    body = lines[line - 1].rstrip("\r\n")
    ending = lines[line - 1][len(body) :]
    lines[line - 1] = f"{body}  # {note}{ending}"
    edited = "".join(lines)
    try:
        same = ast.dump(ast.parse(edited)) == ast.dump(ast.parse(source))
    except UNFIT:
        return None
    return edited if same else None


def _nodes(tree: ast.AST, function: str = "") -> Iterator[tuple[str, ast.AST]]:
    """Yield the nodes inside functions, each with the name of its function. What runs only at import is left out."""
    for node in ast.iter_child_nodes(tree):
        inside = function
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            inside = f"{function}.{node.name}".lstrip(".")
            for statement in node.body:
                yield inside, statement
                yield from _nodes(statement, inside)
            continue
        if function:
            yield function, node
        if not isinstance(node, ast.JoinedStr | ast.arguments):
            yield from _nodes(node, inside)


def _splices(node: ast.AST, source: str, at: _Positions) -> Iterator[_Splice]:
    if isinstance(node, ast.Compare):
        operands = [node.left, *node.comparators]
        for left, right in itertools.pairwise(operands):
            yield from _symbol("comparison", _COMPARE, source, at.end(left), at.start(right))
    elif isinstance(node, ast.BinOp):
        yield from _symbol("arithmetic", _ARITHMETIC, source, at.end(node.left), at.start(node.right))
    elif isinstance(node, ast.BoolOp):
        for left, right in itertools.pairwise(node.values):
            yield from _symbol("boolean", _BOOLEAN, source, at.end(left), at.start(right))
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        yield _Splice(operator="removed not", start=at.start(node), end=at.start(node.operand), after="")
    elif isinstance(node, ast.Constant):
        yield from _constant(node, at)
    elif isinstance(node, ast.stmt):
        yield from _statement(node, source, at)


def _symbol(operator: str, swaps: dict[str, str], source: str, start: int, end: int) -> Iterator[_Splice]:
    """Swap the operator that stands between two operands; brackets and comments around it are left alone."""
    between = source[start:end]
    match = _SYMBOL.search(between)
    if match and "#" not in between:
        after = swaps.get(" ".join(match[0].split()))
        if after:
            yield _Splice(operator=operator, start=start + match.start(), end=start + match.end(), after=after)


def _constant(node: ast.Constant, at: _Positions) -> Iterator[_Splice]:
    if isinstance(node.value, bool):
        yield _Splice(operator="constant", start=at.start(node), end=at.end(node), after=str(not node.value))
    elif isinstance(node.value, int) and abs(node.value) < 10_000:
        yield _Splice(operator="off by one", start=at.start(node), end=at.end(node), after=str(node.value + 1))


def _statement(node: ast.stmt, source: str, at: _Positions) -> Iterator[_Splice]:
    start, end = at.start(node), at.end(node)
    match node:
        case ast.Return(value=ast.expr() as value) if not (isinstance(value, ast.Constant) and value.value is None):
            yield _Splice(operator="return value", start=at.start(value), end=at.end(value), after="None")
        case ast.Break():
            yield _Splice(operator="loop control", start=start, end=end, after="continue")
        case ast.Continue():
            yield _Splice(operator="loop control", start=start, end=end, after="break")
        case ast.If(test=test) | ast.While(test=test):
            text = source[at.start(test) : at.end(test)]
            yield _Splice(operator="negated condition", start=at.start(test), end=at.end(test), after=f"not ({text})")
        case ast.Assign() | ast.AugAssign() | ast.Raise():
            yield _Splice(operator="deleted statement", start=start, end=end, after="pass")
        case ast.Expr(value=ast.Call()):
            yield _Splice(operator="deleted statement", start=start, end=end, after="pass")
        case _:
            return

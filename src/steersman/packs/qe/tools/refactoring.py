"""Safe mechanical refactorings of one function: each step keeps what the code does, and lowers its cognitive complexity.

Only whole lines are moved or replaced, so that the rest of a file stays as its author wrote it. A place where a comment
would be lost, or a string that spans lines would change, is left alone.
"""

import ast
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from steersman.packs.qe.tools.complexity import FunctionNode, cognitive_complexity, function_nodes, is_elif

_MOST_STEPS = 20
_WIDEST = 120
_JUMPS = (ast.Return, ast.Raise, ast.Continue, ast.Break)


@dataclass(frozen=True, kw_only=True)
class Refactored:
    """A text after a refactoring, and the steps that were taken in words; none where nothing could be done safely."""

    text: str
    steps: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class _Edit:
    """The lines from `first` to `last` (from 1, both included) become `lines`."""

    first: int
    last: int
    lines: tuple[str, ...]
    step: str


Rule = Callable[[FunctionNode, Sequence[str]], Iterator[_Edit]]
"""(function, the lines of its file) → edits that keep what the code does."""


def simplify_conditionals(text: str, function: str) -> Refactored:
    """Return the text with simpler conditions in a function, given by its qualified name."""
    return _rewrite(text, function, (_boolean_return, _merged_if, _membership))


def reduce_nesting(text: str, function: str) -> Refactored:
    """Return the text with a function that leaves early instead of nesting deeper."""
    return _rewrite(text, function, (_else_after_jump, _short_else_first, _guard_clause))


def _rewrite(text: str, function: str, rules: Sequence[Rule]) -> Refactored:
    """Apply the rules one step at a time, each only where the function becomes easier to follow."""
    steps: list[str] = []
    if "\f" in text or "\r" in text or "\t" in text:
        return Refactored(text=text)  # lines or columns of such a text are counted differently by the parser
    while len(steps) < _MOST_STEPS:
        better = next(_improvements(text, function, rules), None)
        if better is None:
            break
        text, step = better
        steps.append(step)
    return Refactored(text=text, steps=tuple(steps))


def _improvements(text: str, function: str, rules: Sequence[Rule]) -> Iterator[tuple[str, str]]:
    node = dict(function_nodes(text)).get(function)
    if node is None:
        return
    lines = text.split("\n")
    before = cognitive_complexity(node)
    for rule in rules:
        for edit in rule(node, lines):
            changed = "\n".join([*lines[: edit.first - 1], *edit.lines, *lines[edit.last :]])
            after = dict(function_nodes(changed)).get(function)
            if after is not None and cognitive_complexity(after) < before:
                yield changed, f"line {edit.first}: {edit.step}"


def _boolean_return(function: FunctionNode, lines: Sequence[str]) -> Iterator[_Edit]:
    """Yield `if c: return True`, `return False` as `return c`."""
    for block in _blocks(function):
        for index, node in enumerate(block):
            if not isinstance(node, ast.If) or _keyword(node, lines) != "if" or len(node.body) != 1:
                continue
            other = node.orelse or block[index + 1 : index + 2]
            first, second = _truth(node.body[0]), _truth(other[0]) if len(other) == 1 else None
            if first is None or second is None or first == second or is_elif(node):
                continue
            last = other[0].end_lineno or 0
            if not any("#" in each for each in lines[node.lineno - 1 : last]):
                value = _as_bool(node.test) if first else _inverted(node.test)
                yield _Edit(first=node.lineno, last=last, lines=(_at(node, f"return {value}"),), step="condition returned")


def _merged_if(function: FunctionNode, lines: Sequence[str]) -> Iterator[_Edit]:
    """Yield an if that holds nothing but another one as one if."""
    for node in _ifs(function):
        inner = node.body[0]
        if node.orelse or len(node.body) != 1 or not isinstance(inner, ast.If) or inner.orelse:
            continue
        if not (_plain_header(node, lines) and _plain_header(inner, lines) and inner.lineno == node.lineno + 1):
            continue
        header = _at(node, f"{_keyword(node, lines)} {_operand(node.test)} and {_operand(inner.test)}:")
        body = _dedented(lines, inner.body, inner.lineno + 1, inner.end_lineno or 0, inner.col_offset - node.col_offset)
        if body is not None and len(header) <= _WIDEST:
            yield _Edit(first=node.lineno, last=inner.end_lineno or 0, lines=(header, *body), step="nested ifs merged")


def _membership(function: FunctionNode, lines: Sequence[str]) -> Iterator[_Edit]:
    """Yield `a == 1 or a == 2` as `a in (1, 2)`."""
    for node in ast.walk(function):
        if not isinstance(node, ast.BoolOp) or node.lineno != node.end_lineno:
            continue
        wanted = ast.Eq if isinstance(node.op, ast.Or) else ast.NotEq
        compared = [_name_and_constant(each, wanted) for each in node.values]
        names = {each[0] for each in compared if each}
        if None in compared or len(names) != 1:
            continue
        line = lines[node.lineno - 1].encode()
        values = ", ".join(each[1] for each in compared if each)
        text = f"{names.pop()} {'in' if wanted is ast.Eq else 'not in'} ({values})".encode()
        changed = line[: node.col_offset] + text + line[node.end_col_offset :]
        yield _Edit(first=node.lineno, last=node.lineno, lines=(changed.decode(),), step="comparisons made one membership")


def _else_after_jump(function: FunctionNode, lines: Sequence[str]) -> Iterator[_Edit]:
    """Yield an if whose body leaves, without the else around what follows."""
    for node in _ifs(function):
        word = _else_line(node, lines)
        if word and _keyword(node, lines) == "if" and isinstance(node.body[-1], _JUMPS):
            body = _dedented(lines, node.orelse, word + 1, node.end_lineno or 0, node.orelse[0].col_offset - node.col_offset)
            if body is not None:
                yield _Edit(first=word, last=node.end_lineno or 0, lines=body, step="else after a jump dropped")


def _short_else_first(function: FunctionNode, lines: Sequence[str]) -> Iterator[_Edit]:
    """Yield an if whose else leaves, the other way round, so that the long part need not nest."""
    for node in _ifs(function):
        word = _else_line(node, lines)
        if (
            not word
            or _keyword(node, lines) != "if"
            or not _plain_header(node, lines)
            or not isinstance(node.orelse[-1], _JUMPS)
        ):
            continue
        body = _dedented(lines, node.body, node.lineno + 1, word - 1, node.body[0].col_offset - node.col_offset)
        if body is not None:
            last = node.end_lineno or 0
            header = _at(node, f"if {_inverted(node.test)}:")
            yield _Edit(
                first=node.lineno, last=last, lines=(header, *lines[word:last], *body), step="else that leaves put first"
            )


def _guard_clause(function: FunctionNode, lines: Sequence[str]) -> Iterator[_Edit]:
    """Yield an if at the end of a function or a loop as a guard that leaves early."""
    ends = [(function.body, "return")]
    ends += [(each.body, "continue") for each in ast.walk(function) if isinstance(each, ast.For | ast.AsyncFor | ast.While)]
    for block, word in ends:
        node = block[-1]
        if not isinstance(node, ast.If) or node.orelse or not _plain_header(node, lines) or _keyword(node, lines) != "if":
            continue
        step = node.body[0].col_offset - node.col_offset
        body = _dedented(lines, node.body, node.lineno + 1, node.end_lineno or 0, step)
        if body is not None:
            guard = (_at(node, f"if {_inverted(node.test)}:"), " " * step + _at(node, word))
            yield _Edit(first=node.lineno, last=node.end_lineno or 0, lines=(*guard, *body), step=f"guard with {word}")


def _blocks(function: FunctionNode) -> Iterator[list[ast.stmt]]:
    for node in ast.walk(function):
        for name in ("body", "orelse", "finalbody"):
            block = getattr(node, name, None)
            if isinstance(block, list):
                yield block


def _ifs(function: FunctionNode) -> Iterator[ast.If]:
    return (node for node in ast.walk(function) if isinstance(node, ast.If))


def _keyword(node: ast.If, lines: Sequence[str]) -> str:
    return "elif" if lines[node.lineno - 1][node.col_offset :].startswith("elif") else "if"


def _plain_header(node: ast.If, lines: Sequence[str]) -> bool:
    """Return whether the condition stands on one line, with the body below it and no comment beside it."""
    return node.test.end_lineno == node.lineno < node.body[0].lineno and "#" not in lines[node.lineno - 1]


def _else_line(node: ast.If, lines: Sequence[str]) -> int:
    """Return the line of an if's else, from 1; 0 where there is none that stands alone."""
    if not node.orelse or is_elif(node):
        return 0
    between = range((node.body[-1].end_lineno or 0) + 1, node.orelse[0].lineno)
    return next((each for each in between if lines[each - 1].rstrip() == _at(node, "else:")), 0)


def _dedented(lines: Sequence[str], block: Sequence[ast.stmt], first: int, last: int, by: int) -> tuple[str, ...] | None:
    """Return lines moved to the left; None where one of them cannot be, or where a string spans lines."""
    strings = (node for each in block for node in ast.walk(each) if isinstance(node, ast.Constant | ast.JoinedStr))
    if any(each.lineno != each.end_lineno for each in strings):
        return None
    moved = lines[first - 1 : last]
    edge = " " * block[0].col_offset
    return tuple(each[by:] for each in moved) if all(not each.strip() or each.startswith(edge) for each in moved) else None


def _at(node: ast.stmt, text: str) -> str:
    return " " * node.col_offset + text


def _truth(node: ast.stmt) -> bool | None:
    value = node.value if isinstance(node, ast.Return) else None
    return value.value if isinstance(value, ast.Constant) and isinstance(value.value, bool) else None


def _as_bool(test: ast.expr) -> str:
    """Return a condition as a value that is True or False, as the code before returned it."""
    certain = isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not)
    if isinstance(test, ast.Compare) and len(test.ops) == 1:
        certain = isinstance(test.ops[0], ast.Is | ast.IsNot | ast.In | ast.NotIn)
    return ast.unparse(test) if certain else f"bool({ast.unparse(test)})"


_OPPOSITE: dict[type[ast.cmpop], ast.cmpop] = {
    ast.Is: ast.IsNot(),
    ast.IsNot: ast.Is(),
    ast.In: ast.NotIn(),
    ast.NotIn: ast.In(),
}


def _inverted(test: ast.expr) -> str:
    """Return the opposite of a condition. `<` is left under a `not`: for NaN, `>=` would be something else."""
    if isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
        return ast.unparse(test.operand)
    if isinstance(test, ast.Compare) and len(test.ops) == 1 and type(test.ops[0]) in _OPPOSITE:
        opposite = ast.Compare(left=test.left, ops=[_OPPOSITE[type(test.ops[0])]], comparators=test.comparators)
        return ast.unparse(opposite)
    return ast.unparse(ast.UnaryOp(op=ast.Not(), operand=test))


def _operand(test: ast.expr) -> str:
    """Return a condition as an operand of `and`."""
    loose = isinstance(test, ast.IfExp | ast.Lambda | ast.NamedExpr) or (
        isinstance(test, ast.BoolOp) and isinstance(test.op, ast.Or)
    )
    return f"({ast.unparse(test)})" if loose else ast.unparse(test)


def _name_and_constant(node: ast.expr, wanted: type[ast.cmpop]) -> tuple[str, str] | None:
    match node:
        case ast.Compare(left=ast.Name(id=name), ops=[op], comparators=[ast.Constant(value=str() | int()) as value]):
            return (name, ast.unparse(value)) if isinstance(op, wanted) else None
        case _:
            return None

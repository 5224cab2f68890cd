"""Extract method, mechanically: a nested statement of a function becomes a function of its own beside it.

Only where what goes in and comes out is certain: each name that goes in was bound on every way to the statement, and each
name that comes out is bound when it ends. What leaves the function from inside, waits, or closes over names stays.
"""

import ast
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from steersman.packs.qe.tools.complexity import FunctionNode, cognitive_complexity, function_nodes
from steersman.packs.qe.tools.refactoring import Refactored

_PARTS = (ast.If, ast.For, ast.While, ast.With, ast.Try)
_FEWEST_LINES = 3
_MOST_TAKEN = 5  # linters' usual limit of parameters
_LEAVES = (
    ast.Return,
    ast.Yield,
    ast.YieldFrom,
    ast.Await,
    ast.Delete,
    ast.Import,
    ast.ImportFrom,
    ast.AsyncFor,
    ast.AsyncWith,
)
_STRANGE = (
    ast.Lambda,
    ast.FunctionDef,
    ast.AsyncFunctionDef,
    ast.ClassDef,
    ast.NamedExpr,
    ast.Match,
    ast.Global,
    ast.Nonlocal,
)
_OWN_FRAME = frozenset({"super", "locals", "vars", "eval", "exec", "dir", "globals", "__class__"})


@dataclass(frozen=True, kw_only=True)
class _Part:
    """A statement that can move, with the names that go in and those that come out."""

    node: ast.stmt
    takes: tuple[str, ...]
    gives: tuple[str, ...]


def extract_method(text: str, function: str) -> Refactored:
    """Return the text with that part of a function, given by its qualified name, outside of it that helps most."""
    node = dict(function_nodes(text)).get(function)
    if node is None or "\f" in text or "\r" in text or "\t" in text:
        return Refactored(text=text)
    name = _free_name(text, function)
    parts = [each for each in _parts(node) if _movable(each.node, text)]
    made = [(_moved(text, node, each, name), each) for each in parts]
    best = min(made, key=lambda each: _hardest(each[0], function, name), default=None)
    if best is None or _hardest(best[0], function, name) >= cognitive_complexity(node):
        return Refactored(text=text)
    step = f"lines {best[1].node.lineno}–{best[1].node.end_lineno} made {name}({', '.join(best[1].takes)})"
    return Refactored(text=best[0], steps=(step,))


def _hardest(text: str, *functions: str) -> int:
    return max(cognitive_complexity(node) for name, node in function_nodes(text) if name in functions)


def _parts(function: FunctionNode) -> Iterator[_Part]:
    """Yield the nested statements that can move, with the names that were bound on every way to them."""
    if any(isinstance(each, _STRANGE) for statement in function.body for each in ast.walk(statement)):
        return
    arguments = {each.arg for each in ast.walk(function.args) if isinstance(each, ast.arg)}
    everything = [each for statement in function.body for each in ast.walk(statement) if isinstance(each, ast.Name)]
    local = arguments | {each.id for each in everything if not isinstance(each.ctx, ast.Load)} | _bound_by_name(function)
    for node, bound in _reached(function.body, arguments):
        part = _part(node, bound, local, everything)
        if part is not None:
            yield part


def _reached(block: Sequence[ast.stmt], bound: set[str]) -> Iterator[tuple[ast.stmt, set[str]]]:
    """Yield each statement that may be taken out, with the names that are certainly bound before it."""
    bound = set(bound)
    for node in block:
        if isinstance(node, _PARTS):
            yield node, set(bound)
            yield from _reached(getattr(node, "body", []), bound | _bound_by_header(node))
            yield from _reached(getattr(node, "orelse", []), bound)
        bound |= _bound_after(node)


def _part(node: ast.stmt, bound: set[str], local: set[str], everything: Sequence[ast.Name]) -> _Part | None:
    """Return a statement as a part, or None where a name that goes in or comes out is not certain."""
    if (node.end_lineno or 0) - node.lineno + 1 < _FEWEST_LINES or not _stays_inside(node):
        return None
    names = [each for each in ast.walk(node) if isinstance(each, ast.Name)]
    inside = {id(each) for each in names}
    outside = {each.id for each in everything if id(each) not in inside}
    used = {each.id for each in names} & local
    stored = {each.id for each in names if isinstance(each.ctx, ast.Store)} | _bound_by_name(node)
    hidden = {name for each in ast.walk(node) if isinstance(each, ast.comprehension) for name in _targets(each.target)}
    unsure = ((used | stored) - bound) & outside | hidden & (outside | bound) | _unbound([node], bound, used - hidden)
    if unsure or {each.id for each in names} & _OWN_FRAME or any(each.startswith("__") for each in _mangled(node)):
        return None
    takes = tuple(sorted(used & bound))
    if len(takes) > _MOST_TAKEN:
        return None
    return _Part(node=node, takes=takes, gives=tuple(sorted(stored & outside)))


def _unbound(block: Sequence[ast.stmt], bound: set[str], wanted: set[str]) -> set[str]:
    """Return the names of those wanted that are read somewhere in statements where they may not be bound."""
    found: set[str] = set()
    bound = set(bound)
    for node in block:
        found |= (_read(node) & wanted) - bound
        inner = bound | _bound_by_header(node)
        found |= _unbound(getattr(node, "body", []), inner, wanted)
        for name in ("orelse", "finalbody"):
            found |= _unbound(getattr(node, name, []), bound, wanted)
        for handler in getattr(node, "handlers", []):
            found |= _unbound(handler.body, bound | ({handler.name} if handler.name else set()), wanted)
        bound |= _bound_after(node)
    return found


def _read(node: ast.stmt) -> set[str]:
    """Return the names that a statement reads itself, not in the statements below it."""
    own = [each for each in ast.iter_child_nodes(node) if not isinstance(each, ast.stmt | ast.ExceptHandler)]
    own += [each.type for each in getattr(node, "handlers", []) if each.type is not None]
    names = [each for part in own for each in ast.walk(part) if isinstance(each, ast.Name)]
    grown = {node.target.id} if isinstance(node, ast.AugAssign) and isinstance(node.target, ast.Name) else set()
    return grown | {each.id for each in names if isinstance(each.ctx, ast.Load)}


def _stays_inside(node: ast.stmt) -> bool:
    """Return whether no jump leads out of a statement, and nothing in it needs the frame around it."""
    return not any(isinstance(each, _LEAVES) for each in ast.walk(node)) and not _loose_jumps([node])


def _loose_jumps(block: Sequence[ast.stmt]) -> bool:
    for node in block:
        if isinstance(node, ast.Break | ast.Continue):
            return True
        fields = (
            ("orelse",) if isinstance(node, ast.For | ast.While) else ("body", "orelse", "finalbody", "handlers", "cases")
        )
        if any(_loose_jumps(getattr(node, name, [])) for name in fields):
            return True
    return False


def _bound_by_header(node: ast.stmt) -> set[str]:
    match node:
        case ast.For(target=target):
            return _targets(target)
        case ast.With(items=items):
            return {name for each in items if each.optional_vars is not None for name in _targets(each.optional_vars)}
        case _:
            return set()


def _bound_after(node: ast.stmt) -> set[str]:
    """Return the names that a statement binds in every case."""
    match node:
        case ast.Assign(targets=targets):
            return {name for each in targets for name in _targets(each)}
        case ast.AnnAssign(target=target, value=ast.expr()):
            return _targets(target)
        case _:
            return set()


def _targets(node: ast.expr) -> set[str]:
    return {each.id for each in ast.walk(node) if isinstance(each, ast.Name) and isinstance(each.ctx, ast.Store)}


def _bound_by_name(node: ast.AST) -> set[str]:
    """Return what is bound without a name in the tree: by `except … as` and by an import."""
    found = {each.name for each in ast.walk(node) if isinstance(each, ast.ExceptHandler) and each.name}
    imports = (each for each in ast.walk(node) if isinstance(each, ast.Import | ast.ImportFrom))
    return found | {(alias.asname or alias.name).partition(".")[0] for each in imports for alias in each.names}


def _mangled(node: ast.stmt) -> set[str]:
    """Return names and attributes that might mean something else outside of a class."""
    found = {each.attr for each in ast.walk(node) if isinstance(each, ast.Attribute)}
    found |= {each.id for each in ast.walk(node) if isinstance(each, ast.Name)}
    return {each for each in found if not each.endswith("__")}


def _movable(node: ast.stmt, text: str) -> bool:
    """Return whether a statement begins its own line, and no string or comment in it would change when it moves."""
    lines = text.split("\n")[node.lineno - 1 : node.end_lineno]
    strings = (each for each in ast.walk(node) if isinstance(each, ast.Constant | ast.JoinedStr))
    if lines[0].lstrip().startswith("elif") or any(each.lineno != each.end_lineno for each in strings):
        return False
    edge = " " * node.col_offset
    return all(not each.strip() or each.startswith(edge) for each in lines)


def _free_name(text: str, function: str) -> str:
    """Return a name that nothing in the file has: the function's own with `_part`, and a number where that is taken."""
    stem = f"_{function.rpartition('.')[2].strip('_')}_part"
    name, number = stem, 2
    while name in text:
        name, number = f"{stem}_{number}", number + 1
    return name


def _moved(text: str, function: FunctionNode, part: _Part, name: str) -> str:
    """Put a part below what holds the function at the top of the file, and a call in its place."""
    lines = text.split("\n")
    node = part.node
    given = ", ".join(part.gives)
    call = " " * node.col_offset + (f"{given} = " if given else "") + f"{name}({', '.join(part.takes)})"
    body = [f"    {each[node.col_offset :]}".rstrip() for each in lines[node.lineno - 1 : node.end_lineno]]
    made = ["", "", f"def {name}({', '.join(part.takes)}):", *body, *([f"    return {given}"] if given else [])]
    top = next(each for each in ast.parse(text).body if each.lineno <= function.lineno <= (each.end_lineno or 0))
    end = top.end_lineno or 0
    return "\n".join([*lines[: node.lineno - 1], call, *lines[node.end_lineno or 0 : end], *made, *lines[end:]])

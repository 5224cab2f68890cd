"""The functions of a project that can be called with literals, and the calls that its tests already make; by the AST."""

import ast
import builtins
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from steersman.packs.qe.project.discovery import module_name
from steersman.packs.qe.project.sandbox import Sandbox
from steersman.packs.qe.tools.values import Kind, kind_of

_BRANCHES = (ast.If, ast.For, ast.While, ast.ExceptHandler, ast.BoolOp, ast.IfExp, ast.comprehension, ast.match_case)
_OUTSIDE = frozenset(
    {"open", "input", "exec", "eval", "subprocess", "socket", "shutil", "requests", "urllib", "os", "sys", "tempfile"}
    | {"sqlite3", "threading", "multiprocessing", "signal", "pathlib", "Path", "random", "time", "uuid", "secrets", "exit"}
)
"""Names of what reaches out of a function: it is not called, because one answer would say nothing about the next."""
_MOST_PARAMETERS = 5
_RESERVED = frozenset({*dir(builtins), "pytest", "given", "settings", "example", "st"})


@dataclass(frozen=True, kw_only=True)
class Target:
    """A function that can be called. kinds: of its parameters, None where unsaid. calls: functions of the project in it."""

    file: str
    module: str
    name: str
    kinds: tuple[Kind | None, ...]
    required: int
    line: int
    branches: int
    constants: tuple[Any, ...]
    calls: frozenset[str]

    @property
    def typed(self) -> bool:
        """Whether an annotation says what each parameter takes."""
        return all(each is not None for each in self.kinds)


@dataclass(frozen=True, kw_only=True)
class Module:
    """A source file with the functions that can be called in it."""

    file: str
    name: str
    targets: tuple[Target, ...]
    lines: int
    functions: int
    branches: int
    complexity: int


def modules_of(sandbox: Sandbox) -> tuple[Module, ...]:
    """Return the modules of the copy that have a function to call; a file that does not parse is left out."""
    project = sandbox.project
    trees = {}
    for file in project.sources:
        try:
            trees[file] = ast.parse(sandbox.read(file))
        except (SyntaxError, ValueError, OSError):
            continue
    names = frozenset(each.name for tree in trees.values() for each in _functions(tree))
    found = [_module(file, module_name(file, project.source_root), tree, names) for file, tree in trees.items()]
    return tuple(each for each in found if each.targets and not each.name.endswith("__main__"))


def _module(file: str, name: str, tree: ast.Module, names: frozenset[str]) -> Module:
    functions = [each for each in ast.walk(tree) if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef)]
    made = [_target(file, name, each, names) for each in _functions(tree)]
    return Module(
        file=file,
        name=name,
        targets=tuple(each for each in made if each is not None),
        lines=max((each.end_lineno or 0 for each in tree.body), default=0),
        functions=len(functions),
        branches=_count(tree),
        complexity=1 + max((_count(each) for each in functions), default=0),
    )


def _functions(tree: ast.Module) -> Iterator[ast.FunctionDef]:
    return (each for each in tree.body if isinstance(each, ast.FunctionDef) and not each.name.startswith(("_", "test")))


def _count(node: ast.AST) -> int:
    return sum(isinstance(each, _BRANCHES) for each in ast.walk(node))


def _target(file: str, module: str, node: ast.FunctionDef, names: frozenset[str]) -> Target | None:
    arguments = node.args
    positional = [*arguments.posonlyargs, *arguments.args]
    required_names = any(default is None for default in arguments.kw_defaults)
    if not positional or len(positional) > _MOST_PARAMETERS or required_names or node.name in _RESERVED:
        return None
    used = {each.id for each in ast.walk(node) if isinstance(each, ast.Name)}
    if used & _OUTSIDE or any(isinstance(each, ast.Global | ast.Import | ast.ImportFrom) for each in ast.walk(node)):
        return None
    return Target(
        file=file,
        module=module,
        name=node.name,
        kinds=tuple(kind_of(each.annotation) for each in positional),
        required=max(len(positional) - len(arguments.defaults), 1),
        line=node.lineno,
        branches=_count(node),
        constants=tuple(_constants(node)),
        calls=frozenset(_called(node)) & names - {node.name},
    )


def _constants(node: ast.FunctionDef) -> Iterator[Any]:
    """Yield the literals in a body, without its docstring: where a function decides, values near them matter."""
    body = node.body[1:] if ast.get_docstring(node) is not None else node.body
    for statement in body:
        for each in ast.walk(statement):
            if isinstance(each, ast.Constant) and type(each.value) in (int, float, str) and len(str(each.value)) < 40:
                yield each.value


def _called(tree: ast.AST) -> Iterator[str]:
    for each in ast.walk(tree):
        match each:
            case ast.Call(func=ast.Name(id=name) | ast.Attribute(attr=name)):
                yield name


def calls_in_tests(sandbox: Sandbox, targets: Sequence[Target]) -> dict[str, list[tuple[Any, ...]]]:
    """Return the literal arguments with which the project's tests call a target, by its name."""
    wanted = {each.name: len(each.kinds) for each in targets}
    found: dict[str, list[tuple[Any, ...]]] = {}
    for file in sandbox.project.tests:
        try:
            tree = ast.parse(sandbox.read(file))
        except (SyntaxError, ValueError, OSError):
            continue
        for node in ast.walk(tree):
            match node:
                case ast.Call(func=ast.Name(id=name) | ast.Attribute(attr=name), args=args, keywords=[]):
                    values = _literals(args)
                    if name in wanted and values is not None and 0 < len(values) <= wanted[name]:
                        found.setdefault(name, []).append(values)
    return found


def _literals(arguments: Sequence[ast.expr]) -> tuple[Any, ...] | None:
    try:
        return tuple(ast.literal_eval(each) for each in arguments)
    except (ValueError, SyntaxError, TypeError):
        return None

"""What of a project can be called by a test: functions, methods, properties and constructors; found by the AST."""

import ast
import builtins
import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from steersman.packs.qe.project.discovery import module_name
from steersman.packs.qe.project.sandbox import Sandbox
from steersman.packs.qe.tools.values import Kind, kind_of, kind_of_value

IT = "_it_"
"""Stands for the object of which a method is called, in the text of a call."""
OPERATORS: Mapping[str, str] = {
    "__len__": "len({it})",
    "__contains__": "{0} in {it}",
    "__getitem__": "{it}[{0}]",
    "__setitem__": "{it}[{0}] = {1}",
    "__delitem__": "del {it}[{0}]",
    "__iter__": "list({it})",
    "__reversed__": "list(reversed({it}))",
    "__bool__": "bool({it})",
    "__str__": "str({it})",
    "__repr__": "repr({it})",
    "__neg__": "-{it}",
    "__iadd__": "{it} += {0}",
} | {
    f"__{name}__": f"{{it}} {symbol} {{0}}"
    for name, symbol in {
        **{"eq": "==", "ne": "!=", "lt": "<", "le": "<=", "gt": ">", "ge": ">="},
        **{"add": "+", "sub": "-", "mul": "*", "truediv": "/", "mod": "%", "or": "|", "and": "&", "xor": "^"},
    }.items()
}
"""How the special methods are called."""
_BRANCHES = (ast.If, ast.For, ast.While, ast.ExceptHandler, ast.BoolOp, ast.IfExp, ast.comprehension, ast.match_case)
_OUTSIDE = frozenset(
    {"open", "input", "exec", "eval", "subprocess", "socket", "shutil", "requests", "urllib", "os", "sys", "tempfile"}
    | {"sqlite3", "threading", "multiprocessing", "signal", "random", "time", "uuid", "secrets", "exit", "print"}
)
"""Names of what reaches out of a function: it is not called, because one answer would say nothing about the next."""
_MOST_PARAMETERS = 5
_MOST_CONSTANTS, _LONGEST_CONSTANT = 80, 40
_RESERVED = frozenset({*dir(builtins), "pytest", "given", "settings", "example", "st"})


@dataclass(frozen=True, kw_only=True)
class Target:
    """Something that can be called. how: function, class (of which it is called), constructor, method or property.

    kinds: of its parameters, without the object's own; None where unsaid. owner: its class. line: of its first decorator.
    annotated: whether each kind is said by an annotation. calls: what of the project is called in it. options: what may be
    given by name, each with its kind. constants: literals in it and behind what it names. helpers: first and last lines of
    the private functions of its module that it leads to.
    """

    file: str
    module: str
    name: str
    kinds: tuple[Kind | None, ...]
    required: int
    line: int
    end: int
    branches: int
    constants: tuple[Any, ...]
    calls: frozenset[str]
    parameters: tuple[str, ...] = ()
    options: tuple[tuple[str, Kind | None], ...] = ()
    helpers: tuple[tuple[int, int], ...] = ()
    annotated: bool = False
    owner: str = ""
    how: str = "function"

    @property
    def typed(self) -> bool:
        """Whether the kind of each parameter is known."""
        return all(each is not None for each in self.kinds)

    @property
    def reach(self) -> tuple[tuple[int, int], ...]:
        """First and last lines of itself and its helpers."""
        return ((self.line, self.end), *self.helpers)

    @property
    def on_object(self) -> bool:
        """Whether it is called of an object."""
        return self.how in ("method", "property")

    @property
    def needs(self) -> frozenset[tuple[str, str]]:
        """What a test has to import to call it."""
        return frozenset() if self.on_object else frozenset({(self.module, self.owner or self.name)})

    @property
    def dotted(self) -> str:
        """Its name inside the module."""
        inner = "__init__" if self.how == "constructor" else self.name
        return f"{self.owner}.{inner}" if self.owner else inner

    def called(self, values: Sequence[Any], named: Sequence[tuple[str, Any]] = ()) -> str:
        """Return the text of a call; of an object, which `IT` stands for, or of a class, or of neither."""
        if self.name in OPERATORS:
            return OPERATORS[self.name].format(*map(repr, values), it=IT)
        given = ", ".join([*map(repr, values), *(f"{name}={value!r}" for name, value in named)])
        if self.how == "property":
            return f"{IT}.{self.name}"
        if self.how == "constructor":
            return f"{self.owner}({given})"
        if self.name == "__call__":
            return f"{IT}({given})"
        return f"{IT if self.on_object else self.owner}.{self.name}({given})" if self.owner else f"{self.name}({given})"


@dataclass(frozen=True, kw_only=True)
class Module:
    """A source file with what can be called in it. kinds: what the project's classes are built from, by name."""

    file: str
    name: str
    targets: tuple[Target, ...]
    lines: int
    functions: int
    branches: int
    complexity: int
    kinds: Mapping[str, Kind] = field(default_factory=dict, compare=False)


@dataclass(frozen=True, kw_only=True)
class Behind:
    """What stands behind a private name of a module: the literals in it, and of a function its lines and what it names."""

    constants: tuple[Any, ...]
    lines: tuple[int, int] | None = None
    names: frozenset[str] = frozenset()


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where definitions are read: the file, its import name, the names that the project defines, and known kinds.

    behind: what stands behind the names of the module that no test calls by themselves.
    """

    file: str
    module: str
    names: frozenset[str]
    known: Mapping[str, Kind]
    behind: Mapping[str, Sequence[Behind]] = field(default_factory=dict)

    def target(self, node: ast.FunctionDef, *, owner: str = "", how: str = "function") -> Target | None:
        """Return a definition as something to call; None where it reaches out, or needs what no test could give."""
        arguments = node.args
        positional = [*arguments.posonlyargs, *arguments.args][bool(owner and how != "static") :]
        required = len(positional) - len(arguments.defaults)
        more = [arguments.vararg] * 2 if arguments.vararg and how != "property" else []
        if required > _MOST_PARAMETERS or any(each is None for each in arguments.kw_defaults) or reaches_out(node):
            return None
        if not owner and (not (positional or more) or node.name in _RESERVED):
            return None
        defaults = [None] * required + arguments.defaults[-len(positional) :]
        options = tuple(
            (each.arg, self._kind(each, default))
            for each, default in [
                *list(zip(positional, defaults, strict=False))[max(required, len(arguments.posonlyargs)) :],
                *zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True),
            ]
        )
        if len(positional) > _MOST_PARAMETERS:
            positional, more = positional[:_MOST_PARAMETERS], []
        kinds = [self._kind(each, default) for each, default in zip(positional, defaults, strict=False)]
        behind = self._behind(node)
        known = itertools.chain(constants(node), *(each.constants for each in behind))
        return Target(
            file=self.file,
            module=self.module,
            name=node.name,
            owner=owner,
            how={"static": "class"}.get(how, how),
            kinds=(*kinds, *(kind_of(each.annotation, self.known) for each in more)),
            parameters=tuple([each.arg for each in positional] + [f"{each.arg}{n}" for n, each in enumerate(more, 1)]),
            options=() if node.name in OPERATORS or how == "property" else options,
            annotated=all(each.annotation is not None for each in [*positional, *more]),
            required=max(required, 0 if owner or more else 1),
            line=min([node.lineno, *(each.lineno for each in node.decorator_list)]),
            end=node.end_lineno or node.lineno,
            branches=count_branches(node),
            constants=tuple(dict.fromkeys(known))[:_MOST_CONSTANTS],
            helpers=tuple(each.lines for each in behind if each.lines is not None),
            calls=frozenset(_called(node)) & self.names - {node.name},
        )

    def _behind(self, node: ast.FunctionDef) -> list[Behind]:
        """Return what stands behind the names in a body, and behind the names in that, nearest first."""
        found, new = dict[str, None](), named_in(node) & self.behind.keys()
        while new:
            found |= dict.fromkeys(sorted(new))
            inner = frozenset().union(*(each.names for name in new for each in self.behind[name]))
            new = (inner & self.behind.keys()) - found.keys()
        return [each for name in found for each in self.behind[name]]

    def _kind(self, parameter: ast.arg, default: ast.expr | None) -> Kind | None:
        """Return the kind of a parameter, by its annotation, else by its default."""
        if parameter.annotation is not None or default is None:
            return kind_of(parameter.annotation, self.known)
        try:
            value = ast.literal_eval(default)
        except (ValueError, SyntaxError, TypeError):
            return None
        return None if value is None else kind_of_value(value)


def parsed(sandbox: Sandbox) -> dict[str, ast.Module]:
    """Return the sources of the copy; a file that does not parse is left out."""
    trees = {}
    for file in sandbox.project.sources:
        try:
            trees[file] = ast.parse(sandbox.read(file))
        except (SyntaxError, ValueError, OSError):
            continue
    return trees


def module_at(sandbox: Sandbox, file: str) -> str:
    """Return the import name of a source file."""
    return module_name(file, sandbox.project.source_root)


def functions_in(tree: ast.Module) -> Iterator[ast.FunctionDef]:
    """Yield the public functions at the top of a module."""
    return (each for each in tree.body if isinstance(each, ast.FunctionDef) and not each.name.startswith(("_", "test")))


def count_branches(node: ast.AST) -> int:
    """Return how many decisions are in a piece of code."""
    return sum(isinstance(each, _BRANCHES) for each in ast.walk(node))


def reaches_out(node: ast.FunctionDef) -> bool:
    """Return whether a body uses the file system, the network, the clock or chance, or changes its module."""
    body = [inner for each in node.body for inner in ast.walk(each)]
    used = {each.id for each in body if isinstance(each, ast.Name)}
    return bool(used & _OUTSIDE) or any(isinstance(each, ast.Global | ast.Import | ast.ImportFrom) for each in body)


def behind_names(tree: ast.Module) -> dict[str, list[Behind]]:
    """Return what stands behind the private functions of a module, and behind what is listed at its top."""
    found: dict[str, list[Behind]] = {}
    for each in ast.walk(tree):
        if (
            isinstance(each, ast.FunctionDef)
            and each.name.startswith("_")
            and each.name[-1] != "_"
            and not reaches_out(each)
        ):
            lines = (each.lineno, each.end_lineno or each.lineno)
            made = Behind(constants=tuple(constants(each)), lines=lines, names=named_in(each))
            found.setdefault(each.name, []).append(made)
    for statement in tree.body:
        match statement:
            case ast.Assign(
                targets=[ast.Name(id=name)],
                value=ast.Dict(keys=items) | ast.List(elts=items) | ast.Tuple(elts=items) | ast.Set(elts=items),
            ):
                listed = tuple(item.value for item in items if isinstance(item, ast.Constant) and _is_handy(item))
                found.setdefault(name, []).append(Behind(constants=listed))
    return found


def named_in(node: ast.AST) -> frozenset[str]:
    """Return the names and attributes that a piece of code uses."""
    inner = list(ast.walk(node))
    names = (each.id for each in inner if isinstance(each, ast.Name))
    return frozenset(names) | {each.attr for each in inner if isinstance(each, ast.Attribute)}


def constants(node: ast.FunctionDef) -> Iterator[Any]:
    """Yield the literals in a body, without its docstring: where a function decides, values near them matter."""
    body = node.body[1:] if ast.get_docstring(node) is not None else node.body
    for statement in body:
        for each in ast.walk(statement):
            if isinstance(each, ast.Constant) and _is_handy(each):
                yield each.value


def _is_handy(constant: ast.Constant) -> bool:
    return type(constant.value) in (int, float, str) and len(str(constant.value)) < _LONGEST_CONSTANT


def _called(tree: ast.AST) -> Iterator[str]:
    for each in ast.walk(tree):
        match each:
            case ast.Call(func=ast.Name(id=name) | ast.Attribute(attr=name)):
                yield name

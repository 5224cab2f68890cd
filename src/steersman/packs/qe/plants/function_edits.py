"""Changes of one function in the text of its file: those that break a caller, and those that only look like it."""

import ast
import copy
import string
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

Node = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True, kw_only=True)
class Function:
    """A public function or method of a file, with the file's text."""

    file: str
    text: str
    node: Node
    method: bool

    @property
    def lines(self) -> list[str]:
        """The lines of the file, with their ends."""
        return self.text.splitlines(keepends=True)

    @property
    def indent(self) -> str:
        """What stands before each line of its body."""
        return " " * (self.node.body[0].col_offset)


Edit = Callable[[Function, np.random.Generator], str | None]
"""(function, generator) → the text of its file after the change; None where the change does not fit the function."""


def word(generator: np.random.Generator) -> str:
    """Return eight random letters, so that what is planted has a name that is free."""
    return "".join(string.ascii_lowercase[int(each)] for each in generator.integers(0, 26, 8))


def _with_head(function: Function, node: Node, before_body: tuple[str, ...] = ()) -> str:
    """Return the text with another head for a function, and lines before the rest of its body, behind its docstring."""
    lines = function.lines
    bare = copy.copy(node)
    bare.body, bare.decorator_list = [ast.Pass()], []
    head = ast.unparse(bare).rsplit("\n", 1)[0]
    outer = " " * node.col_offset
    first, documented = node.body[0].lineno - 1, ast.get_docstring(node) is not None
    behind = (node.body[0].end_lineno or 0) if documented else first
    added = [f"{function.indent}{line}\n" for line in before_body]
    kept_doc = lines[first:behind]
    return "".join([*lines[: node.lineno - 1], outer + head + "\n", *kept_doc, *added, *lines[behind:]])


def _plain_parameters(node: Node, method: bool) -> list[int]:
    """Return the indices of the parameters that can be given by name, without the first of a method."""
    return list(range(1 if method else 0, len(node.args.args)))


def _some(generator: np.random.Generator, items: list[int]) -> int:
    return items[int(generator.integers(len(items)))]


def _renamed_parameter(function: Function, generator: np.random.Generator) -> str | None:
    places = _plain_parameters(function.node, function.method)
    if not places:
        return None
    node = copy.deepcopy(function.node)
    given = node.args.args[_some(generator, places)]
    old, given.arg = given.arg, f"{given.arg}_{word(generator)}"
    return _with_head(function, node, (f"{old} = {given.arg}",))


def _removed_parameter(function: Function, generator: np.random.Generator) -> str | None:
    places = _plain_parameters(function.node, function.method)
    if not places:
        return None
    node = copy.deepcopy(function.node)
    gone = node.args.args.pop()
    default = ast.unparse(node.args.defaults.pop()) if node.args.defaults else "None"
    return _with_head(function, node, (f"{gone.arg} = {default}",))


def _removed_function(function: Function, generator: np.random.Generator) -> str | None:
    lines, node = function.lines, function.node
    first = min([node.lineno, *(each.lineno for each in node.decorator_list)]) - 1
    kept = [" " * node.col_offset + "pass\n"]
    return "".join([*lines[:first], *kept, *lines[node.end_lineno :]])


def _required_parameter(function: Function, generator: np.random.Generator) -> str | None:
    node = copy.deepcopy(function.node)
    if node.args.defaults or node.args.vararg:
        return None
    node.args.args.append(ast.arg(arg=f"planted_{word(generator)}"))
    return _with_head(function, node)


def _literal(node: Node) -> list[int]:
    """Return which defaults are numbers or texts written out."""
    return [
        index for index, each in enumerate(node.args.defaults) if isinstance(each, ast.Constant) and each.value is not None
    ]


def _changed_default(function: Function, generator: np.random.Generator) -> str | None:
    places = _literal(function.node)
    if not places:
        return None
    node = copy.deepcopy(function.node)
    index = _some(generator, places)
    value: Any = ast.literal_eval(node.args.defaults[index])
    changed = (
        not value
        if isinstance(value, bool)
        else value + 1
        if isinstance(value, int | float)
        else f"{value}_{word(generator)}"
    )
    node.args.defaults[index] = ast.Constant(value=changed)
    return _with_head(function, node)


def _late_default(function: Function, generator: np.random.Generator) -> str | None:
    """Give the default inside the body instead of in the head: the signature differs, and no caller can tell."""
    places = _literal(function.node)
    if not places:
        return None
    node = copy.deepcopy(function.node)
    index = _some(generator, places)
    value = ast.unparse(node.args.defaults[index])
    every = [*node.args.posonlyargs, *node.args.args]
    name = every[len(every) - len(node.args.defaults) + index].arg
    node.args.defaults[index] = ast.Constant(value=None)
    return _with_head(function, node, (f"{name} = {value} if {name} is None else {name}",))


def _optional_parameter(function: Function, generator: np.random.Generator) -> str | None:
    node = copy.deepcopy(function.node)
    node.args.kwonlyargs.append(ast.arg(arg=f"planted_{word(generator)}"))
    node.args.kw_defaults.append(ast.Constant(value=None))
    return _with_head(function, node)


def _renamed_with_alias(function: Function, generator: np.random.Generator) -> str | None:
    node = copy.deepcopy(function.node)
    if node.decorator_list:
        return None
    node.name = f"{node.name}_{word(generator)}"
    lines = _with_head(function, node).splitlines(keepends=True)
    shift = len(lines) - len(function.lines)
    alias = " " * node.col_offset + f"{function.node.name} = {node.name}\n"
    end = (function.node.end_lineno or 0) + shift
    lines[end - 1] = lines[end - 1].rstrip("\n") + "\n"
    return "".join([*lines[:end], "\n", alias, *lines[end:]])


def _returns(node: Node) -> list[ast.Return]:
    """Return the statements that return a value, without those of functions inside."""
    found: list[ast.Return] = []
    queue: list[ast.AST] = list(node.body)
    while queue:
        each = queue.pop()
        if isinstance(each, ast.Return) and each.value is not None:
            found.append(each)
        if not isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Lambda):
            queue += ast.iter_child_nodes(each)
    return found


def _return_replaced(function: Function, make: Callable[[str], tuple[str, ...]]) -> str | None:
    """Return the text with other lines for each return that stands on lines of its own; None where there is none."""
    lines, changed = function.lines, False
    for each in sorted(_returns(function.node), key=lambda found: -found.lineno):
        first, last = each.lineno - 1, each.end_lineno or each.lineno
        before = lines[first][: each.col_offset]
        if before.strip() or each.value is None or not lines[first].isascii():
            continue
        lines[first:last] = [f"{before}{line}\n" for line in make(ast.unparse(each.value))]
        changed = True
    return "".join(lines) if changed else None


def _changed_return(function: Function, generator: np.random.Generator) -> str | None:
    return _return_replaced(function, lambda value: (f"return [{value}]",))


def _named_return(function: Function, generator: np.random.Generator) -> str | None:
    name = f"planted_{word(generator)}"
    return _return_replaced(function, lambda value: (f"{name} = {value}", f"return {name}"))


def _defined_again(function: Function, generator: np.random.Generator) -> str | None:
    """Define the function once more at the end of its file: the last one counts, and it is called differently."""
    if function.method:
        return None
    name = f"planted_{word(generator)}"
    return function.text.rstrip("\n") + f"\n\n\ndef {function.node.name}(*, {name}):\n    return {name}\n"


def new_function(function: Function, generator: np.random.Generator) -> str:
    """Return the text of the file with one more function at its end."""
    return function.text.rstrip("\n") + f"\n\n\ndef planted_{word(generator)}(value):\n    return value\n"


def _new_constant(function: Function, generator: np.random.Generator) -> str:
    return function.text.rstrip("\n") + f"\n\n\nplanted_{word(generator)} = {int(generator.integers(1000))}\n"


def _docstring(function: Function, generator: np.random.Generator) -> str | None:
    if ast.get_docstring(function.node) is not None:
        return None
    lines, first = function.lines, function.node.body[0].lineno - 1
    return "".join([*lines[:first], f'{function.indent}"""Explained: {word(generator)}."""\n', *lines[first:]])


KINDS: Mapping[str, tuple[str, bool, Edit]] = {
    "renamed parameter": ("definitions", True, _renamed_parameter),
    "removed parameter": ("definitions", True, _removed_parameter),
    "removed function": ("definitions", True, _removed_function),
    "required parameter": ("definitions", True, _required_parameter),
    "changed default": ("definitions", True, _changed_default),
    "optional parameter": ("definitions", False, _optional_parameter),
    "late default": ("definitions", False, _late_default),
    "renamed with alias": ("definitions", False, _renamed_with_alias),
    "changed return": ("body", True, _changed_return),
    "named return": ("body", False, _named_return),
    "defined again": ("added", True, _defined_again),
    "new function": ("added", False, new_function),
    "new constant": ("added", False, _new_constant),
    "docstring": ("added", False, _docstring),
}
"""By kind: what the change looks like, whether it breaks a caller, and how it is made."""

"""What a person could take out of a function or a class, found in the code: the names and the outcome are theirs."""

import ast
from collections.abc import Iterator, Mapping

from steersman.packs.qe.tools.complexity import FunctionNode, cognitive_of, function_nodes

_PARTS = (ast.If, ast.For, ast.AsyncFor, ast.While, ast.With, ast.AsyncWith, ast.Try, ast.Match)
_FEWEST_LINES = 3


def hardest_part(text: str, function: str) -> str:
    """Return which nested statement of a function to make a function of its own, and what goes in and comes out."""
    node = dict(function_nodes(text))[function]
    parts = [each for each in _inside(node) if (each.end_lineno or 0) - each.lineno + 1 >= _FEWEST_LINES]
    if not parts:
        return f"{function} has no part of {_FEWEST_LINES} lines or more to take out"
    part = max(parts, key=lambda each: cognitive_of([each]))
    takes, gives = _names(node, part)
    return (
        f"make lines {part.lineno}–{part.end_lineno} of {function} a function (cognitive {cognitive_of([part])}): "
        f"it takes {', '.join(takes) or 'nothing'} and gives {', '.join(gives) or 'nothing'} back"
    )


def class_parts(text: str, function: str) -> str:
    """Return which methods of the class around a function share attributes with none of the others."""
    name = function.rpartition(".")[0]
    methods = {each.rpartition(".")[2]: node for each, node in function_nodes(text) if each.rpartition(".")[0] == name}
    groups = _connected({each: _attributes(node) for each, node in methods.items() if each != "__init__"})
    if len(groups) < 2:
        return f"the methods of {name} share their attributes, so it is one class; take a function out instead"
    small = sorted(sorted(groups, key=len)[0])
    return f"{name} is {len(groups)} classes in one: {', '.join(small)} share no attribute with the rest; move them out"


def _inside(function: FunctionNode) -> Iterator[ast.stmt]:
    return (node for node in ast.walk(function) if isinstance(node, _PARTS))


def _names(function: FunctionNode, part: ast.stmt) -> tuple[list[str], list[str]]:
    """Return the function's own names that a part of it reads and did not make, and those it makes that are read after."""
    loads, stores = _loaded(part), _stored(part)
    inside = {id(node) for node in ast.walk(part)}
    outside = [node for node in ast.walk(function) if isinstance(node, ast.Name) and id(node) not in inside]
    before = {node.id for node in outside if isinstance(node.ctx, ast.Store) and node.lineno <= part.lineno}
    before |= {node.arg for node in ast.walk(function.args) if isinstance(node, ast.arg)}
    read = {node.id for node in outside if isinstance(node.ctx, ast.Load)}
    return sorted(loads & before), sorted(stores & read)


def _loaded(part: ast.stmt) -> set[str]:
    found = {node.id for node in ast.walk(part) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)}
    return found | {
        node.target.id for node in ast.walk(part) if isinstance(node, ast.AugAssign) and isinstance(node.target, ast.Name)
    }


def _stored(part: ast.stmt) -> set[str]:
    return {node.id for node in ast.walk(part) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}


def _attributes(method: FunctionNode) -> set[str]:
    """Return the attributes and methods of its own object that a method uses."""
    own = method.args.args[0].arg if method.args.args else ""
    return {
        node.attr
        for node in ast.walk(method)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == own
    }


def _connected(uses: Mapping[str, set[str]]) -> list[set[str]]:
    """Return the groups of methods that share an attribute or call each other (the components of LCOM4)."""
    groups: list[tuple[set[str], set[str]]] = []
    for name, used in uses.items():
        methods, names = {name}, used | {name}
        for group in [each for each in groups if each[1] & names]:
            groups.remove(group)
            methods, names = methods | group[0], names | group[1]
        groups.append((methods, names))
    return [methods for methods, _ in groups]

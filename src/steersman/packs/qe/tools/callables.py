"""All of a project that can be called by a test, module by module, with what its classes are built from."""

import ast
from collections.abc import Iterator, Mapping

from steersman.packs.qe.project.sandbox import Sandbox
from steersman.packs.qe.tools.expressions import STANDARD, Constructor, Written
from steersman.packs.qe.tools.functions import (
    OPERATORS,
    Module,
    Place,
    Target,
    behind_names,
    count_branches,
    functions_in,
    module_at,
    parsed,
    reaches_out,
)
from steersman.packs.qe.tools.values import Kind, kind_of

_ENUMS = frozenset({"Enum", "IntEnum", "StrEnum", "Flag", "IntFlag"})
_PROPERTIES = frozenset({"property", "cached_property"})
_NOT_CALLED = frozenset({"overload", "abstractmethod", "setter", "deleter", "contextmanager", "fixture"})
_DEEP = 4


def modules_of(sandbox: Sandbox) -> tuple[Module, ...]:
    """Return the modules of the copy that have something to call; private modules are left out."""
    trees = parsed(sandbox)
    known = Classes(sandbox, trees)
    names = frozenset(each.name for tree in trees.values() for each in _definitions(tree))
    found = []
    for file, tree in trees.items():
        module, behind = module_at(sandbox, file), behind_names(tree)
        place = Place(file=file, module=module, names=names, known=known.kinds, behind=behind)
        found.append(_module(place, tree, known))
    return tuple(each for each in found if each.targets and not _is_private(each.name))


class Classes:
    """The classes of a project: their definitions by name, and the kinds of what can be built of them."""

    def __init__(self, sandbox: Sandbox, trees: Mapping[str, ast.Module]) -> None:
        self.nodes: dict[str, ast.ClassDef] = {}
        self._modules: dict[str, str] = {}
        for file, tree in trees.items():
            for each in _classes(tree):
                self.nodes[each.name] = each
                self._modules[each.name] = module_at(sandbox, file)
        self.kinds: dict[str, Kind] = dict(STANDARD)
        for _ in range(2):  # the second time, those that are built from others are known too
            for name, module in self._modules.items():
                kind = self._kind(name, module)
                if kind is not None:
                    self.kinds[name] = kind

    def parameters(self, node: ast.ClassDef, deep: int = _DEEP) -> list[tuple[ast.arg, ast.expr | None]] | None:
        """Return what a class is built from, each with its default; None where nothing says it."""
        init = next((each for each in node.body if isinstance(each, ast.FunctionDef) and each.name == "__init__"), None)
        if init is not None:
            names, defaults = init.args.args[1:], init.args.defaults
            strange = init.args.posonlyargs or any(each is None for each in init.args.kw_defaults) or reaches_out(init)
            padded: list[ast.expr | None] = [None] * (len(names) - len(defaults))
            return None if strange else list(zip(names, [*padded, *defaults], strict=False))
        if "dataclass" in map(_last_name, node.decorator_list) or "NamedTuple" in map(_last_name, node.bases):
            return [(ast.arg(arg=each.target.id, annotation=each.annotation), each.value) for each in _fields(node)
                    if isinstance(each.target, ast.Name)]  # fmt: skip
        bases = [self.nodes[name] for name in map(_last_name, node.bases) if name in self.nodes and deep]
        return self.parameters(bases[0], deep - 1) if bases else []

    def constructor(self, node: ast.ClassDef, deep: int = _DEEP) -> ast.FunctionDef | None:
        """Return the constructor of a class, its own or that of the first of its bases in the same module that has one."""
        own = next((each for each in _methods(node) if each.name == "__init__"), None)
        names = [each for each in map(_last_name, node.bases) if each in self.nodes and deep]
        bases = [self.nodes[each] for each in names if self._modules[each] == self._modules[node.name]]
        return own or next(filter(None, (self.constructor(each, deep - 1) for each in bases)), None)

    def members(self, node: ast.ClassDef) -> list[str]:
        """Return the members of an enumeration; none of another class."""
        if not _ENUMS & set(map(_last_name, node.bases)):
            return []
        assigned = [each.targets[0] for each in node.body if isinstance(each, ast.Assign)]
        return [f"{node.name}.{each.id}" for each in assigned if isinstance(each, ast.Name) and each.id[0] != "_"]

    def _kind(self, name: str, module: str) -> Kind | None:
        node, needs = self.nodes[name], frozenset({(module, name)})
        members = self.members(node)
        if members:
            return Kind(name="literal", options=tuple(Written(text=each, needs=needs) for each in members))
        found = self.parameters(node)
        if found is None or name.startswith("_") or any("abstractmethod" in _decorators(each) for each in _methods(node)):
            return None
        kinds = [kind_of(each.annotation, self.kinds) for each, _ in found]
        whole = tuple(each for each in kinds if each is not None)
        required = sum(default is None for _, default in found)
        if None in kinds[:required] or len(whole) > 6:
            return None
        whole = whole if len(whole) == len(kinds) else whole[:required]
        return Kind(name="object", parts=whole, options=(Constructor(name=name, needs=needs, required=required),))


def _module(place: Place, tree: ast.Module, classes: Classes) -> Module:
    made = [place.target(each) for each in functions_in(tree) if not _NOT_CALLED & _decorators(each)]
    made += [each for node in _classes(tree) for each in _of_class(place, node, classes)]
    every = [each for each in ast.walk(tree) if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef)]
    return Module(
        file=place.file,
        name=place.module,
        targets=tuple(each for each in made if each is not None),
        lines=max((each.end_lineno or 0 for each in tree.body), default=0),
        functions=len(every),
        branches=count_branches(tree),
        complexity=1 + max(map(count_branches, every), default=0),
        kinds=classes.kinds,
    )


def _of_class(place: Place, node: ast.ClassDef, classes: Classes) -> Iterator[Target | None]:
    """Yield the constructor, the methods and the properties of a class, if it is public and not abstract."""
    methods = list(_methods(node))
    if node.name.startswith("_") or any("abstractmethod" in _decorators(each) for each in methods):
        return
    constructor = classes.constructor(node)
    if constructor is not None:
        yield place.target(constructor, owner=node.name, how="constructor")
    for each in methods:
        marks = _decorators(each)
        if not _NOT_CALLED & marks and (each.name in OPERATORS or each.name == "__call__" or each.name[0] != "_"):
            how = "property" if marks & _PROPERTIES else "class" if "classmethod" in marks else "method"
            yield place.target(each, owner=node.name, how="static" if "staticmethod" in marks else how)


def _definitions(tree: ast.Module) -> Iterator[ast.FunctionDef | ast.ClassDef]:
    yield from functions_in(tree)
    for each in _classes(tree):
        yield each
        yield from (inner for inner in _methods(each) if not inner.name.startswith("_"))


def _classes(tree: ast.Module) -> Iterator[ast.ClassDef]:
    return (each for each in tree.body if isinstance(each, ast.ClassDef))


def _methods(node: ast.ClassDef) -> Iterator[ast.FunctionDef]:
    return (each for each in node.body if isinstance(each, ast.FunctionDef))


def _fields(node: ast.ClassDef) -> Iterator[ast.AnnAssign]:
    return (each for each in node.body if isinstance(each, ast.AnnAssign) and "ClassVar" not in ast.dump(each.annotation))


def _decorators(node: ast.FunctionDef) -> set[str]:
    return set(map(_last_name, node.decorator_list))


def _last_name(node: ast.expr) -> str:
    match node:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name
        case ast.Call(func=inner) | ast.Subscript(value=inner):
            return _last_name(inner)
    return ""


def _is_private(module: str) -> bool:
    return any(each.startswith("_") for each in module.split("."))

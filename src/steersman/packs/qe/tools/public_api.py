"""The public Python interface of a project by its sources alone, and what a change of it breaks for those who call it.

Nothing is imported or executed: names and signatures are read from the syntax tree. What a decorator makes of a signature
is therefore not seen, nor what a function does.
"""

import ast
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from steersman.packs.qe.project.discovery import module_name

_VERSION = re.compile(r"""^(?:version|__version__)\s*=\s*["'](\d+)\.(\d+)(?:\.(\d+))?""", re.MULTILINE)
_BUMPS = ("major", "minor", "patch")
_DEFINITION = re.compile(r"\s*(?:async\s+def|def|class)\s")


@dataclass(frozen=True, kw_only=True)
class Parameter:
    """One parameter. place: "positional" (by position only), "either", "keyword". default: its text, "" for none."""

    name: str
    place: str
    default: str = ""


@dataclass(frozen=True, kw_only=True)
class Signature:
    """What stands under a public name: a function, a class (by its constructor), a value, or what was imported there."""

    sort: str
    parameters: tuple[Parameter, ...] = ()
    takes_all: bool = False
    returns: str = ""


@dataclass(frozen=True, kw_only=True)
class Broken:
    """One thing that callers of a public name can no longer rely on."""

    name: str
    rule: str
    message: str


def public_api(sources: Mapping[str, str], source_root: str = "") -> dict[str, Signature]:
    """Return the signatures by dotted name; a file that does not parse has none. Names with a "_" in front are private."""
    found: dict[str, Signature] = {}
    for file, text in sources.items():
        module = module_name(file, source_root)
        if any(part.startswith("_") and part != "__init__" for part in module.split(".")):
            continue
        try:
            tree = ast.parse(text)
        except (SyntaxError, ValueError):
            continue
        found |= {f"{module}.{name}": each for name, each in _of_module(tree)}
    return found


def compare(old: Mapping[str, Signature], new: Mapping[str, Signature]) -> tuple[Broken, ...]:
    """Return what calls that worked with the old interface would miss in the new one, by name and rule."""
    broken: list[Broken] = []
    for name, before in old.items():
        after = new.get(name)
        if after is None:
            if before.sort != "import":
                broken.append(Broken(name=name, rule="removed", message=f"{name} is gone"))
        elif "import" not in (before.sort, after.sort):
            broken += [Broken(name=name, rule=rule, message=f"{name}: {words}") for rule, words in _changes(before, after)]
    return tuple(broken)


def version_bump(old: Mapping[str, str], new: Mapping[str, str]) -> str:
    """Return which part of the version rose between two sets of files: "major", "minor", "patch", or "none"."""
    before, after = _version(old), _version(new)
    if before is None or after is None:
        return "none"
    return next((name for name, a, b in zip(_BUMPS, before, after, strict=True) if b > a), "none")


def raised_version(texts: Mapping[str, str], part: str) -> dict[str, str]:
    """Return the files whose version is raised in one part ("major", "minor", "patch"); none where none states one."""
    for file in sorted(texts, key=lambda name: name != "pyproject.toml"):
        match = _VERSION.search(texts[file])
        if match and part != "none":
            numbers = [int(each or 0) for each in match.groups()]
            index = _BUMPS.index(part)
            raised = [*numbers[:index], numbers[index] + 1, *([0] * (2 - index))]
            end = match.end(3) if match[3] else match.end(2)
            return {file: texts[file][: match.start(1)] + ".".join(map(str, raised)) + texts[file][end:]}
    return {}


def change_class(removed: list[str], added: list[str]) -> str:
    """Return what changed lines look like: "added" (nothing taken away), "definitions" (a head of one), or "body"."""
    if not any(line.strip() for line in removed):
        return "added"
    return "definitions" if any(_DEFINITION.match(line) for line in (*removed, *added)) else "body"


def _version(texts: Mapping[str, str]) -> tuple[int, int, int] | None:
    matches = (_VERSION.search(texts[file]) for file in sorted(texts, key=lambda name: name != "pyproject.toml"))
    found = next((each for each in matches if each), None)
    return (int(found[1]), int(found[2]), int(found[3] or 0)) if found else None


def _of_module(tree: ast.Module) -> Iterator[tuple[str, Signature]]:
    """Yield the public names of a module; a later definition of a name takes the place of an earlier one, as it does."""
    known: dict[str, Signature] = {}
    for node in tree.body:
        known |= dict(_of_statement(node, known))
    listed = _listed(tree)
    for name, each in known.items():
        top = name.partition(".")[0]
        if top in listed if listed else not top.startswith("_"):
            yield name, each


def _of_statement(node: ast.stmt, known: Mapping[str, Signature]) -> Iterator[tuple[str, Signature]]:
    match node:
        case ast.FunctionDef() | ast.AsyncFunctionDef():
            yield node.name, _signature(node)
        case ast.ClassDef():
            yield from _of_class(node)
        case ast.Assign(targets=[ast.Name(id=name)], value=value):
            other = known.get(value.id) if isinstance(value, ast.Name) else None
            yield name, other or Signature(sort="value")
        case ast.AnnAssign(target=ast.Name(id=name)):
            yield name, Signature(sort="value")
        case ast.Import(names=names) | ast.ImportFrom(names=names):
            for each in names:
                yield (each.asname or each.name).partition(".")[0], Signature(sort="import")
        case ast.If() | ast.Try():
            for inner in ast.iter_child_nodes(node):
                if isinstance(inner, ast.stmt):
                    yield from _of_statement(inner, known)


def _of_class(node: ast.ClassDef) -> Iterator[tuple[str, Signature]]:
    constructor = Signature(sort="class", takes_all=True)
    methods: dict[str, Signature] = {}
    for each in node.body:
        if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef):
            static = any(isinstance(d, ast.Name) and d.id == "staticmethod" for d in each.decorator_list)
            methods[each.name] = _signature(each, bound=not static)
        elif isinstance(each, ast.Assign) and isinstance(each.value, ast.Name) and isinstance(each.targets[0], ast.Name):
            methods[each.targets[0].id] = methods.get(each.value.id, Signature(sort="value"))
    if "__init__" in methods:
        first = methods["__init__"]
        constructor = Signature(sort="class", parameters=first.parameters, takes_all=first.takes_all)
    yield node.name, constructor
    for name, signature in methods.items():
        if not name.startswith("_"):
            yield f"{node.name}.{name}", signature


def _signature(node: ast.FunctionDef | ast.AsyncFunctionDef, *, bound: bool = False) -> Signature:
    given = node.args
    places = [(each, "positional") for each in given.posonlyargs] + [(each, "either") for each in given.args]
    defaults = [None] * (len(places) - len(given.defaults)) + list(given.defaults)
    found = [_parameter(each, place, default) for (each, place), default in zip(places, defaults, strict=True)]
    found = found[1:] if bound else found
    found += [
        _parameter(each, "keyword", default) for each, default in zip(given.kwonlyargs, given.kw_defaults, strict=True)
    ]
    return Signature(
        sort="function",
        parameters=tuple(found),
        takes_all=given.vararg is not None and given.kwarg is not None,
        returns=ast.unparse(node.returns) if node.returns else "",
    )


def _parameter(given: ast.arg, place: str, default: ast.expr | None) -> Parameter:
    return Parameter(name=given.arg, place=place, default=ast.unparse(default) if default is not None else "")


def _listed(tree: ast.Module) -> frozenset[str]:
    """Return the names in `__all__`, where it is written out."""
    for node in tree.body:
        match node:
            case ast.Assign(targets=[ast.Name(id="__all__")], value=ast.List(elts=names) | ast.Tuple(elts=names)):
                return frozenset(str(each.value) for each in names if isinstance(each, ast.Constant))
    return frozenset()


def _changes(old: Signature, new: Signature) -> Iterator[tuple[str, str]]:
    """Yield the rule and the words for each change that breaks a call. What only can be called more freely does not."""
    if old.sort != new.sort:
        yield "kind", f"was a {old.sort} and is a {new.sort}"
        return
    if old.returns and new.returns and old.returns != new.returns:
        yield "return", f"returned {old.returns} and returns {new.returns}"
    if new.takes_all or old.takes_all:
        return
    yield from _positions(old, new)
    named = {each.name: each for each in new.parameters if each.place != "positional"}
    for each in old.parameters:
        if each.place != "positional" and each.name not in named:
            yield "parameter", f"has no parameter {each.name} any more"
        elif each.default and each.name in named and named[each.name].default != each.default:
            yield "default", f"{each.name}={each.default} became {named[each.name].default or 'required'}"
    names = {each.name for each in old.parameters}
    places = sum(each.place == "positional" for each in old.parameters)
    for index, each in enumerate(new.parameters):
        if not each.default and each.name not in names and (each.place != "positional" or index >= places):
            yield "required", f"wants a new parameter {each.name}"


def _positions(old: Signature, new: Signature) -> Iterator[tuple[str, str]]:
    before, after = ([each for each in one.parameters if each.place != "keyword"] for one in (old, new))
    for index, each in enumerate(before):
        other = after[index] if index < len(after) else None
        if other is None:
            yield "position", f"takes no {each.name} by position any more"
        elif "either" in (each.place, other.place) and each.name != other.name:
            yield "position", f"takes {other.name} where it took {each.name}"

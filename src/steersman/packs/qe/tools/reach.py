"""How far a change reaches, read from the source alone: which files import a file, and which functions call a function.

Both err on the large side, as a call is known by its name only and an import inside a function counts like any other;
what is imported by a text that is made up at run time is not seen.
"""

import ast
from collections.abc import Iterable, Iterator, Mapping

from steersman.packs.qe.project.discovery import module_name


class Imports:
    """Who imports whom among the files of a project: file → text. source_root: as in `Project`."""

    def __init__(self, texts: Mapping[str, str], source_root: str = "") -> None:
        full = {_full_name(file, source_root): file for file in texts}
        # Helpers beside tests are imported by their own names; a module that is really called so stands before them.
        self._modules = {name.rsplit(".", 1)[-1]: file for name, file in full.items()} | full
        self._importers: dict[str, set[str]] = {}
        for file, text in texts.items():
            for name in _imported(file, text, source_root):
                if name in self._modules:
                    self._importers.setdefault(self._modules[name], set()).add(file)
        for conftest in (each for each in texts if each.rsplit("/", 1)[-1] == "conftest.py"):
            folder = conftest.removesuffix("conftest.py")
            self._importers.setdefault(conftest, set()).update(each for each in texts if each.startswith(folder))

    def dependants(self, file: str) -> frozenset[str]:
        """Return the file with all that import it, directly or through others; pytest hands a conftest to its folder."""
        return _reached([file], self._importers)


class Calls:
    """Which function calls which, by their last names: file → text."""

    def __init__(self, texts: Mapping[str, str]) -> None:
        self._callers: dict[str, set[str]] = {}
        self.branches: dict[tuple[str, str], int] = {}
        for file, text in texts.items():
            for qualified, node in _functions(_parsed(text)):
                self.branches[file, qualified] = _branches(node)
                for called in _called(node):
                    self._callers.setdefault(called, set()).add(node.name)

    def callers(self, function: str) -> frozenset[str]:
        """Return the names of the functions that call a function, directly or through others, without itself."""
        name = function.rsplit(".", 1)[-1]
        return _reached([name], self._callers) - {name}


def _reached(start: Iterable[str], edges: Mapping[str, set[str]]) -> frozenset[str]:
    found: set[str] = set()
    queue = list(start)
    while queue:
        each = queue.pop()
        if each not in found:
            found.add(each)
            queue += edges.get(each, ())
    return frozenset(found)


def _parsed(text: str) -> ast.Module:
    try:
        return ast.parse(text)
    except (SyntaxError, ValueError):
        return ast.Module(body=[], type_ignores=[])


def _full_name(file: str, source_root: str) -> str:
    inside = bool(source_root) and file.startswith(f"{source_root}/")
    return module_name(file, source_root if inside else "")


def _imported(file: str, text: str, source_root: str) -> Iterator[str]:
    """Yield the modules that a file imports, with the packages around them and, for `from a import b`, also a.b."""
    module = _full_name(file, source_root).split(".")
    package = module if file.endswith("__init__.py") else module[:-1]
    for node in ast.walk(_parsed(text)):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else []
            base = ".".join([*above, *(node.module or "").split(".")]).strip(".")
            names = [base, *(f"{base}.{alias.name}".strip(".") for alias in node.names)]
        else:
            continue
        for name in names:
            parts = name.split(".")
            yield from (".".join(parts[:count]) for count in range(1, len(parts) + 1))


def _functions(node: ast.AST, around: str = "") -> Iterator[tuple[str, ast.FunctionDef | ast.AsyncFunctionDef]]:
    """Yield functions with their names as `mutation.Fault.function` has them: functions inside functions by both."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
            qualified = f"{around}.{child.name}".lstrip(".")
            yield qualified, child
            yield from _functions(child, qualified)
        else:
            yield from _functions(child, around)


def _called(node: ast.AST) -> Iterator[str]:
    for each in ast.walk(node):
        if isinstance(each, ast.Call):
            match each.func:
                case ast.Name(id=name) | ast.Attribute(attr=name):
                    yield name


def _branches(node: ast.AST) -> int:
    kinds = ast.If | ast.For | ast.While | ast.ExceptHandler | ast.BoolOp | ast.IfExp
    return sum(isinstance(each, kinds) for each in ast.walk(node))

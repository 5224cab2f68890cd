"""Which test files a change calls for: by who imports whom, by names, and by who speaks of a file."""

import ast
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath

_ANY = {"pyproject.toml", "setup.cfg", "setup.py", "pytest.ini", "tox.ini", "Pipfile", "environment.yml"}
_ANY_SUFFIX = {".lock"}
"""What any test may depend on."""


def for_all(file: str) -> bool:
    """Whether any test may depend on a file: a setting of the project, or what it installs."""
    name = PurePosixPath(file)
    return name.name in _ANY or name.suffix in _ANY_SUFFIX or name.name.startswith("requirements")


def named_after(file: str, tests: Iterable[str]) -> frozenset[str]:
    """Return the test files that are named after a module."""
    stem = PurePosixPath(file).stem
    return frozenset(test for test in tests if PurePosixPath(test).name in (f"test_{stem}.py", f"{stem}_test.py"))


class ImportGraph:
    """Who imports whom among the Python files of a folder, read from their text and without running any of them.

    A file depends on what it imports, on the packages above that, on the conftest.py files above itself, and on any
    other changed file whose name it speaks of: data, templates, scripts.
    """

    def __init__(self, root: Path, files: Sequence[str], changed: Sequence[str]) -> None:
        self._files = {file: _read(root / file) for file in files}
        packages = {str(PurePosixPath(file).parent) for file in (*files, *changed) if file.endswith("__init__.py")}
        self._modules: dict[str, set[str]] = {}
        for file in {*files, *(each for each in changed if each.endswith(".py"))}:
            for module in _names(file, packages):
                self._modules.setdefault(module, set()).add(file)
        data = [each for each in changed if not each.endswith(".py")]
        self._users: dict[str, set[str]] = {}
        for file, text in self._files.items():
            for used in self._used(file, text, data):
                self._users.setdefault(used, set()).add(file)

    def dependants(self, changed: Iterable[str]) -> frozenset[str]:
        """Return the changed files and all that depend on them, over any number of steps."""
        found, waiting = set(changed), list(changed)
        while waiting:
            new = self._users.get(waiting.pop(), set()) - found
            found |= new
            waiting += new
        return frozenset(found)

    def _used(self, file: str, text: str, data: Sequence[str]) -> set[str]:
        used = {each for module in _imported(file, text) for each in self._modules.get(module, ())}
        used |= {f"{folder}/conftest.py".removeprefix("./") for folder in PurePosixPath(file).parents}
        used |= {each for each in data if PurePosixPath(each).name in text}
        return used - {file}


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _names(file: str, packages: set[str]) -> set[str]:
    """Return the dotted names of a file: from the folder above its outermost package, from the root, and from `src`."""
    path = PurePosixPath(file).with_suffix("")
    parts = path.parts[:-1] if path.name == "__init__" else path.parts
    top = len(PurePosixPath(file).parent.parts)
    while top and "/".join(PurePosixPath(file).parent.parts[:top]) in packages:
        top -= 1
    starts = {0, top, *([1] if parts[:1] in (("src",), ("lib",)) else [])}
    return {".".join(parts[start:]) for start in starts if parts[start:]}


def _imported(file: str, text: str) -> set[str]:
    """Return the dotted names that a file imports, each with the packages above it; none where it does not parse."""
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError):
        return set()
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            start = _start(file, node)
            found.add(start)
            found.update(f"{start}.{alias.name}" if start else alias.name for alias in node.names)
    return {each for name in found for each in _with_above(name)}


def _start(file: str, node: ast.ImportFrom) -> str:
    """Return the module that an import starts from: a relative one from the root, since its package is not known by name."""
    if not node.level:
        return node.module or ""
    above = PurePosixPath(file).parent.parts
    return ".".join([*above[: len(above) - node.level + 1], *([node.module] if node.module else [])])


def _with_above(name: str) -> list[str]:
    parts = name.split(".")
    return [".".join(parts[:end]) for end in range(1, len(parts) + 1)]

"""What a Python project is made of: its package, its tests, its interpreter and the tools that this interpreter has."""

import ast
import fnmatch
import json
import os
import re
import subprocess
import sys
import tomllib
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from steersman.core.errors import InvalidInput, NotFound

LEFT_OUT = frozenset(
    {".git", ".hg", ".svn", ".venv", "venv", ".tox", ".nox", "node_modules", "__pycache__", ".mypy_cache", ".idea"}
    | {".ruff_cache", ".pytest_cache", ".hypothesis", ".eggs", "htmlcov", ".vscode", "__pypackages__"}
)
_LEFT_OUT_ON_TOP = frozenset({"build", "dist", "site"})
_NOT_PACKAGES = frozenset({"docs", "doc", "examples", "example", "benchmarks", "scripts", "tools"})
_NOT_MODULES = frozenset({"setup.py", "conftest.py", "noxfile.py", "tasks.py", "fabfile.py"})
_TEST_FOLDERS = frozenset({"tests", "test", "testing"})
_TEST_PATTERNS = ("test_*.py", "*_test.py")
_IN_TESTS = (
    "hypothesis",
    "timeout",
    "flaky",
    "asyncio",
    "benchmark",
    "anyio",
    "schemathesis",
    "faker",
    "valkey",
    "steersman",
)
_IN_CONFIG = ("hypothesis", "timeout", "reruns", "asyncio", "anyio", "schemathesis", "steersman")
_OPTIONS = {"--cov": "--cov", "-n": "-n|--numprocesses|--dist|--maxprocesses"}
_CONFIG_FILES = ("pyproject.toml", "pytest.ini", ".pytest.ini", "tox.ini", "setup.cfg")
_ASK_TOOLS = """
import importlib.metadata as m, json, sys
def v(name):
    try: return m.version(name)
    except m.PackageNotFoundError: return ""
names = {"pytest": "pytest", "xdist": "pytest-xdist", "rerunfailures": "pytest-rerunfailures", "coverage": "coverage",
         "cov_plugin": "pytest-cov", "hypothesis": "hypothesis"}
print(json.dumps({"python": sys.version.split()[0], **{k: v(n) for k, n in names.items()}}))
"""


@dataclass(frozen=True, kw_only=True)
class Tools:
    """The versions of what an interpreter has for testing; "" stands for missing."""

    interpreter: str
    python: str
    pytest: str
    xdist: str = ""
    rerunfailures: str = ""
    coverage: str = ""
    cov_plugin: str = ""
    hypothesis: str = ""


@dataclass(frozen=True, kw_only=True)
class Project:
    """A Python project with a pytest suite. Paths of files are relative to `root`, with forward slashes.

    `source_root` is the folder that has to be on the path ("" or "src"), `packages` the import names under test,
    `sources` the files that belong to them without tests, `tests` the test files, `words` the names of pytest plugins
    that the tests or the configuration speak of, `left_out` the node ids of tests that are never run, as they never end,
    `unreadable` why no text and no syntax tree can be had of other source files, by file.
    """

    root: Path
    source_root: str
    packages: tuple[str, ...]
    sources: tuple[str, ...]
    tests: tuple[str, ...]
    words: frozenset[str]
    tools: Tools
    left_out: frozenset[str] = frozenset()
    unreadable: Mapping[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """What to call the project in a report."""
        sizes = {name: sum(name in file.split("/") for file in self.sources) for name in self.packages}
        return max(sizes, key=lambda name: sizes[name])


def discover(path: str | Path, python: str | None = None, *, tests_needed: bool = True) -> Project:
    """Return the project at `path`, with `python` or the project's own virtual environment as its interpreter.

    Raises NotFound where there is no such folder, no test file (unless none is needed), or no package; InvalidInput where
    the path is a file or a package itself, or the interpreter is unusable or lacks pytest.
    """
    root = Path(path).expanduser()
    if not root.exists():
        raise NotFound(f"there is no folder {str(path)!r}. Give the root folder of a Python project.")
    if not root.is_dir():
        raise InvalidInput(f"{str(path)!r} is a file. Give the root folder of a Python project.")
    root = root.resolve()
    if (root / "__init__.py").exists():
        raise InvalidInput(f"{root} is a package, not a project. Give the folder that holds it: {root.parent}")
    files = sorted(python_files(root))
    patterns = (*_TEST_PATTERNS, *_configured_patterns(root))
    tests = tuple(each for each in files if _is_test(each, patterns))
    if not tests and tests_needed:
        raise NotFound(
            f"{root} has no tests: no file matches {', '.join(dict.fromkeys(patterns))}. "
            "Give the root of a project with a pytest suite, or try `steersman demo`."
        )
    source_root, packages = _packages(root)
    sources = tuple(each for each in files if _is_source(each, source_root, packages, patterns))
    if not sources:
        raise NotFound(f"{root} has no package or module (looked in {root} and src/), so there is nothing to test.")
    unreadable = {file: why for file in sources if (why := _why_unreadable(root / file))}
    if len(unreadable) == len(sources):
        raise InvalidInput(f"no source file of {root} can be worked on. {'; '.join(map(': '.join, unreadable.items()))}")
    sources = tuple(each for each in sources if each not in unreadable)
    words = _words(root, [*tests, *(each for each in files if each.endswith("conftest.py"))])
    tools = ask_tools(interpreter_of(root, python))
    return Project(
        root=root,
        source_root=source_root,
        packages=packages,
        sources=sources,
        tests=tests,
        words=words,
        tools=tools,
        unreadable=unreadable,
    )


def interpreter_of(root: Path, python: str | None = None) -> str:
    """Return the interpreter to use: `python`, else the project's .venv or venv, else the one that runs now."""
    if python:
        return python
    for name in (".venv", "venv"):
        for inside in ("bin/python", "Scripts/python.exe"):
            candidate = root / name / inside
            if candidate.exists():
                return str(candidate)
    return sys.executable


def ask_tools(interpreter: str) -> Tools:
    """Return which tools an interpreter has. Raises InvalidInput where it does not run or has no pytest."""
    try:
        answer = subprocess.run(
            [interpreter, "-c", _ASK_TOOLS], capture_output=True, text=True, timeout=60, check=True, stdin=subprocess.DEVNULL
        )
        found: dict[str, str] = json.loads(answer.stdout.strip().splitlines()[-1])
    except (OSError, subprocess.SubprocessError, ValueError, IndexError) as error:
        raise InvalidInput(f"the interpreter {interpreter!r} does not run: {error}. Give another with --python.") from error
    if not found["pytest"]:
        raise InvalidInput(
            f"the interpreter {interpreter} has no pytest. Run `{interpreter} -m pip install pytest`, "
            "or give the project's own interpreter with --python."
        )
    return Tools(interpreter=interpreter, **found)


def _is_left_out(folder: Path, root: Path) -> bool:
    """Return whether a folder is no part of the project: caches, virtual environments, version control, build output."""
    on_top = folder.parent == root and folder.name in _LEFT_OUT_ON_TOP and not os.path.exists(folder / "__init__.py")
    return folder.name in LEFT_OUT or on_top or os.path.exists(folder / "pyvenv.cfg")  # False where it may not be read


def project_files(root: Path) -> Iterator[Path]:
    """Yield the files that belong to a project, folder by folder; what lies behind linked folders is left out."""
    for folder, folders, names in os.walk(root):
        here = Path(folder)
        folders[:] = sorted(each for each in folders if not _is_left_out(here / each, root))
        yield from (here / name for name in sorted(names))


def python_files(root: Path) -> Iterator[str]:
    """Yield the Python files that belong to a project, relative to its root."""
    return (each.relative_to(root).as_posix() for each in project_files(root) if each.name.endswith(".py"))


def read_source(path: Path) -> str:
    """Return the text of a source file as everything here counts its characters: no BOM, line ends as they are.

    What is no UTF-8 is replaced.
    """
    with path.open(encoding="utf-8-sig", errors="replace", newline="") as stream:
        return stream.read()


def module_name(file: str, source_root: str = "") -> str:
    """Return the dotted import name of a source file: "src/a/b.py" under "src" is "a.b"."""
    inner = file.removeprefix(f"{source_root}/") if source_root else file
    return inner.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def _is_test(file: str, patterns: tuple[str, ...]) -> bool:
    return any(fnmatch.fnmatch(file.rsplit("/", 1)[-1], pattern) for pattern in patterns)


def _is_source(file: str, source_root: str, packages: tuple[str, ...], patterns: tuple[str, ...]) -> bool:
    parts = file.split("/")
    name = parts[-1]
    if _is_test(file, patterns) or name in _NOT_MODULES or _TEST_FOLDERS & set(parts[:-1]):
        return False
    return module_name(file, source_root).split(".")[0] in packages and (not source_root or parts[0] == source_root)


def _why_unreadable(path: Path) -> str:
    """Return why a source file cannot be worked on: it may not be read, is not in UTF-8, or is no Python; "" if it can."""
    try:
        with warnings.catch_warnings(action="ignore"):
            ast.parse(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        return f"cannot be read: {error.strerror}"
    except UnicodeDecodeError as error:
        return f"is not in UTF-8: {error.reason} at byte {error.start}"
    except SyntaxError as error:
        return f"line {error.lineno} is no Python: {error.msg}"
    except (ValueError, RecursionError, MemoryError) as error:
        return f"is no Python: {error or type(error).__name__}"
    return ""


def _packages(root: Path) -> tuple[str, tuple[str, ...]]:
    source_root = "src" if (root / "src").is_dir() and not (root / "src" / "__init__.py").exists() else ""
    top = root / source_root
    names = [
        each.parent.name
        for each in sorted(top.glob("*/__init__.py"))
        if each.parent.name not in _TEST_FOLDERS | _NOT_PACKAGES and not _is_left_out(each.parent, root)
    ]
    names += [
        each.stem
        for each in sorted(top.glob("*.py"))
        if each.name not in _NOT_MODULES and not _is_test(each.name, _TEST_PATTERNS)
    ]
    return source_root, tuple(names)


def _configured_patterns(root: Path) -> tuple[str, ...]:
    """Return the project's own `python_files`, from pyproject.toml or an ini file."""
    try:
        tables = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))
        found = tables.get("tool", {}).get("pytest", {}).get("ini_options", {}).get("python_files", ())
    except (OSError, ValueError):
        found = ()
    if not found:
        for name in _CONFIG_FILES[1:]:
            match = re.search(r"^python_files\s*=\s*(.+)$", _read(root / name), re.MULTILINE)
            if match:
                found = match[1]
                break
    return tuple(found.split() if isinstance(found, str) else found)


def _words(root: Path, files: Sequence[str]) -> frozenset[str]:
    """Return the words that say which optional pytest plugins the project needs."""
    found: set[str] = set()
    config = "\n".join(_read(root / name) for name in _CONFIG_FILES)
    options = " ".join(re.findall(r"addopts[^\n]*(?:\n[ \t]+[^\n]*)*", config)).replace('"', " ").replace("'", " ")
    found.update(word for word, pattern in _OPTIONS.items() if re.search(rf"(^|\s)({pattern})", options))
    for file in files:
        text = _read(root / file)
        found.update(word for word in _IN_TESTS if word in text)
    found.update(word for word in _IN_CONFIG if word in config)
    return frozenset(found)


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""

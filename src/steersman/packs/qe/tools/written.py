"""Writes a value as an expression that makes one like it, and says what the expression has to import.

It stands alone (standard library only) because it runs in the project's interpreter: a copy of it lies in the sandbox's
scratch folder as `steersman_written`. An expression is proved before it is given: it is evaluated, and what it makes must
be of the same type and equal, or at least have equal attributes where only an argument is wanted.
"""

import ast
import builtins
import datetime
import enum
import functools
import importlib
import math
import pathlib
import sys
import types
from collections.abc import Callable, Iterable
from typing import Any

Needs = set[tuple[str, str]]
"""(module, name) to import; ("", module) for a module as a whole."""
MOST_TEXT = 300
_PLAIN = (int, str, bytes, bool, complex, type(None), type(...))
_FUNCTIONS = (types.FunctionType, types.BuiltinFunctionType, type, functools.lru_cache(len).__class__)
_TYPING = ("typing", "types", "collections.abc")


class Unwritable(Exception):
    """A value has no expression."""


class Writer:
    """Writes values. made: how an object was constructed, by its id, where somebody listened."""

    def __init__(self, made: dict[int, tuple[Any, str, Needs]] | None = None) -> None:
        self._made = {} if made is None else made

    def write(self, value: Any, *, same: Callable[[Any, Any], bool]) -> tuple[str, Needs] | None:
        """Return an expression and what it imports; None where there is none, or it does not make the same."""
        needs: Needs = set()
        try:
            text = self._text(value, needs, 4)
            if len(text) > MOST_TEXT or not text.isprintable():
                return None
            return (text, needs) if same(evaluated(text, needs), value) else None
        except RecursionError:
            return None
        except Exception:  # noqa: BLE001 - objects of the project may raise anything when they are looked at
            return None

    def _text(self, value: Any, needs: Needs, deep: int) -> str:
        kind = type(value)
        if kind in _PLAIN or (kind is float and math.isfinite(value)):
            return repr(value)
        if deep == 0:
            raise Unwritable
        if kind in (list, tuple, set, frozenset, dict):
            return self._container(value, needs, deep - 1)
        known = next((write for kinds, write in _KNOWN if isinstance(value, kinds)), self._object)
        return known(value, needs)

    def _container(self, value: Any, needs: Needs, deep: int) -> str:
        if isinstance(value, dict):
            return (
                f"{{{', '.join(f'{self._text(k, needs, deep)}: {self._text(v, needs, deep)}' for k, v in value.items())}}}"
            )
        inner = [self._text(each, needs, deep) for each in value]
        if isinstance(value, set | frozenset):
            text = f"{{{', '.join(sorted(inner))}}}" if inner else "set()"
            return text if isinstance(value, set) else f"frozenset({text if inner else ''})"
        return (
            f"[{', '.join(inner)}]" if isinstance(value, list) else f"({', '.join(inner)}{',' if len(inner) == 1 else ''})"
        )

    def _object(self, value: Any, needs: Needs) -> str:
        """Return an object's name, its repr where that is an expression, or else the constructor call that was heard."""
        found = _global(value) or _of_repr(value)
        if found is None:
            kept = self._made.get(id(value))
            if kept is None or kept[0] is not value:
                raise Unwritable
            found = kept[1:]
        needs |= found[1]
        return found[0]


def _date(value: Any, needs: Needs) -> str:
    """Return a date, a time or what has to do with them, with its names imported from datetime."""
    text = repr(value).replace("datetime.", "")
    names = {each.id for each in ast.walk(ast.parse(text, mode="eval")) if isinstance(each, ast.Name)}
    needs |= {("datetime", each) for each in names}
    return text


def _path(value: pathlib.Path, needs: Needs) -> str:
    needs.add(("pathlib", "Path"))
    return f"Path({str(value)!r})"


def _member(value: enum.Enum, needs: Needs) -> str:
    return f"{_named(type(value), needs)}.{value.name}"


def _global(value: Any) -> tuple[str, Needs] | None:
    """Return the name under which a package offers an object at its top, if it does."""
    package, public = _public(value)
    return next(((name, {(package, name)}) for name, each in public.items() if each is value), None)


def _of_repr(value: Any) -> tuple[str, Needs] | None:
    """Return the repr of an object, if it is an expression that makes one like it."""
    text, needs = repr(value), set[tuple[str, str]]()
    try:
        for name in {each.id for each in ast.walk(ast.parse(text, mode="eval")) if isinstance(each, ast.Name)}:
            _resolve(name, value, needs)
        return (text, needs) if alike(evaluated(text, needs), value) else None
    except Exception:  # noqa: BLE001 - what a repr looks like is up to the project
        return None


def evaluated(text: str, needs: Iterable[tuple[str, str]]) -> Any:
    """Return what an expression makes."""
    return eval(text, namespace(needs))  # noqa: S307 - the text was written here, of the project's own values


def namespace(needs: Iterable[tuple[str, str]]) -> dict[str, Any]:
    """Return what a test would have imported."""
    found: dict[str, Any] = {}
    for module, name in needs:
        found[name] = getattr(importlib.import_module(module), name) if module else importlib.import_module(name)
    return found


def equal(one: Any, other: Any) -> bool:
    """Return whether values are equal and of one type, all the way down."""
    if type(one) is not type(other) or not bool(one == other):
        return False
    if isinstance(one, list | tuple):
        return all(map(equal, one, other))
    return True


def alike(one: Any, other: Any) -> bool:
    """Return whether values are equal, or of one type with attributes that are."""
    if type(one) is not type(other):
        return False
    if bool(one == other):
        return True
    mine, yours = (getattr(each, "__dict__", {}) for each in (one, other))
    return bool(mine) and mine.keys() == yours.keys() and all(alike(mine[each], yours[each]) for each in mine)


def _resolve(name: str, value: Any, needs: Needs) -> None:
    """Add what a name in the repr of a value stands for."""
    if hasattr(builtins, name):
        return
    inner = [type(each) for each in getattr(value, "__dict__", {}).values()]
    for kind in (type(value), *inner, *(type(value).__mro__)):
        found = getattr(sys.modules.get(kind.__module__), name, None)
        if isinstance(found, types.ModuleType) and found.__name__ == name:
            needs.add(("", name))
            return
        if found is not None and not isinstance(found, types.ModuleType):
            _named(found, needs)
            return
    package, public = _public(value)
    if name not in public:
        raise Unwritable
    needs.add((package, name))


def _public(value: Any) -> tuple[str, dict[str, Any]]:
    """Return the package that the class of a value comes from, and what it offers at its top; nothing of tests."""
    package = type(value).__module__.partition(".")[0]
    offered = {} if _is_no_library(package) else vars(sys.modules.get(package, builtins))
    return package, {name: each for name, each in offered.items() if not name.startswith("_")}


def _named(value: Any, needs: Needs) -> str:
    """Return the name by which something can be imported, and note the import. Raises Unwritable where none can be."""
    name, module = value.__qualname__, value.__module__ or ""
    if module == "builtins" and getattr(builtins, name, None) is value:
        return str(name)
    found: Any = sys.modules.get(module)
    for each in name.split("."):
        found = getattr(found, each, None)
    if found is not value or _is_no_library(module):
        raise Unwritable
    needs.add((module, name.split(".")[0]))
    return str(name)


def _is_no_library(module: str) -> bool:
    """Return whether a generated test may not import from a module: it is a test, or none of anybody's business."""
    parts = module.split(".")
    tests = any(each in ("tests", "test", "testing", "conftest", "__main__") or each.startswith("test_") for each in parts)
    return tests or module in _TYPING or parts[0].startswith(("_", "steersman"))


_DATES = (datetime.date, datetime.time, datetime.timedelta, datetime.tzinfo)
_KNOWN: tuple[tuple[Any, Callable[[Any, Needs], str]], ...] = (
    (enum.Enum, _member),
    (_DATES, _date),
    (pathlib.Path, _path),
    (_FUNCTIONS, _named),
)

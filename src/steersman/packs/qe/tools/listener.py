"""A pytest plugin for the project's own interpreter: writes down with what the tests call functions, methods and classes.

It stands alone, beside `steersman_written`. The environment variable STEERSMAN_LISTEN names a JSON object:

    functions  "file:line" of the code to listen for, files as absolute paths → [module, dotted name]     out

The answer: for each function, its first calls as {receiver, values, named}, each value as [expression, imports].
"""

import functools
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import pytest
from steersman_written import Writer, alike  # type: ignore[import-not-found]  # it lies beside this file

_MOST, _TRIED, _OBJECTS, _MOST_EVENTS = 12, 60, 3000, 200_000
_WITH_MORE, _WITH_NAMED = 0x04, 0x08


class Listener:
    """Listens to the calls of each test."""

    def __init__(self, functions: dict[str, list[str]], out: str) -> None:
        self.functions, self.out = functions, out
        self.heard: dict[str, list[dict[str, Any]]] = {}
        self.tried: dict[str, int] = {}
        self.events = 0
        self.not_wanted: dict[int, CodeType] = {}  # by identity: equal code may stand in another file
        self.made: dict[int, tuple[Any, str, set[tuple[str, str]]]] = {}
        self.writer = Writer(self.made)

    @pytest.hookimpl(hookwrapper=True)
    def pytest_runtest_protocol(self) -> Iterator[None]:
        """Listen while a test runs, with its fixtures."""
        self.events = 0
        sys.setprofile(self._hear)
        yield
        sys.setprofile(None)

    def pytest_sessionfinish(self) -> None:
        """Write down what was heard."""
        Path(self.out).write_text(json.dumps(self.heard), encoding="utf-8")

    def _hear(self, frame: FrameType, event: str, argument: object) -> None:
        del argument
        self.events += 1
        if self.events > _MOST_EVENTS:  # a test that does something a million times has been heard enough
            sys.setprofile(None)
        if event != "call":
            return
        code = frame.f_code
        if id(code) in self.not_wanted:  # looked up before all else: a suite may make millions of calls
            return
        key = f"{code.co_filename}:{code.co_firstlineno}"
        named = self.functions.get(key)
        if named is None or self.tried.get(key, 0) >= (_OBJECTS if named[1].endswith("__init__") else _TRIED):
            self.not_wanted[id(code)] = code
            return
        self.tried[key] = self.tried.get(key, 0) + 1
        sys.setprofile(None)  # what is looked at may be written in the project's own code
        try:
            self._note(key, frame, *named)
        except Exception:  # noqa: BLE001, S110 - objects of the project may raise anything when they are looked at
            pass
        finally:
            sys.setprofile(self._hear)

    def _note(self, key: str, frame: FrameType, module: str, name: str) -> None:
        positional, named = _arguments(frame, _function(module, name))
        owner = name.rpartition(".")[0]
        receiver = None
        if owner:
            first = positional.pop(0)
            if not name.endswith("__init__"):
                receiver = None if isinstance(first, type) else self._written(first)
        values = [self._written(each) for each in positional]
        by_name = {each: self._written(value) for each, value in named.items()}
        if owner and name.endswith("__init__"):
            self._made_by(first, frame, values, by_name)
        found = self.heard.setdefault(key, [])
        call = {"receiver": receiver, "values": values, "named": by_name}
        whole = all(each is not None for each in [*values, *by_name.values()])
        if whole and call not in found and len(found) < _MOST:
            found.append(call)

    def _made_by(self, made: Any, frame: FrameType, values: list[Any], named: dict[str, Any]) -> None:
        """Keep how an object is being constructed."""
        kind = type(made)
        if getattr(kind.__init__, "__code__", None) is not frame.f_code or "<locals>" in kind.__qualname__:
            return
        if None in values or None in named.values():
            return
        text = ", ".join([*(each[0] for each in values), *(f"{name}={each[0]}" for name, each in named.items())])
        needs = {tuple(need) for each in [*values, *named.values()] for need in each[1]}
        self.made[id(made)] = (made, f"{kind.__qualname__}({text})", needs | {(kind.__module__, kind.__qualname__)})

    def _written(self, value: Any) -> list[Any] | None:
        found = self.writer.write(value, same=alike)
        return None if found is None else [found[0], sorted(found[1])]


@functools.cache
def _function(module: str, name: str) -> Any:
    found: Any = sys.modules.get(module)
    for each in name.split("."):
        found = getattr(found, each, None)
    while hasattr(found, "__wrapped__"):
        found = found.__wrapped__
    return getattr(found, "__func__", found)


def _arguments(frame: FrameType, function: Any) -> tuple[list[Any], dict[str, Any]]:
    """Return what a call was given, by position and by name, without what are defaults anyway."""
    code, given = frame.f_code, frame.f_locals
    first, last = code.co_argcount, code.co_argcount + code.co_kwonlyargcount
    positional = [given[name] for name in code.co_varnames[:first]]
    usual = getattr(function, "__kwdefaults__", None) or {}
    named = {name: given[name] for name in code.co_varnames[first:last]}
    named = {name: each for name, each in named.items() if name not in usual or usual[name] is not each}
    more = given[code.co_varnames[last]] if code.co_flags & _WITH_MORE else ()
    if code.co_flags & _WITH_NAMED:
        named.update(given[code.co_varnames[last + bool(code.co_flags & _WITH_MORE)]])
    if more:
        return [*positional, *more], named
    defaults = list(getattr(function, "__defaults__", None) or ())
    while defaults and positional and positional[-1] is defaults[-1]:
        positional.pop()
        defaults.pop()
    return positional, named


def pytest_configure(config: pytest.Config) -> None:
    """Read what is asked for and join the session."""
    if "STEERSMAN_LISTEN" in os.environ:
        plan = json.loads(Path(os.environ["STEERSMAN_LISTEN"]).read_text(encoding="utf-8"))
        config.pluginmanager.register(Listener(plan["functions"], plan["out"]), "steersman-listener")

"""A pytest plugin for the project's own interpreter: notes which functions the tests call, with what, and from where.

It stands alone (standard library and pytest only) because that interpreter may not have Steersman. The environment
variable STEERSMAN_CALLS names a JSON object:

    functions  "file:line" of the functions to note, files as absolute paths     out  where the answer goes

The answer is a JSON object by function: count, calls (pickled arguments in base64, the first few), callers (other
functions of the list that were under way at a call).
"""

import base64
import json
import os
import pickle
import sys
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

_SAMPLES = 3
_LARGEST = 50_000
_DEPTH = 40
_WITH_MORE, _WITH_NAMED = 0x04, 0x08


class CallLog:
    """Listens to the calls of each test."""

    def __init__(self, functions: list[str], out: str) -> None:
        self.noted: dict[str, dict[str, Any]] = {each: {"count": 0, "calls": [], "callers": []} for each in functions}
        self.out = out

    @pytest.hookimpl(hookwrapper=True)
    def pytest_runtest_call(self) -> Iterator[None]:
        """Listen while a test runs, without its fixtures."""
        sys.setprofile(self._hear)
        yield
        sys.setprofile(None)

    def pytest_sessionfinish(self) -> None:
        """Write down what was heard."""
        Path(self.out).write_text(json.dumps(self.noted), encoding="utf-8")

    def _hear(self, frame: FrameType, event: str, argument: object) -> None:
        del argument
        entry = self.noted.get(_place(frame)) if event == "call" else None
        if entry is None:
            return
        entry["count"] += 1
        if len(entry["calls"]) < _SAMPLES:
            called = _arguments(frame)
            if called and called not in entry["calls"]:
                entry["calls"].append(called)
        for caller in _callers(frame):
            if caller in self.noted and caller not in entry["callers"]:
                entry["callers"].append(caller)


def _place(frame: FrameType) -> str:
    return f"{frame.f_code.co_filename}:{frame.f_code.co_firstlineno}"


def _callers(frame: FrameType) -> Iterator[str]:
    above = frame.f_back
    for _ in range(_DEPTH):
        if above is None:
            return
        yield _place(above)
        above = above.f_back


def _arguments(frame: FrameType) -> str:
    """Return the pickled arguments of a call that begins; "" where they cannot be pickled or are large."""
    code, given = frame.f_code, frame.f_locals
    first, last = code.co_argcount, code.co_argcount + code.co_kwonlyargcount
    try:
        positional = [given[name] for name in code.co_varnames[:first]]
        named = {name: given[name] for name in code.co_varnames[first:last]}
        if code.co_flags & _WITH_MORE:
            positional += given[code.co_varnames[last]]
            last += 1
        if code.co_flags & _WITH_NAMED:
            named.update(given[code.co_varnames[last]])
        pickled = pickle.dumps((positional, named))
    except Exception:  # noqa: BLE001 - objects of the project may raise anything when they are pickled
        return ""
    return base64.b64encode(pickled).decode() if len(pickled) <= _LARGEST else ""


def pytest_configure(config: pytest.Config) -> None:
    """Read what is asked for and join the session."""
    if "STEERSMAN_CALLS" in os.environ:
        plan = json.loads(Path(os.environ["STEERSMAN_CALLS"]).read_text(encoding="utf-8"))
        config.pluginmanager.register(CallLog(plan["functions"], plan["out"]), "steersman-call-log")

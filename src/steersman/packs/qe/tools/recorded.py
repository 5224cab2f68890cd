"""Runs inside the project's pytest, not in ours: writes down with which arguments the tests call its functions.

Only functions at the top of a module, and only arguments that can be written out and read back. Standard library only.
"""

import ast
import json
import os
import sys
from pathlib import Path
from types import FrameType
from typing import Any

MOST = 8
calls: dict[str, list[str]] = {}


def _profile(frame: FrameType, event: str, arg: Any) -> None:
    code = frame.f_code
    if event != "call" or not code.co_filename.startswith(os.environ["STEERSMAN_RECORD_INSIDE"] + os.sep):
        return
    name = code.co_name
    known = frame.f_globals.get(name)
    if known is None or getattr(known, "__code__", None) is not code:
        return
    found = calls.setdefault(known.__module__ + "." + name, [])
    if len(found) < MOST:
        names = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
        text = repr({each: frame.f_locals[each] for each in names if each in frame.f_locals})
        if len(text) < 500 and text not in found and _is_literal(text):
            found.append(text)


def _is_literal(text: str) -> bool:
    try:
        ast.literal_eval(text)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return False
    return True


def pytest_runtest_call(item: Any) -> None:
    """Listen from the test's start."""
    sys.setprofile(_profile)


def pytest_runtest_teardown(item: Any) -> None:
    """Listen no longer."""
    sys.setprofile(None)


def pytest_sessionfinish(session: Any) -> None:
    """Write down what was heard."""
    Path(os.environ["STEERSMAN_RECORD_OUT"]).write_text(json.dumps(calls), encoding="utf-8")

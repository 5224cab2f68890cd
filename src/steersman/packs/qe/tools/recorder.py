"""Calls functions of a project in the project's own interpreter and writes down what they did; with a fence around them.

It stands alone (standard library only) because that interpreter may not have Steersman: a copy of it lies in the sandbox's
scratch folder as `steersman_recorder`. As a script it takes the path of a JSON job:

    module, inside  what to import, and the folder of the project          calls   [function, text of a tuple of literals]
    call_s          limit of one call in seconds                            out     where results go, one JSON object a line

A result: i (index of the call), status (value, items, raises, crash, skip), text, origin (of an exception), lines, arcs.
As a pytest plugin it puts the same fence around each test: nothing outside the scratch folder is written, no process is
started, no network is used. The fence is an audit hook (PEP 578): it stops accidents, not an attacker.
"""

import ast
import importlib
import itertools
import json
import os
import random
import signal
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any, TextIO

HERE = os.path.realpath(os.path.dirname(__file__))
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_PATHS = ("os.remove", "os.rename", "os.rmdir", "os.mkdir", "os.truncate", "os.chmod", "os.chown", "os.link", "os.symlink")
_NEVER = ("os.system", "os.exec", "os.posix_spawn", "os.spawn", "os.fork", "os.forkpty", "os.kill", "os.killpg", "pty.spawn")
_NEVER_LIKE = ("subprocess.", "socket.", "shutil.", "webbrowser.", "ctypes.", "sqlite3.", "urllib.", "ftplib.", "smtplib.")
_MOST_ITEMS = 50
_MOST_TEXT = 300
_fence: dict[str, bool] = {"up": False, "touched": False}


class TooLong(BaseException):
    """A call took longer than it may; not an Exception, so that the called function does not swallow it."""


class Fenced(PermissionError):
    """A call tried to reach out of the sandbox."""


def _hook(event: str, arguments: tuple[Any, ...]) -> None:
    if _fence["up"] and _reaches_out(event, arguments):
        _fence["touched"] = True
        raise Fenced(f"{event} is not allowed while tests are being made")


def _reaches_out(event: str, arguments: tuple[Any, ...]) -> bool:
    if event == "open":
        path, mode, flags = (*arguments, None, None)[:3]
        writes = any(each in str(mode) for each in "wax+") if mode else bool((flags or 0) & _WRITING)
        return writes and not _inside(path)
    if event in _PATHS:
        return not _inside(arguments[0])
    return event in _NEVER or event.startswith(_NEVER_LIKE)


def _inside(path: Any) -> bool:
    if not isinstance(path, str | bytes | os.PathLike):
        return False
    full = os.path.realpath(os.fsdecode(path))
    return full == os.devnull or full.startswith(HERE + os.sep)


class Tracer:
    """Notes which lines of the project ran, and which followed on which in one frame."""

    def __init__(self, inside: str) -> None:
        self.inside = os.path.realpath(inside) + os.sep
        self.lines: set[tuple[str, int]] = set()
        self.arcs: set[tuple[str, int, int]] = set()

    def __call__(self, frame: FrameType, event: str, argument: object) -> Any:
        """Follow the frames of the project only."""
        file = frame.f_code.co_filename
        if not file.startswith(self.inside):
            return None
        name, before = file[len(self.inside) :], [-frame.f_code.co_firstlineno]

        def each(frame: FrameType, event: str, argument: object) -> Any:
            if event == "line":
                self.lines.add((name, frame.f_lineno))
                self.arcs.add((name, before[0], frame.f_lineno))
                before[0] = frame.f_lineno
            return each

        return each


def record(function: Any, arguments: str, inside: str, call_s: float) -> dict[str, Any]:
    """Call a function with literals and return what came of it."""
    values = ast.literal_eval(arguments)
    tracer = Tracer(inside)
    random.seed(0)
    _fence.update(up=True, touched=False)
    signal.setitimer(signal.ITIMER_REAL, call_s)
    sys.settrace(tracer)
    try:
        found = _outcome(function(*values))
    except TooLong:
        found = {"status": "skip", "text": f"longer than {call_s:g} s"}
    except BaseException as error:  # noqa: BLE001 - whatever the project's code raises is the result
        found = _raised(error, tracer.inside)
    finally:
        sys.settrace(None)
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        _fence["up"] = False
    if _fence["touched"]:
        found = {"status": "skip", "text": "it reaches out of the sandbox"}
    return found | {"lines": sorted(tracer.lines), "arcs": sorted(tracer.arcs)}


def _outcome(value: Any) -> dict[str, Any]:
    """Return a value as text, if the text stands for the whole of it; an iterator is run through."""
    status = "value"
    if isinstance(value, Iterator):
        value, status = list(itertools.islice(value, _MOST_ITEMS)), "items"
        if len(value) == _MOST_ITEMS:
            return {"status": "skip", "text": "an iterator that does not end"}
    text = repr(value)
    try:
        same = len(text) <= _MOST_TEXT and ast.literal_eval(text) == value and type(ast.literal_eval(text)) is type(value)
    except (ValueError, SyntaxError, RecursionError, MemoryError, TypeError):
        same = False
    return {"status": status if same else "skip", "text": text if same else f"a {type(value).__name__}"}


def _raised(error: BaseException, inside: str) -> dict[str, Any]:
    """Tell an error that the project raises by itself ("raises") from one that happened to it ("crash")."""
    last = traceback.extract_tb(error.__traceback__)[-1:]
    own = [each for each in last if os.path.realpath(each.filename).startswith(inside)]
    on_purpose = any((each.line or "").strip().startswith(("raise", "assert")) for each in own)
    kind = type(error)
    status = "raises" if on_purpose and isinstance(error, Exception) else "crash"
    where = [
        each for each in traceback.extract_tb(error.__traceback__) if os.path.realpath(each.filename).startswith(inside)
    ]
    line = (where[-1].lineno or 0) if where else 0
    file = os.path.realpath(where[-1].filename)[len(inside) :] if where else ""
    return {"status": status, "text": kind.__qualname__, "origin": kind.__module__, "at": [file, line]}


def _too_long(number: int, frame: FrameType | None) -> None:
    raise TooLong


def _run(job: dict[str, Any], out: TextIO) -> None:
    module = importlib.import_module(job["module"])
    for index, (name, arguments) in enumerate(job["calls"]):
        function = getattr(module, name, None)
        found = record(function, arguments, job["inside"], job["call_s"])
        out.write(json.dumps({"i": index} | found) + "\n")


def pytest_configure(config: Any) -> None:
    """Take part in a pytest session."""
    config.pluginmanager.register(_Fence(), "steersman-fence")
    files = [Path(each.split("::")[0]) for each in config.args]
    if any(each.is_file() and "from hypothesis" in each.read_text(encoding="utf-8") for each in files):
        _no_shrinking()
    sys.addaudithook(_hook)


def _no_shrinking() -> None:
    """Let Hypothesis stop at the first failure: a test that fails is dropped, nobody reads its example."""
    hypothesis = importlib.import_module("hypothesis")
    phases = (hypothesis.Phase.explicit, hypothesis.Phase.generate)
    hypothesis.settings.register_profile("steersman", phases=phases)
    hypothesis.settings.load_profile("steersman")


class _Fence:
    """Puts the fence up while a test is called, and not while pytest itself works."""

    def pytest_runtest_call(self, item: Any) -> Any:
        """Run the test inside the fence."""
        _fence["up"] = True

    def pytest_runtest_teardown(self, item: Any) -> Any:
        """Take the fence down."""
        _fence["up"] = False


def main() -> None:
    """Do the job of a file."""
    job = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    sys.addaudithook(_hook)
    signal.signal(signal.SIGALRM, _too_long)
    with open(job["out"], "w", buffering=1, encoding="utf-8") as out:
        _run(job, out)
    os._exit(0)  # threads that the project's code left behind may not hold the process


if __name__ == "__main__":
    main()

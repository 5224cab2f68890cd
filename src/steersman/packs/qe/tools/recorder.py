"""Calls functions of a project in the project's own interpreter and writes down what they did; with a fence around them.

It stands alone (standard library only) because that interpreter may not have Steersman: a copy of it lies in the sandbox's
scratch folder as `steersman_recorder`. As a script it takes the path of a JSON job:

    module, inside  what to import, and the folder of the project       calls   [setup, steps, text, imports] of a `Call`
    call_s          limit of one call in seconds                         out     where results go, one JSON object a line

A result: i (index of the call), and what `Recorded` has.
As a pytest plugin it puts the same fence around each test: nothing outside the scratch folder is written, no process is
started, no network is used. The fence is an audit hook (PEP 578): it stops accidents, not an attacker.
"""

import ast
import contextlib
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
_PAIRS = ("os.rename", "os.link", "os.symlink")
"""Of these, two paths have to be inside."""
_NEVER = ("os.system", "os.exec", "os.posix_spawn", "os.spawn", "os.fork", "os.forkpty", "os.kill", "os.killpg", "pty.spawn")
_NEVER_LIKE = ("subprocess.", "socket.", "shutil.", "webbrowser.", "ctypes.", "sqlite3.", "urllib.", "ftplib.", "smtplib.")
_MOST_ITEMS = 50
_MOST_ATTRIBUTES = 4
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
        return not all(map(_inside, arguments[: 2 if event in _PAIRS else 1]))
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


def record(call: tuple[str, list[str], str, list[list[str]]], inside: str, call_s: float) -> dict[str, Any]:
    """Build an object, do some steps with it, make a call and return what came of that."""
    tracer = Tracer(inside)
    random.seed(0)
    _fence.update(up=True, touched=False)
    signal.setitimer(signal.ITIMER_REAL, call_s)
    sys.settrace(tracer)
    try:
        found = _done(*call, tracer)
    except TooLong:
        found = {"status": "skip", "text": f"longer than {call_s:g} s"}
    except BaseException as error:  # noqa: BLE001 - whatever the project's code raises is the result
        found = _raised(error, tracer.inside)
    finally:
        sys.settrace(None)
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        _fence["up"] = False
    if _fence["touched"] or tracer.inside in found["text"]:
        found = {"status": "skip", "text": "it reaches out of the sandbox"}
    return found | {"lines": sorted(tracer.lines), "arcs": sorted(tracer.arcs)}


def _done(setup: str, steps: list[str], text: str, needs: list[list[str]], tracer: Tracer) -> dict[str, Any]:
    names = written().namespace([tuple(each) for each in needs])
    try:
        if setup:
            names["_it_"] = eval(setup, names)  # noqa: S307 - running the project's code is what this is for
        for each in steps:
            exec(each, names)  # noqa: S102
        before = _views(names) if setup else {}
        tracer.lines.clear()  # what only comes before is not what a test checks
        tracer.arcs.clear()
    except Exception:  # noqa: BLE001 - what comes before the call is not what is asked about
        return {"status": "skip", "text": "there is no such object"}
    is_statement = not isinstance(ast.parse(text).body[0], ast.Expr)
    run: Any = exec if is_statement else eval
    result = run(text, names)
    if result is None and setup:
        after = _views(names)
        changed = {view: each for view, each in after.items() if each != before.get(view)}
        if changed:
            return _joined(changed)
    if is_statement:
        return {"status": "skip", "text": "a statement that changes nothing"}
    found = _outcome(result)
    if found["status"] == "skip" and not setup and not callable(result):
        views = _views({**names, "_it_": result})
        found = _joined(views) if views else found
    return found


def _joined(views: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Return the first view as a result; attributes, of which each shows little, together."""
    first = next(iter(views))
    attributes = [each for each in views if each.startswith("_it_.")][:_MOST_ATTRIBUTES]
    if first not in attributes or len(attributes) < 2:
        return views[first] | {"view": first}
    needs = {tuple(need) for each in attributes for need in views[each]["needs"]}
    text = f"({', '.join(views[each]['text'] for each in attributes)})"
    return {"status": "value", "text": text, "needs": sorted(needs), "form": "{}", "view": f"({', '.join(attributes)})"}


def _views(names: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Return how an object looks from the outside: as a whole, its items, its length, its public attributes."""
    it, tracer = names["_it_"], sys.gettrace()
    sys.settrace(None)
    views = ["_it_"]
    if hasattr(type(it), "keys") and hasattr(type(it), "__getitem__"):
        views.append("dict(_it_)")
    elif hasattr(type(it), "__iter__") and not isinstance(it, Iterator):
        views.append("list(_it_)")
    views += ["len(_it_)"] if hasattr(type(it), "__len__") else []
    views += [f"_it_.{each}" for each in getattr(it, "__dict__", {}) if not each.startswith("_")]
    found = {}
    for view in views:
        with contextlib.suppress(Exception):
            looked = _outcome(eval(view, names))  # noqa: S307
            if looked["status"] == "value" and looked["form"] == "{}":
                found[view] = looked
    sys.settrace(tracer)
    return found


def written() -> Any:
    """Return the module that writes values, which lies beside this one."""
    return importlib.import_module("steersman_written")


def _outcome(value: Any) -> dict[str, Any]:
    """Return a value as an expression that equals it; an iterator is run through; an object is taken by its text."""
    form, tools = "{}", written()
    if isinstance(value, Iterator):
        value, form = list(itertools.islice(value, _MOST_ITEMS)), "list({})"
        if len(value) == _MOST_ITEMS:
            return {"status": "skip", "text": "an iterator that does not end"}
    found = tools.Writer().write(value, same=tools.equal)
    for other in (list, dict, repr) if found is None and form == "{}" else ():
        if _is_of(other.__name__, value):
            form, found = f"{other.__name__}({{}})", tools.Writer().write(other(value), same=tools.equal)
        if found is not None:
            break
    if found is None:
        return {"status": "skip", "text": f"a {type(value).__name__}", "callable": callable(value)}
    return {"status": "value", "text": found[0], "needs": sorted(found[1]), "form": form}


def _is_of(kind: str, value: Any) -> bool:
    """Return whether a value can be looked at as a list, a dict or by its own text."""
    own: Any = type(value)
    if kind == "repr":
        return " at 0x" not in repr(value) and not callable(value)
    if kind == "dict":
        return hasattr(own, "keys") and hasattr(own, "__getitem__")
    return hasattr(own, "__iter__") and hasattr(own, "__len__") and not hasattr(own, "keys")


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
    written()  # before the fence is up: an import may write byte code
    importlib.import_module(job["module"])
    for index, call in enumerate(job["calls"]):
        found = record(call, job["inside"], job["call_s"])
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

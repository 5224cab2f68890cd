"""Starts pytest again and again in the project's own interpreter, which loads it once and forks for each run.

It stands alone (standard library and pytest only), as the probe does. Nothing of the project is loaded before a fork, so
each run is as fresh as one in a process of its own; it only begins sooner, by the time that pytest takes to be imported.

Requests come on stdin and answers go to stdout, one JSON object a line:

    answer   {"ready": ""}                                        once, at the beginning; or why it cannot be done
    request  {"module": ["pytest", "-q"], "env": {}, "log": ""}   a module with its arguments, its whole environment, and
                                                                  the file for what it prints
    answer   {"pid": 1}                                           once it leads a session of its own
    answer   {"status": 0, "cpu_s": 0.1, "peak_mb": 40.0}         once it has ended: of it and of what it waited for

It ends with its stdin.
"""

import contextlib
import gc
import importlib
import json
import os
import runpy
import sys
from pathlib import Path
from typing import Any


def main() -> None:
    """Serve until there are no more requests; a fork returns from here as pytest ends."""
    requests, answers = os.fdopen(os.dup(0), "rb", buffering=0), os.dup(1)
    with open(os.devnull, "r+b") as nothing:
        os.dup2(nothing.fileno(), 0)
        os.dup2(nothing.fileno(), 1)
    why = _load()
    _answer(answers, {"ready": why})
    if why:
        return
    gc.collect()
    gc.freeze()  # a fork does not look again through what was there before it
    for line in iter(requests.readline, b""):
        request = json.loads(line)
        pid = os.fork()
        if not pid:
            requests.close()
            _become(request, answers)
            return
        _, status, usage = os.wait4(pid, 0)
        cpu_s, peak_mb = usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024
        _answer(answers, {"status": status, "cpu_s": cpu_s, "peak_mb": peak_mb})


def _load() -> str:
    """Import pytest; return why that must not be used, if so."""
    if not hasattr(os, "fork"):
        return "this system cannot fork"
    from _pytest import config

    for name in getattr(config, "default_plugins", ()):
        with contextlib.suppress(ImportError):
            importlib.import_module(f"_pytest.{name}")
    here = os.path.realpath(os.getcwd()) + os.sep
    for each in list(sys.modules.values()):
        file = getattr(each, "__file__", None)
        if isinstance(file, str) and os.path.realpath(file).startswith(here):
            return f"{file} belongs to the project, and would be as old as this process in each of its forks"
    return ""


def _become(request: dict[str, Any], answers: int) -> None:
    """Be what `python -m` would be with this module and this environment."""
    os.setsid()
    _answer(answers, {"pid": os.getpid()})
    os.close(answers)
    with Path(request["log"]).open("wb") as log:
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
    os.environ.clear()
    os.environ.update(request["env"])
    importlib.invalidate_caches()
    sys.argv = request["module"]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)


def _answer(answers: int, entry: dict[str, Any]) -> None:
    os.write(answers, json.dumps(entry).encode() + b"\n")


if __name__ == "__main__":
    main()

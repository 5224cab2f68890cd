"""Starts pytest again and again in the project's own interpreter, which loads it once and forks for each run.

It stands alone (standard library and pytest only), as the probe does. Nothing of the project is loaded before a fork, so a
run sees what it would see in a process of its own, but that its garbage collector does not look through pytest itself; it
only begins sooner, by the time that pytest takes to be imported.

    python -m steersman_forks ANSWERS

Requests come on stdin, answers go to the file descriptor ANSWERS, one JSON object a line:

    answer   {"ready": ""}                                        once, at the beginning; or why it cannot be done
    request  {"module": ["pytest", "-q"], "env": {}, "log": ""}   a module with its arguments, its whole environment, and
                                                                  the file for what it prints
    answer   {"pid": 1}                                           once it is about to run, in a session of its own
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
import threading
from pathlib import Path
from typing import Any

_THREADS = "/proc/self/task"


def main() -> None:
    """Serve until there are no more requests; a fork returns from here as its module ends."""
    answers = int(sys.argv[1])
    os.set_inheritable(answers, False)
    requests = os.fdopen(os.dup(0), "rb", buffering=0)
    with open(os.devnull, "rb") as nothing:
        os.dup2(nothing.fileno(), 0)
    why = _load()
    _tell(answers, {"ready": why})
    if why:
        return
    gc.freeze()  # to look through what all forks share would copy it for each of them
    for line in iter(requests.readline, b""):
        pid = os.fork()
        if not pid:
            requests.close()
            _become(json.loads(line), answers)
            return
        _, status, usage = os.wait4(pid, 0)
        cpu_s, peak_mb = usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024
        _tell(answers, {"status": status, "cpu_s": cpu_s, "peak_mb": peak_mb})


def _load() -> str:
    """Import pytest; return why there must be no forks, if so."""
    if not hasattr(os, "fork") or sys.platform == "darwin":  # where libraries of the system break in a fork
        return "this system cannot fork safely"
    from _pytest import config

    for name in getattr(config, "default_plugins", ()):
        with contextlib.suppress(ImportError):
            importlib.import_module(f"_pytest.{name}")
    here = os.path.realpath(os.getcwd()) + os.sep
    for each in list(sys.modules.values()):
        file = getattr(each, "__file__", None)
        if isinstance(file, str) and os.path.realpath(file).startswith(here):
            return f"{file} belongs to the project, and would be as old as this process in each of its forks"
    if threading.active_count() > 1 or (os.path.isdir(_THREADS) and len(os.listdir(_THREADS)) > 1):
        return "a thread runs already, and may hold a lock that a fork waits for"
    return ""


def _become(request: dict[str, Any], answers: int) -> None:
    """Be what `python -m` would be with this module and this environment."""
    os.setsid()
    with Path(request["log"]).open("wb") as log:
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
    os.environ.clear()
    os.environ.update(request["env"])
    importlib.invalidate_caches()
    _tell(answers, {"pid": os.getpid()})
    os.close(answers)
    sys.argv = request["module"]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)


def _tell(answers: int, entry: dict[str, Any]) -> None:
    os.write(answers, json.dumps(entry).encode() + b"\n")


if __name__ == "__main__":
    main()

"""Runs of pytest that are forked off an interpreter which has loaded it, for what is run many times over.

A start of pytest takes about half a second of CPU, which is most of what a short suite takes. `forks.py` is the other end.
"""

import contextlib
import json
import os
import select
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from steersman.packs.qe.project.process import (
    MARK,
    Finished,
    bears,
    end_strays,
    kill_group,
    limit_memory,
    new_mark,
    tail,
    wait,
)

_LOAD_S = 60.0
_ANSWER_S = 10.0


_AT_START = ("PYTHON", "LC_", "LANG", "TZ", "LD_", "DYLD_", "MALLOC_", "GLIBC_")
"""How the names of variables begin that an interpreter, or the system for it, reads once."""


class _Gone(Exception):
    """The other end cannot be used: it has ended, says so, or says nothing."""


class WarmStart:
    """Starts pytest in a folder by forks; where that cannot be done it says so, and the caller starts a process.

    interpreter: the project's. root: where runs work. scratch: a folder for what it needs, on the runs' path of imports.
    """

    def __init__(self, interpreter: str, root: Path, scratch: Path) -> None:
        self._interpreter, self._root, self._scratch = interpreter, root, scratch
        self._process: subprocess.Popen[bytes] | None = None
        self._env: Mapping[str, str] = {}
        self._mark, self._read, self._usable = new_mark(), b"", True
        self._lock = threading.Lock()  # one run at a time

    def run(
        self,
        module: Sequence[str],
        *,
        env: Mapping[str, str],
        timeout_s: float,
        log: Path,
        memory_mb: float,
        stop: Callable[[], bool],
    ) -> Finished | None:
        """Run a module with its arguments, as `run_group` runs `python -m`; None where this cannot be done.

        env: of the run; where one differs from that of the first run in what is read at a start alone, the run is left to
        the caller.
        """
        if not self._usable or not self._lock.acquire(blocking=False):
            return None
        start = time.monotonic()
        try:
            if self._process is None:
                self._begin(env)
            if _read_at_start(env) != self._env:
                return None
            mark = new_mark()
            self._ask({"module": [*module], "env": {**env, MARK: mark}, "log": str(log)})
            pid = self._answered(_ANSWER_S)["pid"]
            limit_memory(pid, memory_mb)
            said, timed_out = self._waited(pid, mark, start + timeout_s, stop)
            return Finished(
                exit_code=os.waitstatus_to_exitcode(said["status"]),
                wall_s=time.monotonic() - start,
                cpu_s=said["cpu_s"],
                peak_mb=said["peak_mb"],
                timed_out=timed_out,
                tail=tail(log),
            )
        except _Gone:
            self.close()
            return None
        except BaseException:  # what it was about to answer is not the answer to the next request
            self.close()
            raise
        finally:
            self._lock.release()

    def close(self) -> None:
        """End it, with all that runs."""
        self._usable = False
        if self._process is not None:
            kill_group(self._process.pid)
            for pipe in (self._process.stdin, self._process.stdout):
                if pipe is not None:
                    pipe.close()
            self._process.wait()
            end_strays(lambda place: bears(place, self._mark))

    def _begin(self, env: Mapping[str, str]) -> None:
        shutil.copyfile(Path(__file__).with_name("forks.py"), self._scratch / "steersman_forks.py")
        with (self._scratch / "forks.log").open("wb") as log:
            try:
                self._process = subprocess.Popen(
                    [self._interpreter, "-m", "steersman_forks"],
                    cwd=self._root,
                    env={**env, MARK: self._mark},
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=log,
                    start_new_session=True,
                    bufsize=0,
                )
            except OSError as error:
                raise _Gone from error
        self._env = _read_at_start(env)
        if self._answered(_LOAD_S)["ready"]:
            raise _Gone

    def _waited(self, pid: int, mark: str, deadline: float, stop: Callable[[], bool]) -> tuple[dict[str, Any], bool]:
        """Return what is said of a run at its end, and whether it was ended from here; nothing of it is left."""
        try:
            said = wait(self._answer, deadline, stop)
            if said is not None:
                return said, False
            kill_group(pid)
            return self._answered(_ANSWER_S), True
        finally:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(pid, signal.SIGKILL)
            end_strays(lambda place: bears(place, mark) or (bears(place, self._mark) and not self._is_me(place)))

    def _is_me(self, place: Path) -> bool:
        return self._process is not None and place.name == str(self._process.pid)

    def _ask(self, request: Mapping[str, Any]) -> None:
        if self._process is None or self._process.stdin is None:
            raise _Gone
        try:
            self._process.stdin.write(json.dumps(request).encode() + b"\n")
        except OSError as error:
            raise _Gone from error

    def _answered(self, within_s: float) -> dict[str, Any]:
        """Return the next answer. Raises _Gone where there is none in time."""
        said = wait(self._answer, time.monotonic() + within_s, None)
        if said is None:
            raise _Gone
        return said

    def _answer(self) -> dict[str, Any] | None:
        """Return an answer if there is one. Raises _Gone where there will be none any more."""
        if self._process is None or self._process.stdout is None:
            raise _Gone
        if b"\n" not in self._read and select.select([self._process.stdout], [], [], 0.0)[0]:
            more = os.read(self._process.stdout.fileno(), 65_536)
            if not more:
                raise _Gone
            self._read += more
        line, found, rest = self._read.partition(b"\n")
        if not found:
            return None
        self._read = rest
        return dict(json.loads(line))


def _read_at_start(env: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in env.items() if name.startswith(_AT_START)}

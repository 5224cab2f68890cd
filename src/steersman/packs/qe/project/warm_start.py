"""Runs of pytest that are forked off an interpreter which has loaded it, for what is run many times over.

A start of pytest takes about half a second of CPU, which is most of what a short suite takes. `forks.py` is the other end.
"""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from steersman.core.errors import SteersmanError
from steersman.packs.qe.project.process import Finished, limit_memory, tail, wait
from steersman.packs.qe.project.strays import MARK, bears, end_strays, kill_group, new_mark

FORKS = Path(__file__).with_name("forks.py")
"""The program of the leader."""
_LOAD_S = 60.0
_ANSWER_S = 10.0
_AT_START = ("PYTHON", "LC_", "LANG", "TZ", "LD_", "DYLD_", "MALLOC_", "GLIBC_")
"""How the names of variables begin that an interpreter, or the system for it, reads once."""


class _Gone(SteersmanError):
    """The leader, which forks, cannot be used: it has ended, says why, or says nothing."""


class WarmStart:
    """Starts pytest in a folder by forks; where that cannot be done it says so, and the caller starts a process.

    interpreter: the project's. root: where runs work. scratch: a folder for what it needs, on the runs' path of imports.
    unusable: why it starts nothing any more; "" before the first run, and as long as it does.
    """

    def __init__(self, interpreter: str, root: Path, scratch: Path) -> None:
        self._interpreter, self._root, self._scratch = interpreter, root, scratch
        self._leader: subprocess.Popen[bytes] | None = None
        self._answers, self._heard = -1, b""
        self._env: Mapping[str, str] = {}
        self._mark = new_mark()
        self._lock = threading.Lock()  # one run at a time
        self.unusable = ""

    def ready(self, env: Mapping[str, str], timeout_s: float, stop: Callable[[], bool]) -> bool:
        """Load pytest if that was not done; return whether a run with this environment can be forked.

        It cannot where one variable that is read at a start alone is not as it was when pytest was loaded.
        """
        with self._one_at_a_time() as mine:
            if mine and self._leader is None and not self.unusable:
                self._begin(env, time.monotonic() + min(timeout_s, _LOAD_S), stop)
        return self._leader is not None and _read_at_start(env) == self._env

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
        """Run a module with its arguments, as `run_group` runs `python -m`, once it is ready; None where it cannot."""
        with self._one_at_a_time() as mine:
            if mine and self._leader is not None:
                log.write_bytes(b"")
                return self._forked({"module": [*module], "env": env, "log": str(log)}, timeout_s, memory_mb, stop)
        return None

    @contextlib.contextmanager
    def _one_at_a_time(self) -> Iterator[bool]:
        """Yield whether nobody else is at work; what goes wrong with the leader ends it, and is no error."""
        if not self._lock.acquire(blocking=False):
            yield False
            return
        try:
            yield True
        except _Gone as gone:
            self._close(str(gone))
        except BaseException:  # what it was about to answer is not the answer to the next request
            self._close("a run was interrupted")
            raise
        finally:
            self._lock.release()

    def close(self) -> None:
        """End it, with all that runs."""
        self._close("it was closed")

    def _close(self, why: str) -> None:
        self.unusable = self.unusable or why
        leader, self._leader = self._leader, None  # a second time its number may be somebody else's
        if leader is not None:
            kill_group(leader.pid)
            if leader.stdin is not None:
                with contextlib.suppress(OSError):  # what it was not told before it ended
                    leader.stdin.close()
            os.close(self._answers)
            leader.wait()
            end_strays(lambda place: bears(place, self._mark))

    def _begin(self, env: Mapping[str, str], deadline: float, stop: Callable[[], bool]) -> None:
        """Start the leader, and wait until it has loaded pytest."""
        shutil.copyfile(FORKS, self._scratch / "steersman_forks.py")
        self._env = _read_at_start(env)
        self._answers, theirs = os.pipe()
        os.set_blocking(self._answers, False)
        try:
            with (self._scratch / "forks.log").open("wb") as log:
                self._leader = subprocess.Popen(
                    [self._interpreter, "-m", "steersman_forks", str(theirs)],
                    cwd=self._root,
                    env={**env, MARK: self._mark},
                    stdin=subprocess.PIPE,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                    pass_fds=[theirs],
                )
        except OSError as error:
            os.close(self._answers)
            raise _Gone(f"cannot start {self._interpreter!r}: {error}") from error
        finally:
            os.close(theirs)
        said = wait(self._answer, deadline, stop)
        why = "pytest was not loaded in time" if said is None else said.get("ready", "it does not say whether it is ready")
        if why:
            raise _Gone(why)

    def _forked(self, request: Mapping[str, Any], timeout_s: float, memory_mb: float, stop: Callable[[], bool]) -> Finished:
        """Ask for a fork and wait for its end; nothing of it is left then."""
        mark, start = new_mark(), time.monotonic()
        self._ask({**request, "env": {**request["env"], MARK: mark}})
        begun = wait(self._answer, start + _ANSWER_S, None)
        if begun is None or "pid" not in begun:
            raise _Gone("a fork did not come to its module")
        pid = begun["pid"]
        try:
            limit_memory(pid, memory_mb)
            said = ended = wait(self._answer, start + timeout_s, stop)
            if said is None:
                kill_group(pid)
                said = wait(self._answer, time.monotonic() + _ANSWER_S, None)
            wall_s = time.monotonic() - start
        finally:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(pid, signal.SIGKILL)
            end_strays(lambda place: bears(place, mark) or (bears(place, self._mark) and not self._is_leader(place)))
        if said is None:
            self._close("it does not say what became of a run that was killed")
            said = {"status": signal.SIGKILL, "cpu_s": 0.0, "peak_mb": 0.0}
        return Finished(
            exit_code=os.waitstatus_to_exitcode(said["status"]),
            wall_s=wall_s,
            cpu_s=said["cpu_s"],
            peak_mb=said["peak_mb"],
            timed_out=ended is None,
            tail=tail(Path(request["log"])),
        )

    def _is_leader(self, place: Path) -> bool:
        return self._leader is not None and place.name == str(self._leader.pid)

    def _ask(self, request: Mapping[str, Any]) -> None:
        if self._leader is None or self._leader.stdin is None:
            raise _Gone("it has ended")
        try:
            self._leader.stdin.write(json.dumps(request).encode() + b"\n")
            self._leader.stdin.flush()
        except OSError as error:
            raise _Gone(f"it takes no requests: {error}") from error

    def _answer(self) -> dict[str, Any] | None:
        """Return the next answer if it is there. Raises _Gone where there will be none any more."""
        if b"\n" not in self._heard:
            try:
                more = os.read(self._answers, 65_536)
            except BlockingIOError:
                return None
            if not more:
                raise _Gone("it has ended")
            self._heard += more
        line, found, rest = self._heard.partition(b"\n")
        if not found:
            return None
        self._heard = rest
        return dict(json.loads(line))


def _read_at_start(env: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in env.items() if name.startswith(_AT_START)}

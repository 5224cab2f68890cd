"""Run a command in a process group of its own, measure it, and end it with all that it started when its time is over."""

import contextlib
import os
import resource
import signal
import subprocess
import threading
import time
import weakref
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from steersman.core.errors import DeadlineExceeded, InvalidInput
from steersman.packs.qe.project.strays import MARK, bears, end_strays, kill_group, new_mark

T = TypeVar("T")
_POLL_S = 0.004
_ENDED: "weakref.WeakSet[threading.Thread]" = weakref.WeakSet()
"""Threads that may start no more commands."""
_TAIL = 4000


@dataclass(frozen=True, kw_only=True)
class Finished:
    """What a command did: its exit code, wall and CPU seconds (with its children), peak memory and last words."""

    exit_code: int
    wall_s: float
    cpu_s: float
    peak_mb: float
    timed_out: bool
    tail: str


def run_group(
    command: Sequence[str],
    *,
    cwd: Path,
    env: Mapping[str, str],
    timeout_s: float,
    log: Path,
    memory_mb: float = 0.0,
    stop: Callable[[], bool] | None = None,
) -> Finished:
    """Run a command in a session of its own and wait for it, at most `timeout_s` seconds.

    When the time is over, `stop` says so or the caller is interrupted, the whole group is killed. In any case all that
    descends from it ends too, and all that has its environment, which services that moved to a session of their own keep.
    `memory_mb` limits the address space of each process (0: no limit). Raises InvalidInput where the command cannot be
    started, DeadlineExceeded after `end_all`.
    """
    mark, start = new_mark(), time.monotonic()
    process = _start(command, cwd, {**env, MARK: mark}, log)
    try:
        limit_memory(process.pid, memory_mb)
        ended = wait(lambda: _ended(process.pid), start + timeout_s, stop)
        status, usage = ended or _end(process)
        process.returncode = os.waitstatus_to_exitcode(status)
        wall = time.monotonic() - start
    finally:
        with contextlib.suppress(ProcessLookupError, PermissionError, ChildProcessError):
            if process.returncode is None:
                _end(process)
            os.killpg(process.pid, signal.SIGKILL)
        end_strays(lambda place: bears(place, mark))
    return Finished(
        exit_code=process.returncode,
        wall_s=wall,
        cpu_s=usage.ru_utime + usage.ru_stime,
        peak_mb=usage.ru_maxrss / 1024,
        timed_out=ended is None,
        tail=tail(log),
    )


def tail(log: Path) -> str:
    """Return the last words of a log."""
    return log.read_bytes()[-_TAIL:].decode(errors="replace")


def wait(poll: Callable[[], T | None], deadline: float, stop: Callable[[], bool] | None) -> T | None:
    """Return what a poll returns once it is something; None at the deadline or when told to stop."""
    while True:
        if threading.current_thread() in _ENDED:
            raise DeadlineExceeded("the run was interrupted, so nothing more is started.")
        found = poll()
        if found is not None:
            return found
        if time.monotonic() > deadline or (stop is not None and stop()):
            return None
        time.sleep(_POLL_S)


def limit_memory(pid: int, memory_mb: float) -> None:
    """Limit the address space of a process (0: not), where the system can."""
    if memory_mb and hasattr(resource, "prlimit"):
        size = int(memory_mb * 1024 * 1024)
        with contextlib.suppress(OSError, ValueError):
            resource.prlimit(pid, resource.RLIMIT_AS, (size, size))


def end_all() -> None:
    """End what all other threads of this process run, and let them start nothing more: after an interrupt."""
    _ENDED.update(each for each in threading.enumerate() if each is not threading.current_thread())


def _start(command: Sequence[str], cwd: Path, env: Mapping[str, str], log: Path) -> "subprocess.Popen[bytes]":
    with log.open("wb") as output:
        try:
            return subprocess.Popen(
                command,
                cwd=cwd,
                env=env,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        except OSError as error:
            raise InvalidInput(f"cannot start {command[0]!r}: {error}. Give another interpreter with --python.") from error


def _ended(pid: int) -> tuple[int, resource.struct_rusage] | None:
    """Return the status and the resources of a child that has ended."""
    ended, status, usage = os.wait4(pid, os.WNOHANG)
    return (status, usage) if ended else None


def _end(process: "subprocess.Popen[bytes]") -> tuple[int, resource.struct_rusage]:
    kill_group(process.pid)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return status, usage

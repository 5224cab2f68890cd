"""Run a command in a process group of its own, measure it, and end it with all its children when its time is over."""

import contextlib
import os
import resource
import signal
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from steersman.core.errors import InvalidInput

_POLL_S = 0.004
_RUNNING: set[int] = set()
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
    stop: threading.Event | None = None,
) -> Finished:
    """Run a command in a session of its own and wait for it, at most `timeout_s` seconds.

    When the time is over, `stop` is set or the caller is interrupted, the whole group is killed, with every process that
    descends from it. `memory_mb` limits the address space of each process (0: no limit). Raises InvalidInput where the
    command cannot be started.
    """
    start = time.monotonic()
    with log.open("wb") as output:
        try:
            process = subprocess.Popen(
                command,
                cwd=cwd,
                env=dict(env),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        except OSError as error:
            raise InvalidInput(f"cannot start {command[0]!r}: {error}. Give another interpreter with --python.") from error
    _limit_memory(process.pid, memory_mb)
    _RUNNING.add(process.pid)
    try:
        ended = _wait(process.pid, start + timeout_s, stop)
    except BaseException:
        _end(process)
        raise
    finally:
        _RUNNING.discard(process.pid)
    timed_out = ended is None
    status, usage = _end(process) if ended is None else ended
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)  # nothing that the run left behind may linger in the sandbox
    wall = time.monotonic() - start
    process.returncode = os.waitstatus_to_exitcode(status)
    return Finished(
        exit_code=process.returncode,
        wall_s=wall,
        cpu_s=usage.ru_utime + usage.ru_stime,
        peak_mb=usage.ru_maxrss / 1024,
        timed_out=timed_out,
        tail=log.read_bytes()[-_TAIL:].decode(errors="replace"),
    )


def end_all() -> None:
    """End every command that this process runs now, with its children: after an interrupt, other threads wait for them."""
    for pid in tuple(_RUNNING):
        kill_group(pid)


def kill_group(leader: int) -> None:
    """Kill a process group and all that descends from its leader, also what moved to another group."""
    for pid in _descendants(leader):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, signal.SIGKILL)
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(leader, signal.SIGKILL)


def _wait(pid: int, deadline: float, stop: threading.Event | None) -> tuple[int, resource.struct_rusage] | None:
    """Return the status and the resources of a process once it has ended; None at the deadline or when told to stop."""
    while True:
        ended, status, usage = os.wait4(pid, os.WNOHANG)
        if ended:
            return status, usage
        if time.monotonic() > deadline or (stop is not None and stop.is_set()):
            return None
        time.sleep(_POLL_S)


def _end(process: "subprocess.Popen[bytes]") -> tuple[int, resource.struct_rusage]:
    kill_group(process.pid)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return status, usage


def _descendants(leader: int) -> list[int]:
    """Return the processes below `leader`, from /proc; none where there is no /proc."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError, ValueError, IndexError):
            fields = entry.read_text().rsplit(")", 1)[1].split()
            children.setdefault(int(fields[1]), []).append(int(entry.parent.name))
    found: list[int] = []
    queue = [leader]
    while queue:
        below = children.get(queue.pop(), [])
        found += below
        queue += below
    return found


def _limit_memory(pid: int, memory_mb: float) -> None:
    if memory_mb and hasattr(resource, "prlimit"):
        size = int(memory_mb * 1024 * 1024)
        with contextlib.suppress(OSError, ValueError):
            resource.prlimit(pid, resource.RLIMIT_AS, (size, size))

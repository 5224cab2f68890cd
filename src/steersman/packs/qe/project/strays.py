"""Find and kill what belongs to a run: its group, its descendants, and what carries its mark wherever it went."""

import contextlib
import os
import signal
import time
import uuid
from collections.abc import Callable
from pathlib import Path

MARK = "STEERSMAN_RUN"
"""The variable that tells, in the environment of a process, which run it belongs to."""
_ROUNDS, _PAUSE_S = 5, 0.004


def new_mark() -> str:
    """Return a mark for what belongs to one run."""
    return uuid.uuid4().hex


def bears(place: Path, mark: str) -> bool:
    """Return whether a process began with a mark in its environment. place: its folder in /proc."""
    return f"{MARK}={mark}".encode() in (place / "environ").read_bytes()


def kill_group(leader: int) -> None:
    """Kill a process group and all that descends from its leader, also what moved to another group."""
    for pid in _descendants(leader):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, signal.SIGKILL)
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(leader, signal.SIGKILL)


def end_strays(belongs: Callable[[Path], bool]) -> None:
    """Kill the processes whose folder in /proc a function picks, until none is left; nothing where there is no /proc."""
    for _ in range(_ROUNDS):  # one that forks meanwhile has a child to find
        found = [pid for pid in _processes() if pid != os.getpid() and _holds(belongs, pid)]
        for pid in found:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        if not found:
            return
        time.sleep(_PAUSE_S)


def _descendants(leader: int) -> list[int]:
    """Return the processes below `leader`, from /proc; none where there is no /proc."""
    children: dict[int, list[int]] = {}
    for pid in _processes():
        with contextlib.suppress(OSError, ValueError, IndexError):
            fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
            children.setdefault(int(fields[1]), []).append(pid)
    found: list[int] = []
    queue = [leader]
    while queue:
        below = children.get(queue.pop(), [])
        found += below
        queue += below
    return found


def _processes() -> list[int]:
    try:
        return [int(each) for each in os.listdir("/proc") if each.isdigit()]
    except OSError:
        return []


def _holds(belongs: Callable[[Path], bool], pid: int) -> bool:
    try:
        return belongs(Path(f"/proc/{pid}"))
    except OSError:  # it has ended, or is somebody else's
        return False

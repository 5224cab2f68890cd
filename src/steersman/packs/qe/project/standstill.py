"""When a run of pytest stands still, as the lines tell that its probe writes: a test never ends, or the run itself."""

import contextlib
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

_LOOK_S = 0.5
_LINGERS_S = 10.0


class Standstill:
    """Says whether a run stands still, each time it is called.

    It does where some test began and has not ended, its fixtures included, and nothing was written for `patience_s`
    seconds, which is for tests that no signal can cut off, also in one of several workers; or where all tests have ended
    and their process has not for ten seconds: a thread of theirs keeps it.

    `seen`: whether it ever did. out: the file that the probe writes.
    """

    def __init__(self, out: Path, patience_s: float) -> None:
        self._out, self._patience_s = out, patience_s
        self._size, self._since, self._next = 0, time.monotonic(), 0.0
        self.seen = False

    def __call__(self) -> bool:
        """Look at most twice a second."""
        now = time.monotonic()
        if now >= self._next:
            self._next = now + _LOOK_S
            self._look(now)
        return self.seen

    def _look(self, now: float) -> None:
        size = self._out.stat().st_size if self._out.exists() else 0
        if size != self._size:
            self._size, self._since = size, now
        idle = now - self._since
        if idle > min(_LINGERS_S, self._patience_s):
            allowed_s = {"end": _LINGERS_S, "begun": self._patience_s}.get(awaited(self._out))
            self.seen = allowed_s is not None and idle > allowed_s


def awaited(out: Path) -> str:
    """Return "end" where the run has ended, "begun" where a test has begun and not ended, and "" else."""
    begun = set()
    for entry in entries(out):
        if entry["outcome"] == "end":
            return "end"
        if entry["outcome"] == "begun":
            begun.add(entry["id"])
        else:
            begun.discard(entry.get("id"))
    return "begun" if begun else ""


def entries(out: Path) -> Iterator[dict[str, Any]]:
    """Yield what the probe wrote; none where there is no file."""
    for line in out.read_text(encoding="utf-8").splitlines() if out.exists() else ():
        with contextlib.suppress(ValueError):  # the last line of a run that was killed, or is being written
            yield json.loads(line)

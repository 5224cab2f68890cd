"""When a run of pytest stands still, as the lines tell that its probe writes: a test never ends, or the run itself."""

import json
import time
from pathlib import Path
from typing import Any

_LOOK_S = 0.5
_LINGERS_S = 10.0
_TAIL = 8192


class Standstill:
    """Says whether a run stands still, each time it is called.

    It does where a test began and nothing was written for `patience_s` seconds, which is for tests that no signal can cut
    off, or where all tests have ended and their process has not for ten seconds: a thread of theirs keeps it.

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
            allowed = {"end": _LINGERS_S, "begun": self._patience_s}.get(last_outcome(self._out))
            self.seen = allowed is not None and idle > allowed


def last_outcome(out: Path) -> str:
    """Return the outcome in the last whole line; "" where there is none."""
    if not out.exists():
        return ""
    with out.open("rb") as file:
        file.seek(max(0, out.stat().st_size - _TAIL))
        lines = file.read().splitlines()
    try:
        entry: dict[str, Any] = json.loads(lines[-1])
    except (ValueError, IndexError):
        return ""
    return str(entry.get("outcome", ""))

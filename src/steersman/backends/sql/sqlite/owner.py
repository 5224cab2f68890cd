"""One owner for each store: a lock file beside it, which the operating system releases when the owner dies."""

import fcntl
import os
import time
from pathlib import Path

from steersman.core.errors import Conflict, StoreError

WAIT_S = 5.0
_POLL_S = 0.02


class Owner:
    """The lock on a store. Raises Conflict if another process holds it for longer than `WAIT_S`."""

    def __init__(self, store: Path) -> None:
        self._path = store.with_name(store.name + ".lock")
        try:
            self._file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise StoreError(
                f"cannot use the store {store}: {error.strerror}. Check that its folder exists and can be written, or "
                "name another file."
            ) from error
        self.pid = os.getpid()
        try:
            self._acquire(store, time.monotonic() + WAIT_S)
        except BaseException:
            os.close(self._file)
            raise

    def _acquire(self, store: Path, deadline: float) -> None:
        while True:
            try:
                fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                if time.monotonic() > deadline:
                    holder = os.pread(self._file, 20, 0).decode(errors="replace").strip() or "unknown"
                    raise Conflict(
                        f"the store {store} is in use by process {holder}. Ask it (a service answers over HTTP), stop "
                        "it, open the store to read only (read_only=True), or name another store."
                    ) from error
                time.sleep(_POLL_S)
            else:
                os.ftruncate(self._file, 0)
                os.pwrite(self._file, f"{self.pid}\n".encode(), 0)
                return

    def release(self) -> None:
        """Let the next owner in."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

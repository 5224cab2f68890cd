"""Worker processes on one store: begun, killed, begun again, and told to stop, by files in a folder that they share.

A worker is a script of yours, called with `--worker URL FOLDER NUMBER`, that uses `Post` to say how far it is.
"""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Any, Self

from steersman.core.errors import DeadlineExceeded, StoreError

BATCH = 100
"""How many decisions a worker makes between two notes of its progress."""
_BEGIN_S = 60.0


class Crew:
    """Workers of a script on the store at a URL; `plan` is what they are told, as JSON."""

    def __init__(self, script: str, url: str, folder: Path, plan: dict[str, Any]) -> None:
        (folder / "plan.json").write_text(json.dumps(plan))
        self._script = script
        self._url = url
        self._folder = folder
        self._begun = 0
        self.at_work: list[subprocess.Popen[bytes]] = []

    def begin(self, workers: int) -> Self:
        """Start workers and return once all are ready; none goes on before."""
        self.at_work = [self._start() for _ in range(workers)]
        for number in range(workers):
            self._wait(number)
        (self._folder / "go").touch()
        return self

    def again(self, place: int) -> str:
        """Kill a worker (SIGKILL), start another in its place, and return the other's name once it is ready."""
        self.at_work[place].kill()
        self.at_work[place].wait()
        self.at_work[place] = self._start()
        self._wait(self._begun - 1)
        return f"worker-{self._begun - 1}"

    def reach(self, decisions: int) -> None:
        """Return once all together, those that were killed included, have made so many decisions."""
        while sum(each.stat().st_size - 1 for each in self._folder.glob("progress-*")) * BATCH < decisions:
            self._check()
            time.sleep(0.02)

    def finish(self, *, stop: bool = True) -> None:
        """Wait until all have ended: because they are told to stop, or by themselves."""
        if stop:
            (self._folder / "stop").touch()
        for each in self.at_work:
            each.wait()
        self._check()

    def noted(self) -> set[str]:
        """Return what workers noted, killed ones included."""
        return {line for each in self._folder.glob("notes-*") for line in each.read_text().splitlines()}

    def end(self) -> None:
        """Leave nobody behind."""
        for each in self.at_work:
            each.kill()
            each.wait()

    def _start(self) -> "subprocess.Popen[bytes]":
        number, self._begun = self._begun, self._begun + 1
        return subprocess.Popen([sys.executable, self._script, "--worker", self._url, str(self._folder), str(number)])

    def _wait(self, number: int) -> None:
        progress = self._folder / f"progress-{number}"
        deadline = time.monotonic() + _BEGIN_S
        while not progress.exists() or not progress.stat().st_size:
            self._check()
            if time.monotonic() > deadline:
                raise DeadlineExceeded(f"worker {number} was not ready within {_BEGIN_S:g} s. See what it wrote to stderr.")
            time.sleep(0.01)

    def _check(self) -> None:
        """Raise StoreError where a worker failed."""
        failed = [each.returncode for each in self.at_work if each.poll()]
        if failed:
            raise StoreError(f"a worker failed with exit code {failed[0]}. See what it wrote to stderr.")


@contextmanager
def crew(script: str, url: str, workers: int, plan: dict[str, Any]) -> Iterator[Crew]:
    """Give workers that are at work, and end them afterwards. Raises StoreError or DeadlineExceeded where one fails."""
    with TemporaryDirectory() as folder:
        hands = Crew(script, url, Path(folder), plan)
        try:
            yield hands.begin(workers)
        finally:
            hands.end()


class Post:
    """A worker's place: its plan and name, what it says, and whether it is told to stop.

    What is said is written at once, without a buffer: it survives the worker.
    """

    def __init__(self, folder: str, number: str) -> None:
        self._folder = Path(folder)
        self.number = int(number)
        self.name = f"worker-{number}"
        self.plan: dict[str, Any] = json.loads((self._folder / "plan.json").read_text())
        self._files = ExitStack()
        self._progress, self._notes = (
            self._files.enter_context((self._folder / f"{kind}-{number}").open("ab", buffering=0))
            for kind in ("progress", "notes")
        )

    def ready(self) -> None:
        """Say that this worker is ready, and wait for all others."""
        self.batch_done()
        while not (self._folder / "go").exists():
            time.sleep(0.002)

    def batch_done(self) -> None:
        """Say that another `BATCH` decisions are made."""
        self._progress.write(b".")

    def note(self, line: str) -> None:
        """Write a line."""
        self._notes.write(line.encode() + b"\n")

    @property
    def stopped(self) -> bool:
        """Whether this worker is told to stop."""
        return (self._folder / "stop").exists()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._files.close()

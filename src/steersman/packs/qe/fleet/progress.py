"""Progress of a run in which agents tell of their own work, so that only the run itself has phases, or which is silent."""

import threading

from steersman.core.ports import Progress


class Watched:
    """Progress that several threads may tell of at a time."""

    def __init__(self, progress: Progress) -> None:
        self._progress, self._lock = progress, threading.Lock()

    def phase(self, title: str, total: int | None = None) -> None:
        """Say it as a note: only the run itself has phases."""
        self.note(title)

    def step(self, text: str, amount: int = 1) -> None:
        """Say it as a note: only the run itself has steps."""
        self.note(text)

    def note(self, text: str) -> None:
        """Tell of something in passing."""
        with self._lock:
            self._progress.note(text)

    def begin(self, title: str, total: int) -> None:
        """Begin a phase of the run."""
        with self._lock:
            self._progress.phase(title, total)

    def done(self, text: str) -> None:
        """Tell of a step of the run that is done."""
        with self._lock:
            self._progress.step(text)

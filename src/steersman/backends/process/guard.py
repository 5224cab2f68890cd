"""A guard in a process of its own: it is asked over a pipe, and killed when it does not answer by its deadline."""

import atexit
import threading
from dataclasses import replace
from multiprocessing import get_context
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess

from steersman.core.errors import DeadlineExceeded, StoreError
from steersman.core.guards import Guard, Refusal
from steersman.core.state import StateValues

_START_S = 30.0


def isolate(guard: Guard) -> Guard:
    """Return a guard that asks `guard` in another process, started now.

    While the process is missing (killed at a deadline, and being started again in the background) it raises, and so
    denies. The deadline of the returned guard leaves a millisecond for the way there and back.
    """
    worker = _Worker(guard)
    return replace(guard, refuse=worker.refuse, blocking=False, deadline_ms=guard.deadline_ms + 1.0)


def _serve(guard: Guard, pipe: Connection) -> None:
    pipe.send("ready")
    while True:
        try:
            state = pipe.recv()
        except EOFError:
            return
        try:
            answer: list[Refusal] | str = list(guard.refuse(state))
        except Exception as error:  # noqa: BLE001 - sent to the asking side, which denies
            answer = f"{type(error).__name__}: {error}"
        pipe.send(answer)


class _Worker:
    """One process, and one caller at a time."""

    def __init__(self, guard: Guard) -> None:
        self._guard = guard
        self._lock = threading.Lock()
        self._process: BaseProcess | None = None
        self._pipe: Connection | None = None
        self._starting = False
        self._start()
        atexit.register(self._stop)

    def refuse(self, state: StateValues) -> list[Refusal]:
        """Return the guard's answer. Raises DeadlineExceeded when it is late or its process is missing."""
        deadline_s = self._guard.deadline_ms / 1000
        if not self._lock.acquire(timeout=deadline_s):
            raise DeadlineExceeded(f"guard {self._guard.name} is still busy with another decision.")
        try:
            if self._pipe is None:
                if not self._starting:
                    self._restart()  # the last attempt failed
                raise DeadlineExceeded(f"guard {self._guard.name} is being started again.")
            self._pipe.send(dict(state))
            if not self._pipe.poll(deadline_s):
                self._restart()
                raise DeadlineExceeded(f"guard {self._guard.name} did not answer in {self._guard.deadline_ms:g} ms.")
            answer = self._pipe.recv()
        except (EOFError, OSError) as error:
            self._restart()
            raise DeadlineExceeded(f"the process of guard {self._guard.name} ended.") from error
        finally:
            self._lock.release()
        if isinstance(answer, str):
            raise StoreError(answer)
        return list(answer)

    def _restart(self) -> None:
        """Let go of the process at once; kill it and start another in the background, so that nobody waits for that."""
        process, pipe, self._process, self._pipe = self._process, self._pipe, None, None
        self._starting = True
        name = f"guard-{self._guard.name}"
        threading.Thread(target=self._replace, args=(process, pipe), daemon=True, name=name).start()

    def _replace(self, process: BaseProcess | None, pipe: Connection | None) -> None:
        try:
            _end(process, pipe)
            self._start()
        except (EOFError, OSError, RuntimeError):
            return  # it died while it started, or the interpreter is ending; the next decision tries again
        finally:
            self._starting = False

    def _start(self) -> None:
        context = get_context("spawn")
        here, there = context.Pipe()
        process = context.Process(target=_serve, args=(self._guard, there), daemon=True, name=self._guard.name)
        process.start()
        there.close()
        if here.poll(_START_S) and here.recv() == "ready":
            self._process, self._pipe = process, here

    def _stop(self) -> None:
        _end(self._process, self._pipe)
        self._process = self._pipe = None


def _end(process: BaseProcess | None, pipe: Connection | None) -> None:
    if process is not None:
        process.kill()
        process.join(_START_S)
    if pipe is not None:
        pipe.close()

"""Workers as processes of this machine, by the standard library."""

import os
from concurrent.futures import Future, ThreadPoolExecutor
from multiprocessing import get_context, parent_process
from multiprocessing.connection import Connection
from threading import Lock, Thread
from typing import Any

from steersman.core.compute import Compute, Host, Worker
from steersman.core.errors import InvalidInput

_SPAWN = get_context("spawn")
"""A fork would copy a process in which JAX may hold locks in other threads."""


class LocalCompute(Compute):
    """Processes of this machine. slots: the CPUs that this process may use, unless given."""

    def __init__(self, slots: int | None = None) -> None:
        super().__init__()
        self.slots = _cpus() if slots is None else slots
        if self.slots < 1:
            raise InvalidInput(f"compute: slots must be at least 1, got {slots}.")

    def begin(self, made: bytes, name: str, share: float, *, accelerator: bool) -> Worker:
        """Start a process; it shares the CPUs and GPUs of the machine with the others."""
        return _LocalWorker(name, made)


class _LocalWorker(Worker):
    """A process, a pipe to it, and a thread that waits for its answers."""

    def __init__(self, name: str, made: bytes) -> None:
        super().__init__(name)
        self._pipe, there = _SPAWN.Pipe()
        self._process = _SPAWN.Process(target=_serve, args=(made, there), daemon=True, name=name)
        self._process.start()
        there.close()
        self._stopped, self._stopping = False, Lock()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=name)

    @property
    def pid(self) -> int:
        return self._process.pid or 0

    def send(self, request: bytes) -> Future[Any]:
        if self._stopped:
            return self.failed("it was stopped")
        return self._thread.submit(self._exchange, request)

    def stop(self) -> None:
        with self._stopping:  # a pipe that two threads close at once is a bad descriptor for one of them
            self._stopped = True
            self._process.kill()
            self._process.join()
            self._thread.shutdown()
            self._pipe.close()

    def _exchange(self, request: bytes) -> Any:
        try:
            self._pipe.send_bytes(request)
            answer = self._pipe.recv_bytes()
        except (EOFError, OSError) as error:
            raise self.lost(self._why()) from error
        return self.opened(answer)

    def _why(self) -> str:
        if self._stopped:
            return "it was stopped"
        self._process.join(1.0)
        code = self._process.exitcode
        return f"its process {self._process.pid} ended with {code} (negative: the signal that killed it)"


def _cpus() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _serve(made: bytes, pipe: Connection) -> None:
    """Answer until the other side is gone."""
    Thread(target=_end_with_parent, daemon=True).start()
    host = Host(made)
    try:
        while True:
            pipe.send_bytes(host.answer(pipe.recv_bytes()))
    except (EOFError, OSError, KeyboardInterrupt):
        return


def _end_with_parent() -> None:
    """End this process once its parent has, whatever it does then; the pipe would tell it only after its answer."""
    if parent := parent_process():
        parent.join()
        os._exit(1)

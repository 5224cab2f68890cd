"""Workers: several processes that answer on one socket, started anew where one dies."""

import contextlib
import logging
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from steersman.app.telemetry import forget_metrics, share_metrics
from steersman.core.errors import StoreError
from steersman.service.serve import SECRET, Options

_log = logging.getLogger("steersman.service")

READY = b"r"
_START_S = 60.0
_POLL_S = 0.1
_FIRST_PAUSE_S = 0.5
_LONGEST_PAUSE_S = 30.0
_STEADY_S = 60.0
_MORE_THAN_GRACE_S = 15.0


class Task(msgspec.Struct, frozen=True, kw_only=True):
    """What a worker is told: the options of all, and under which numbers it finds socket and pipe."""

    options: Options
    listener: int
    ready: int


@dataclass(kw_only=True)
class Worker:
    """One process, and when it is started again if it has died."""

    process: "subprocess.Popen[bytes] | None" = None
    ready: int = -1
    started_at: float = 0.0
    pause_s: float = _FIRST_PAUSE_S
    again_at: float = field(default=0.0)


class Supervisor:
    """Keeps workers running until it is told to stop. A worker that loses its supervisor stops by itself."""

    def __init__(self, options: Options, listener: socket.socket) -> None:
        self._options = options
        self._listener = listener
        self._grace_s = options.limits.grace_s
        self._stopping = False
        self._workers = [Worker() for _ in range(options.workers)]
        self._metrics = Path(tempfile.mkdtemp(prefix="steersman-metrics-"))
        self._environment = {**os.environ, **share_metrics(self._metrics)}
        self._environment.setdefault(SECRET, os.urandom(32).hex())  # a session holds with whichever worker

    def run(self, ready: Callable[[], None]) -> int:
        """Run until SIGTERM or SIGINT; return 0, or the exit code of a worker that could not begin.

        ready: called once all workers answer.
        """
        kept = {each: signal.signal(each, self._stop) for each in (signal.SIGTERM, signal.SIGINT)}
        try:
            code = self._begin()
            if not code and not self._stopping:
                ready()
            while not code and not self._stopping:
                self._look_after()
                time.sleep(_POLL_S)
            return code
        finally:
            self._end()
            for each, handler in kept.items():
                signal.signal(each, handler)

    def _stop(self, *_: object) -> None:
        self._stopping = True

    def _begin(self) -> int:
        """Start all workers and wait until they answer; return the exit code of the first that ends instead."""
        for each in self._workers:
            self._start(each)
        deadline = time.monotonic() + _START_S
        for each in self._workers:
            while not self._stopping and not self._answers(each):
                code = each.process.poll() if each.process else 1
                if code is not None:
                    return code or 1
                if time.monotonic() > deadline:
                    raise StoreError(f"a worker has not begun after {_START_S:g} s. Look at what it wrote above.")
        return 0

    def _answers(self, worker: Worker) -> bool:
        return _has_come(worker.ready, _POLL_S)

    def _start(self, worker: Worker) -> None:
        read, write = os.pipe()
        listener = self._listener.fileno()
        task = Task(options=self._options, listener=listener, ready=write)
        if worker.ready >= 0:
            os.close(worker.ready)
            worker.ready = -1
        try:
            worker.process = subprocess.Popen(
                [sys.executable, "-m", "steersman.cli.worker"],
                stdin=subprocess.PIPE,  # ends with this process, and the worker with it
                pass_fds=(listener, write),
                env=self._environment,
            )
            worker.process.stdin.write(msgspec.json.encode(task) + b"\n")  # type: ignore[union-attr]  # a store's URL may hold a password
            worker.process.stdin.flush()  # type: ignore[union-attr]  # it is a pipe
        except OSError:
            os.close(read)
            raise
        finally:
            os.close(write)
        worker.ready, worker.started_at = read, time.monotonic()

    def _start_again(self, worker: Worker) -> None:
        """Start a worker; where that cannot be done just now, try again later, as after one that died."""
        try:
            self._start(worker)
        except OSError as error:  # too many processes or files, no memory, or it died before it was told what to do
            _log.error("a worker could not be started and is tried again: %s", error)
            if worker.process is not None:
                worker.process.kill()
                with contextlib.suppress(OSError):  # what could not be said is not said now either
                    worker.process.stdin.close()  # type: ignore[union-attr]  # it is a pipe
                worker.process.wait()
            _back_off(worker, time.monotonic())

    def _look_after(self) -> None:
        """Start workers again that have died, each time a little later unless they had run for long."""
        now = time.monotonic()
        for each in self._workers:
            if each.process is not None and each.process.poll() is not None:
                forget_metrics(self._metrics, each.process.pid)
                if now - each.started_at > _STEADY_S:
                    each.pause_s = _FIRST_PAUSE_S
                _back_off(each, now)
            elif each.process is None and now >= each.again_at:
                self._start_again(each)

    def _end(self) -> None:
        """End all workers: they finish what they have begun, or are killed."""
        running = [each.process for each in self._workers if each.process is not None and each.process.poll() is None]
        for process in running:
            process.send_signal(signal.SIGTERM)
        deadline = time.monotonic() + self._grace_s + _MORE_THAN_GRACE_S
        for process in running:
            try:
                process.wait(max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        for each in self._workers:
            if each.ready >= 0:
                os.close(each.ready)
        shutil.rmtree(self._metrics, ignore_errors=True)


def _back_off(worker: Worker, now: float) -> None:
    worker.process, worker.again_at = None, now + worker.pause_s
    worker.pause_s = min(worker.pause_s * 2.0, _LONGEST_PAUSE_S)


def _has_come(pipe: int, wait_s: float) -> bool:
    found, _, _ = select.select([pipe], [], [], wait_s)
    return bool(found) and os.read(pipe, 1) == READY

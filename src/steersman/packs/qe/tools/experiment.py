"""A chaos experiment: ask a local process for its answers, injure it once, and see whether it answers on and recovers.

Steady state, one fault in one operation at a time, and an end as soon as too much fails: Basiri et al., Chaos Engineering,
IEEE Software 33(3), 2016.
"""

import queue
import resource
import subprocess
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO

from steersman.packs.qe.plants.fragility import ANSWERS
from steersman.packs.qe.project.strays import kill_group
from steersman.packs.qe.tools.faults import Proxy, children, injector

REQUESTS = 10
"""How often an operation is asked in an experiment; the fault lasts for one of them."""
STEADY = 2
MOST_ERRORS = 0.05
"""The share of an experiment's requests that may fail; it ends with the first one above."""
PATIENCE_S = 2.0
_START_S = 30.0
_TRIES = 2


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where and how the process under test runs: its interpreter, its file, its folder and its environment."""

    interpreter: str
    file: Path
    scratch: Path
    environment: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class Seen:
    """What an operation did under a fault. how: "" where it went on, else "hung", "ended" or "wrong answer"."""

    operation: str
    how: str
    recovered: bool = True


@dataclass(frozen=True, kw_only=True)
class Experiment:
    """What came of an experiment. requests: those planned. stopped: why it ended early, "" if it did not."""

    seen: tuple[Seen, ...]
    requests: int
    errors: int
    wall_s: float
    cpu_s: float
    stopped: str = ""

    @property
    def error_rate(self) -> float:
        """The share of the planned requests that failed."""
        return self.errors / max(self.requests, 1)

    @property
    def weak(self) -> tuple[Seen, ...]:
        """The operations that failed."""
        return tuple(each for each in self.seen if each.how)


def steady_state(place: Place, operations: Sequence[str], limit_s: float) -> Experiment:
    """Ask each operation without any fault, and return what failed."""
    with Proxy() as proxy:
        return _Run(place, proxy, "", len(operations) * STEADY, limit_s).over(operations)


def experiment(place: Place, operations: Sequence[str], fault: str, limit_s: float) -> Experiment:
    """Inject a fault of `FAULTS` into each operation that it can reach, one after the other, within the limits."""
    with Proxy() as proxy:
        return _Run(place, proxy, fault, len(operations) * REQUESTS, limit_s).over(operations)


class _Stopped(Exception):
    """An experiment has reached one of its limits."""


class _Run:
    """One experiment while it runs."""

    def __init__(self, place: Place, proxy: Proxy, fault: str, requests: int, limit_s: float) -> None:
        self._place, self._proxy, self._fault, self._requests = place, proxy, fault, requests
        self._errors, self._started = 0, time.monotonic()
        self._limit_s = limit_s
        self._seen: list[Seen] = []

    def over(self, operations: Sequence[str]) -> Experiment:
        """Go through the operations."""
        before, stopped = _children_cpu(), ""
        try:
            for each in operations:
                self._check_time()
                with tempfile.TemporaryDirectory(dir=self._place.scratch) as folder:
                    self._one(each, Path(folder))
        except _Stopped as why:
            stopped = str(why)
        return Experiment(
            seen=tuple(self._seen),
            requests=self._requests,
            errors=self._errors,
            wall_s=time.monotonic() - self._started,
            cpu_s=_children_cpu() - before,
            stopped=stopped,
        )

    def _one(self, operation: str, folder: Path) -> None:
        calls = self._proxy.calls
        with _Process(self._place, operation, self._proxy.port, folder) as process:
            how = _first_failure(process, STEADY, _START_S)
            if not how and self._fault and self._reaches(process, self._proxy.calls > calls):
                how = self._injured(process)
            self._seen.append(Seen(operation=operation, how=how))
            if how:
                self._count()
                self._restarted(process)

    def _reaches(self, process: "_Process", called: bool) -> bool:
        """Return whether the fault can do anything here: some operations call nobody, some have no worker."""
        return {"kill": bool(children(process.pid)), "resource": True}.get(self._fault, called)

    def _injured(self, process: "_Process") -> str:
        """Inject the fault for one request, and ask on without it; return how it failed."""
        inject = injector(self._fault, self._proxy, 2.0 * PATIENCE_S)
        how = process.ask(inject(process.pid), PATIENCE_S)
        return how or _first_failure(process, REQUESTS - STEADY - 1, PATIENCE_S)

    def _restarted(self, process: "_Process") -> None:
        """See whether what failed is well again once it was started anew, as a supervisor would."""
        for _ in range(_TRIES if self._fault else 0):
            process.restart()
            if process.ask(nullcontext(), _START_S):
                self._seen[-1] = replace(self._seen[-1], recovered=False)
                self._count()

    def _count(self) -> None:
        self._errors += 1
        if self._fault and self._errors > MOST_ERRORS * self._requests:
            raise _Stopped(f"more than {MOST_ERRORS:.0%} of the requests failed")
        self._check_time()

    def _check_time(self) -> None:
        if time.monotonic() - self._started > self._limit_s:
            raise _Stopped(f"its {self._limit_s:.0f} s were over")


class _Process:
    """The process under test: a line in, an answer out. It ends with all its children."""

    def __init__(self, place: Place, operation: str, port: int, folder: Path) -> None:
        self._command = [place.interpreter, str(place.file), operation, str(port), str(folder)]
        self._place = place
        self._start()

    @property
    def pid(self) -> int:
        """Its id."""
        return self._process.pid

    def ask(self, fault: AbstractContextManager[None], patience_s: float) -> str:
        """Ask once and return how it failed, "" where it did not."""
        with fault:
            try:
                self._process.stdin.write(b"go\n")  # type: ignore[union-attr]  # it was asked for
                answer = self._answers.get(timeout=patience_s)
            except BrokenPipeError:
                return "ended"
            except queue.Empty:
                return "hung"
        if answer is None:
            return "ended"
        return "" if answer in ANSWERS else "wrong answer"

    def restart(self) -> None:
        """End it and start it anew."""
        self._end()
        self._start()

    def _start(self) -> None:
        self._process = subprocess.Popen(
            self._command,
            cwd=self._place.file.parent,
            env=dict(self._place.environment),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            bufsize=0,
            start_new_session=True,
        )
        self._answers: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._reader = threading.Thread(target=_read, args=(self._process.stdout, self._answers), daemon=True)
        self._reader.start()

    def _end(self) -> None:
        kill_group(self._process.pid)
        self._process.wait()
        self._reader.join(_START_S)
        self._process.stdin.close()  # type: ignore[union-attr]  # it was asked for

    def __enter__(self) -> "_Process":
        return self

    def __exit__(self, *_: object) -> None:
        self._end()


def _first_failure(process: _Process, times: int, patience_s: float) -> str:
    """Ask so often without a fault, and return how it failed first, "" where it did not."""
    return next(filter(None, (process.ask(nullcontext(), patience_s) for _ in range(times))), "")


def _read(stream: IO[bytes], answers: "queue.SimpleQueue[str | None]") -> None:
    """Put the answers of a process into a queue, and None at its end."""
    with stream:
        for line in stream:
            answers.put(line.decode(errors="replace").strip())
    answers.put(None)


def _children_cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime

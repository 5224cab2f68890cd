"""Compute: where work runs when one process is not enough, and what a run may cost.

What is sent between processes is pickled: they were all started by one of them. Nothing that was kept is ever unpickled.
"""

import math
import pickle
import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from itertools import count
from threading import Lock
from typing import Any, NamedTuple, Self

from steersman.core.errors import Conflict, InvalidInput, SteersmanError, WorkerLost


@dataclass(frozen=True, kw_only=True)
class Cost:
    """What a run has used: seconds of wall clock, CPU seconds of all its workers, steps and updates."""

    seconds: float = 0.0
    cpu_seconds: float = 0.0
    steps: int = 0
    updates: int = 0

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if not 0 <= value < math.inf:
                raise InvalidInput(f"cost: {name} must be a number from 0, got {value!r}.")


@dataclass(frozen=True, kw_only=True)
class Budget:
    """What a run may use at most; whatever is used up first ends it. Infinite is no limit."""

    seconds: float = math.inf
    cpu_seconds: float = math.inf
    steps: float = math.inf

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if not value > 0:
                raise InvalidInput(f"budget: {name} must be above 0, got {value!r}. Leave it out for no limit.")

    @property
    def limited(self) -> bool:
        """Whether anything is limited."""
        return any(math.isfinite(each) for each in vars(self).values())

    def share(self, cost: Cost) -> float:
        """Return which share of the budget is used up, from 0 to 1, of whatever it is that ends first."""
        return min(1.0, max(float(getattr(cost, name) / limit) for name, limit in vars(self).items()))

    def spent(self, cost: Cost) -> str | None:
        """Return what is used up, in words; None while nothing is."""
        for name, limit in vars(self).items():
            if getattr(cost, name) >= limit:
                return f"the budget of {limit:,g} {_WORDS[name]} is used up"
        return None


_WORDS = {"seconds": "seconds", "cpu_seconds": "CPU seconds", "steps": "steps"}


class Worker(ABC):
    """An object that lives in another process, perhaps on another machine. cpu_s: CPU seconds of it, by its last answer."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.cpu_s = 0.0

    def call(self, method: str, *args: object) -> "Future[Any]":
        """Ask the object to carry out a method; calls are carried out one after the other, in this order.

        The future raises what the method raised, or WorkerLost where the process ended before it answered. Raises
        InvalidInput for arguments that cannot be pickled.
        """
        return self.send(packed((method, args), f"the arguments of {method}"))

    @abstractmethod
    def send(self, request: bytes) -> "Future[Any]":
        """Send a packed request."""

    @property
    @abstractmethod
    def pid(self) -> int:
        """The process of the object, on its machine; waits until there is one. Raises WorkerLost."""

    @abstractmethod
    def stop(self) -> None:
        """End the process at once, whatever it does; calls without an answer raise WorkerLost. Any number of threads may."""

    def opened(self, answer: bytes) -> Any:
        """Return what an answer of the host holds, or raise it."""
        found: _Answer = pickle.loads(answer)  # noqa: S301 - from the process that we started
        self.cpu_s = found.cpu_s
        if found.error is not None:
            raise found.error
        return found.value

    def lost(self, why: str) -> WorkerLost:
        """Return the error for a process that is no more."""
        return WorkerLost(
            f"worker {self.name} is lost: {why}. What it held is gone, the others go on; start another one in its place."
        )

    def failed(self, why: str) -> "Future[Any]":
        """Return the future of a call that nobody will answer."""
        future: Future[Any] = Future()
        future.set_exception(self.lost(why))
        return future


class Compute(ABC):
    """Where workers run; as a context manager it closes itself. slots: how many at once make sense. workers: all so far."""

    slots: int

    def __init__(self) -> None:
        self.workers: list[Worker] = []
        self._closed = False
        self._starting = Lock()
        self._numbers = count(1)

    def start(self, make: Callable[[], object], *, name: str = "", share: float = 1.0, accelerator: bool = False) -> Worker:
        """Return a worker with the object that `make` makes there; what that raises is what its calls raise.

        make: a function, a class or a `functools.partial` that can be pickled: one that a module has by its name. share:
        of a slot, that it takes. accelerator: whether it gets a GPU, where there are any. Raises InvalidInput for what
        cannot be pickled, and Conflict where this is closed.
        """
        with self._starting:  # so that none begins once it is closed, and is never stopped
            if self._closed:
                raise Conflict("compute: it is closed. Open another one.")
            name = name or f"worker-{next(self._numbers)}"
            worker = self.begin(packed(make, name), name, share, accelerator=accelerator)
            self.workers.append(worker)
        return worker

    @abstractmethod
    def begin(self, made: bytes, name: str, share: float, *, accelerator: bool) -> Worker:
        """Start a process with a `Host` of packed bytes."""

    def map(self, function: Callable[[Any], Any], items: Iterable[object]) -> list[Any]:
        """Return function(item) of each item, in order; as many at once as there are slots.

        An item whose worker is lost is given to another one, once. Raises the first error that a function raised, and
        WorkerLost for an item that loses its worker twice.
        """
        queue, busy, lost = deque(enumerate(items)), dict[Future[Any], tuple[Worker, int, object]](), set[int]()
        results: list[Any] = [None] * len(queue)
        make = partial(_Applied, function)
        idle = [self.start(make) for _ in range(min(self.slots, len(queue)))]
        try:
            while queue or busy:
                while queue and idle:
                    worker, (place, item) = idle.pop(), queue.popleft()
                    busy[worker.call("apply", item)] = worker, place, item
                for done in wait(busy, return_when=FIRST_COMPLETED).done:
                    worker, place, item = busy.pop(done)
                    idle.append(worker)
                    try:
                        results[place] = done.result()
                    except WorkerLost:
                        if place in lost:
                            raise
                        lost.add(place)
                        queue.appendleft((place, item))
                        idle[-1] = self.start(make)
        finally:
            for each in [*idle, *(worker for worker, _, _ in busy.values())]:
                each.stop()
        return results

    def close(self) -> None:
        """Stop all workers, also where one of them raises; twice is fine."""
        with self._starting:
            self._closed = True
        with ExitStack() as stops:
            for each in self.workers:
                stops.callback(each.stop)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: object) -> None:
        self.close()


class Host:
    """The side of a worker where the object lives. A backend carries requests to it, and its answers back."""

    def __init__(self, made: bytes) -> None:
        self._error: Exception | None = None
        try:
            self._object = _unpacked(made)()
        except Exception as error:  # noqa: BLE001 - each call answers with it
            self._error = error

    def answer(self, request: bytes) -> bytes:
        """Carry a request out and return the packed answer; also an error is one."""
        try:
            return packed(_Answer(self._carried_out(request), None, time.process_time()), "what the worker returns")
        except Exception as error:  # noqa: BLE001 - raised where it was asked from
            return pickle.dumps(_Answer(None, _portable(error), time.process_time()))

    def _carried_out(self, request: bytes) -> Any:
        if self._error is not None:
            raise self._error
        method, args = _unpacked(request)
        return getattr(self._object, method)(*args)


def packed(value: object, what: str) -> bytes:
    """Return a value as bytes for another process. Raises InvalidInput where it cannot be pickled."""
    try:
        return pickle.dumps(value)
    except (pickle.PicklingError, TypeError, AttributeError, RecursionError) as error:
        raise InvalidInput(
            f"{what} cannot be sent to another process: {error}. Use functions and classes that a module has by their name "
            "(no lambda, nothing defined inside a function), and no open file, lock or connection."
        ) from error


def _unpacked(sent: bytes) -> Any:
    try:
        return pickle.loads(sent)  # noqa: S301 - from the process that started this one
    except (AttributeError, ImportError) as error:
        raise InvalidInput(
            f"what was sent is not known in the process of the worker: {error}. It has to be in a module that is installed "
            "there, and not in the script that runs here."
        ) from error


class _Answer(NamedTuple):
    value: Any
    error: Exception | None
    cpu_s: float


class _Applied:
    """A function as an object with a method."""

    def __init__(self, function: Callable[[Any], Any]) -> None:
        self._function = function

    def apply(self, item: Any) -> Any:
        return self._function(item)


def _portable(error: Exception) -> Exception:
    """Return an error as it can be sent: itself, or one of ours with its words, where it cannot be pickled."""
    try:
        if type(pickle.loads(pickle.dumps(error))) is type(error):  # noqa: S301 - what was packed just now
            return error
    except Exception:  # noqa: BLE001, S110 - whatever its own pickling raises, its words are sent instead
        pass
    return SteersmanError(f"{type(error).__name__}: {error}")

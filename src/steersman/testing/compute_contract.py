"""What every place where workers run must do. Derive a test class from `ComputeContract`."""
# ruff: noqa: S101, D102 - these are tests: they assert, and the name of each is its sentence

import os
import signal
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest

from steersman.core.compute import Compute, Worker
from steersman.core.errors import Conflict, InvalidInput, NotFound, SteersmanError, WorkerLost

LIMIT_S = 60.0
"""How long an answer may take on a busy machine; nothing is decided by how fast it comes."""


class Counter:
    """Something that keeps a number."""

    def __init__(self, begin: int = 0) -> None:
        if begin < 0:
            raise InvalidInput(f"a counter from {begin}.")
        self.number = begin

    def add(self, more: int) -> int:
        self.number += more
        return self.number

    def pid(self) -> int:
        return os.getpid()

    def work(self, seconds: float) -> float:
        """Use so many CPU seconds."""
        began = time.process_time()
        while time.process_time() - began < seconds:
            pass
        return seconds

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)

    def fail(self, kind: str) -> None:
        if kind == "ours":
            raise NotFound("no such thing ☃")
        if kind == "theirs":
            raise ValueError("a bad value ☃")
        raise _OddError("here", "and there")

    def lock(self) -> object:
        return threading.Lock()


class _OddError(Exception):
    def __init__(self, one: str, two: str) -> None:
        super().__init__(f"{one} {two}")


def square(number: int) -> int:
    """Return the square; the smaller the number, the longer it takes."""
    time.sleep(0.05 * (4 - number) if number < 4 else 0.0)
    return number * number


def root(number: int) -> float:
    """Return the root."""
    if number < 0:
        raise InvalidInput(f"no root of {number}.")
    return float(number**0.5)


def die_once(flag: Path) -> str:
    """End this process, unless another one did before."""
    if not flag.exists():
        flag.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return "done"


def end_parent(seconds: float) -> None:
    """End the process that started this one, and go on for so many seconds."""
    os.kill(os.getppid(), signal.SIGKILL)
    time.sleep(seconds)


def die(_: object) -> None:
    """End this process."""
    os.kill(os.getpid(), signal.SIGKILL)


class ComputeContract(ABC):
    """Objects live in other processes, errors come back as they are, and what is lost is said and takes nothing along."""

    @classmethod
    @abstractmethod
    def open(cls) -> Compute:
        """Return compute of two slots."""

    @pytest.fixture
    def compute(self) -> Iterator[Compute]:
        with self.open() as compute:
            yield compute

    @pytest.fixture(scope="class")
    @classmethod
    def worker(cls) -> Iterator[Worker]:
        """One worker for all tests that it survives, since to start one takes about a second."""
        with cls.open() as compute:
            yield compute.start(partial(Counter, 10), name="shared", share=0.0)

    def test_an_object_lives_elsewhere_and_answers_in_the_order_of_calls(self, worker: Worker) -> None:
        first = worker.call("add", 0).result(LIMIT_S)
        answers = [worker.call("add", each) for each in (1, 2, 3)]
        assert [each.result(LIMIT_S) - first for each in answers] == [1, 3, 6]
        assert worker.call("pid").result(LIMIT_S) == worker.pid != os.getpid()

    def test_workers_hold_objects_of_their_own(self, compute: Compute, worker: Worker) -> None:
        other = compute.start(Counter)
        worker.call("add", 5).result(LIMIT_S)
        assert other.call("add", 1).result(LIMIT_S) == 1
        assert other.pid != worker.pid

    def test_the_cpu_seconds_of_a_worker_are_known_from_its_answers(self, worker: Worker) -> None:
        worker.call("work", 0.2).result(LIMIT_S)
        before = worker.cpu_s
        worker.call("work", 0.3).result(LIMIT_S)
        assert worker.cpu_s - before >= 0.3

    def test_an_error_comes_back_as_what_it_was_with_its_words(self, worker: Worker) -> None:
        with pytest.raises(NotFound, match=r"^no such thing ☃$"):
            worker.call("fail", "ours").result(LIMIT_S)
        with pytest.raises(ValueError, match=r"^a bad value ☃$"):
            worker.call("fail", "theirs").result(LIMIT_S)
        with pytest.raises(SteersmanError, match=r"^_OddError: here and there$"):
            worker.call("fail", "odd").result(LIMIT_S)
        with pytest.raises(AttributeError, match="nothing"):
            worker.call("nothing").result(LIMIT_S)
        assert worker.call("add", 1).result(LIMIT_S) > 10

    def test_what_making_the_object_raises_is_what_calls_raise(self, compute: Compute) -> None:
        worker = compute.start(partial(Counter, -1))
        for _ in range(2):
            with pytest.raises(InvalidInput, match="a counter from -1"):
                worker.call("add", 1).result(LIMIT_S)

    def test_what_cannot_be_sent_is_refused_in_words(self, compute: Compute, worker: Worker) -> None:
        with pytest.raises(InvalidInput, match=r"worker-1 cannot be sent to another process: .*no lambda"):
            compute.start(lambda: Counter(1))
        with pytest.raises(InvalidInput, match="the arguments of add cannot be sent"):
            worker.call("add", threading.Lock())
        with pytest.raises(InvalidInput, match="what the worker returns cannot be sent"):
            worker.call("lock").result(LIMIT_S)
        assert worker.call("add", 1).result(LIMIT_S) > 10

    def test_a_worker_that_is_killed_is_lost_and_the_others_go_on(self, compute: Compute, worker: Worker) -> None:
        one, before = compute.start(Counter, name="one"), worker.call("add", 1).result(LIMIT_S)
        under_way, waiting = one.call("sleep", 10 * LIMIT_S), one.call("add", 1)
        os.kill(one.pid, signal.SIGKILL)
        for each in (under_way, waiting, one.call("add", 1)):
            with pytest.raises(WorkerLost, match=r"^worker one is lost: .*start another one"):
                each.result(LIMIT_S)
        assert worker.call("add", 1).result(LIMIT_S) == before + 1

    def test_a_worker_that_was_stopped_answers_no_more(self, compute: Compute) -> None:
        worker = compute.start(Counter, name="one")
        pid, under_way = worker.pid, worker.call("sleep", 10 * LIMIT_S)
        worker.stop()
        worker.stop()
        for each in (under_way, worker.call("add", 1)):
            with pytest.raises(WorkerLost, match="worker one is lost: it was stopped"):
                each.result(LIMIT_S)
        assert ended([pid])

    def test_a_worker_may_be_stopped_by_several_at_once(self, compute: Compute) -> None:
        worker = compute.start(Counter, name="one")
        pid, ready = worker.pid, threading.Barrier(16)

        def stop(_: int) -> None:
            ready.wait(LIMIT_S)
            worker.stop()

        with ThreadPoolExecutor(16) as pool:
            assert list(pool.map(stop, range(16))) == [None] * 16
        assert ended([pid])

    def test_map_gives_results_in_order(self, compute: Compute) -> None:
        assert compute.map(square, range(6)) == [0, 1, 4, 9, 16, 25]
        assert compute.map(square, []) == []

    def test_map_raises_what_the_function_raised(self, compute: Compute) -> None:
        with pytest.raises(InvalidInput, match=r"no root of -9\."):
            compute.map(root, [4, -9, 16])

    def test_map_tries_an_item_once_more_where_its_worker_is_lost(self, compute: Compute, tmp_path: Path) -> None:
        assert compute.map(die_once, [tmp_path / "one"]) == ["done"]
        with pytest.raises(WorkerLost):
            compute.map(die, [1])

    def test_closing_ends_all_processes(self) -> None:
        compute = self.open()
        workers = [compute.start(Counter) for _ in range(2)]
        pids = [each.pid for each in workers]
        under_way = workers[0].call("sleep", 10 * LIMIT_S)
        compute.close()
        compute.close()
        assert ended(pids)
        with pytest.raises(WorkerLost):
            under_way.result(LIMIT_S)
        with pytest.raises(Conflict, match="it is closed"):
            compute.start(Counter)


def ended(pids: list[int]) -> bool:
    """Return whether processes of this machine have ended, after waiting for them."""
    until = time.monotonic() + LIMIT_S
    while any(map(_runs, pids)) and time.monotonic() < until:
        time.sleep(0.05)
    return not any(map(_runs, pids))


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True

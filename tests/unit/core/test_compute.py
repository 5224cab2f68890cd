"""Budgets and costs: what is no amount is refused, and what is used up first ends a run."""

import math
import pickle
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from threading import Event
from typing import Any

import pytest

from steersman.core.compute import Budget, Compute, Cost, Host, Worker
from steersman.core.errors import InvalidInput


@pytest.mark.parametrize("amount", [0, -1.0, math.nan])
def test_a_budget_of_nothing_is_refused(amount: float) -> None:
    with pytest.raises(InvalidInput, match="budget: cpu_seconds must be above 0, got"):
        Budget(cpu_seconds=amount)


@pytest.mark.parametrize("amount", [-1, math.nan, math.inf])
def test_a_cost_that_is_no_amount_is_refused(amount: float) -> None:
    with pytest.raises(InvalidInput, match="cost: seconds must be a number from 0, got"):
        Cost(seconds=amount)


def test_whatever_is_used_up_first_ends_a_run() -> None:
    budget = Budget(seconds=10.0, steps=2_000)
    assert budget.spent(Cost(seconds=9.9, cpu_seconds=1e9, steps=1_999)) is None
    assert budget.spent(Cost(seconds=1.0, steps=2_000)) == "the budget of 2,000 steps is used up"
    assert budget.spent(Cost(seconds=10.5)) == "the budget of 10 seconds is used up"
    assert Budget(cpu_seconds=0.5).spent(Cost(cpu_seconds=0.5)) == "the budget of 0.5 CPU seconds is used up"


def test_the_share_used_is_that_of_what_ends_first() -> None:
    budget = Budget(seconds=10.0, steps=2_000)
    assert budget.share(Cost(seconds=1.0, steps=1_000)) == 0.5
    assert budget.share(Cost(seconds=8.0, steps=1_000)) == 0.8
    assert budget.share(Cost(seconds=30.0)) == 1.0


def test_no_limit_is_no_limit() -> None:
    assert not Budget().limited
    assert Budget(seconds=1).limited
    assert Budget().share(Cost(seconds=1e9)) == 0.0
    assert Budget().spent(Cost(seconds=1e9, steps=10**9)) is None


def test_what_a_worker_does_not_know_is_said_to_be_in_no_module_there() -> None:
    sent = pickle.dumps(len).replace(b"builtins", b"nomodule")
    with pytest.raises(InvalidInput, match=r"No module named 'nomodule'\. It has to be in a module that is installed there"):
        Heard("here").opened(Host(sent).answer(b""))


def test_a_worker_that_begins_while_compute_is_closed_is_stopped() -> None:
    compute = Slow()
    with ThreadPoolExecutor() as threads:
        threads.submit(compute.start, list)
        assert compute.begins.wait(60.0)
        compute.close()
        compute.closed.set()
    assert [each.stopped for each in compute.heard] == [True]


def test_closing_stops_all_workers_also_where_one_raises(monkeypatch: pytest.MonkeyPatch) -> None:
    compute = Slow()
    compute.closed.set()
    for _ in range(3):
        compute.start(list)
    monkeypatch.setattr(compute.heard[1], "stop", partial(int, "nothing"))
    with pytest.raises(ValueError, match="nothing"):
        compute.close()
    assert [each.stopped for each in compute.heard] == [True, False, True]


class Heard(Worker):
    """The asking side without a process behind it."""

    pid = 0
    stopped = False

    def send(self, request: bytes) -> Future[Any]:
        return self.failed("there is nobody")

    def stop(self) -> None:
        self.stopped = True


class Slow(Compute):
    """Begins a worker only once it was closed, where closing does not wait for that."""

    def __init__(self) -> None:
        super().__init__()
        self.begins, self.closed, self.heard = Event(), Event(), list[Heard]()

    def begin(self, made: bytes, name: str, share: float, *, accelerator: bool) -> Worker:
        self.begins.set()
        self.closed.wait(0.5)
        self.heard.append(Heard(name))
        return self.heard[-1]

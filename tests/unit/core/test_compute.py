"""Budgets and costs: what is no amount is refused, and what is used up first ends a run."""

import math
import pickle
from concurrent.futures import Future
from typing import Any

import pytest

from steersman.core.compute import Budget, Cost, Host, Worker
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


class Heard(Worker):
    """The asking side without a process behind it."""

    pid = 0

    def send(self, request: bytes) -> Future[Any]:
        return self.failed("there is nobody")

    def stop(self) -> None:
        return

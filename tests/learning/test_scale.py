"""A training by several processes learns, goes on without those that are killed, and ends where its budget does."""

from collections.abc import Iterator
from concurrent.futures import Future
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from steersman.app.scale import vector
from steersman.backends.compute.local import LocalCompute
from steersman.core.compute import Budget, Worker
from steersman.core.errors import DeadlineExceeded, InvalidInput, NotFound, SteersmanError, WorkerLost
from steersman.loops.scale import train
from steersman.stages.learn.deep.rollout import RolloutSettings
from steersman.testing.compute_contract import LIMIT_S, ended
from steersman.testing.scale import broken_when_scored, cart_pole, fatal, train_with_losses, worth

STEPS = 4_000


@pytest.fixture
def compute() -> Iterator[LocalCompute]:
    with LocalCompute(2) as compute:
        yield compute


def test_a_training_completes_and_learns_though_an_actor_and_the_learner_are_killed(compute: LocalCompute) -> None:
    trained = train_with_losses(compute, steps=STEPS)
    assert trained.lost == 2
    assert trained.reason == "the budget of 4,000 steps is used up"
    assert trained.finite
    assert worth(trained) > 2.0  # it has learned of steps to come
    updates = [each.updates for each in trained.curve]
    assert updates == sorted(updates)  # the second learner went on where the first one was
    assert trained.cost.updates == updates[-1]
    assert trained.cost.steps >= STEPS
    assert trained.cost.cpu_seconds > 1.0
    assert sum(trained.returns) <= trained.cost.steps
    assert ended([each.pid for each in compute.workers])


def test_a_training_ends_when_its_time_does_with_what_was_learned_so_far(compute: LocalCompute) -> None:
    trained = train(compute, cart_pole(), actors=1, budget=Budget(cpu_seconds=0.5), seed=0)
    assert trained.reason == "the budget of 0.5 CPU seconds is used up"
    cart_pole().net.check_weights(trained.weights)


@pytest.mark.parametrize(
    ("actors", "budget", "words"),
    [(0, Budget(steps=1), "at least 1 actor, got 0"), (1, Budget(), "the budget has no limit, so it would never end")],
)
def test_what_cannot_end_or_begin_is_refused(actors: int, budget: Budget, words: str, compute: LocalCompute) -> None:
    with pytest.raises(InvalidInput, match=words):
        train(compute, cart_pole(), actors=actors, budget=budget, seed=0)


def test_an_environment_that_workers_cannot_make_ends_the_training_in_words(compute: LocalCompute) -> None:
    task = replace(cart_pole(), world=partial(vector, "Nowhere-v7"))
    with pytest.raises(NotFound, match=r"'Nowhere-v7' cannot be made in a process of its own.*gym:MODULE:ENV"):
        train(compute, task, actors=1, budget=Budget(steps=100), seed=0)
    assert ended([each.pid for each in compute.workers])


def test_a_training_whose_workers_are_lost_again_and_again_is_given_up(compute: LocalCompute) -> None:
    task = replace(cart_pole(), world=fatal)
    with pytest.raises(WorkerLost, match=r"3 workers were lost, and it was given up\. The last: worker actor-"):
        train(compute, task, actors=1, budget=Budget(steps=100), seed=0, most_lost=2)


def test_what_was_learned_is_kept_where_the_last_score_loses_its_worker_and_then_fails(
    compute: LocalCompute, tmp_path: Path
) -> None:
    world = partial(broken_when_scored, tmp_path / "mark")
    rollout = RolloutSettings(collect=64, warmup=64, updates=8, score_every=1_000)
    trained = train(compute, replace(cart_pole(), world=world, rollout=rollout), actors=1, budget=Budget(steps=128), seed=0)
    assert trained.reason == "ValueError: the simulator broke"
    assert trained.lost == 1
    assert trained.cost.updates > 0
    cart_pole().net.check_weights(trained.weights)


def test_workers_that_are_lost_while_they_start_are_replaced() -> None:
    with Unsteady({1: WorkerLost("its machine is gone"), 2: WorkerLost("its machine is gone")}) as compute:
        trained = train(compute, cart_pole(), actors=1, budget=Budget(steps=100), seed=0, most_lost=2)
    assert trained.lost == 2
    assert trained.reason == "the budget of 100 steps is used up"
    assert [each.name for each in compute.workers] == ["actor-1", "learner-2", "actor-3", "learner-4"]


def test_no_room_for_an_actor_in_the_place_of_one_that_was_lost_is_said() -> None:
    task = replace(cart_pole(), world=fatal)
    with Unsteady({3: DeadlineExceeded("no room")}) as compute, pytest.raises(DeadlineExceeded, match="no room"):
        train(compute, task, actors=1, budget=Budget(steps=100, seconds=LIMIT_S), seed=0)


class Unsteady(LocalCompute):
    """Does not get all workers that it asks for, as in a cluster whose machines go away. missing: why not, by number."""

    def __init__(self, missing: dict[int, SteersmanError]) -> None:
        super().__init__(2)
        self._missing = missing

    def begin(self, made: bytes, name: str, share: float, *, accelerator: bool) -> Worker:
        error = self._missing.get(len(self.workers) + 1)
        return Absent(name, error) if error else super().begin(made, name, share, accelerator=accelerator)


class Absent(Worker):
    """A worker that never comes to be."""

    def __init__(self, name: str, error: SteersmanError) -> None:
        super().__init__(name)
        self._error = error

    @property
    def pid(self) -> int:
        raise self._error

    def send(self, request: bytes) -> Future[Any]:
        return Future()

    def stop(self) -> None:
        return

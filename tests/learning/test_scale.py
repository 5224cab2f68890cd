"""A training by several processes learns, goes on without those that are killed, and ends where its budget does."""

from collections.abc import Iterator
from dataclasses import replace
from functools import partial

import pytest

from steersman.app.scale import vector
from steersman.backends.compute.local import LocalCompute
from steersman.core.compute import Budget
from steersman.core.errors import InvalidInput, NotFound, WorkerLost
from steersman.loops.scale import train
from steersman.testing.compute_contract import ended
from steersman.testing.scale import RANDOM_RETURN, cart_pole, earned, fatal, train_with_losses

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
    assert earned(trained) > 2 * RANDOM_RETURN
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

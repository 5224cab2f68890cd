"""Actors of a Ray cluster of two nodes keep the contract of compute."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from steersman.app.compute import open_compute
from steersman.app.search_space import axes, draw
from steersman.app.sweep import sweep
from steersman.core.compute import Compute
from steersman.core.errors import Conflict
from steersman.core.progress import Silent
from steersman.testing.compute_contract import LIMIT_S, ComputeContract, Counter
from steersman.testing.ray import SETTINGS, TwoNodes
from steersman.testing.scale import train_with_losses, worth


@pytest.fixture(scope="module", autouse=True)
def nodes() -> Iterator[TwoNodes]:
    """A cluster of two nodes, of one CPU each, which this process has joined."""
    before = {name: os.environ.get(name) for name in SETTINGS}
    with TwoNodes() as nodes:
        yield nodes
    assert {name: os.environ.get(name) for name in SETTINGS} == before


class TestRayCompute(ComputeContract):
    @classmethod
    def open(cls) -> Compute:
        return open_compute("ray")

    def test_parts_of_slots_add_up(self, compute: Compute) -> None:
        assert compute.slots == 2
        halves = [compute.start(Counter, share=0.5) for _ in range(3)]
        assert [each.call("add", 1).result(LIMIT_S) for each in halves] == [1] * 3


def test_ray_tune_hears_of_each_trial_and_begins_those_again_whose_process_is_lost(tmp_path: Path) -> None:
    heard: dict[int, tuple[bytes, str]] = {}

    def hear(place: int, answer: bytes, failed: str) -> None:
        heard[place] = answer, failed

    items = [b"plain", f"killed once, {tmp_path / 'killed'}".encode(), b"refused"]
    from steersman.backends.compute.tune import tuned  # Ray reads its settings when it is imported, which the cluster sets

    tuned(tried, items, hear)
    assert heard == {0: (b"PLAIN", ""), 1: (items[1].upper(), ""), 2: (b"", "ValueError: refused")}


def tried(item: bytes) -> bytes:
    """Return an item in capitals; one says that it is refused, and one loses its process the first time."""
    said, _, mark = item.decode().partition(", ")
    if said == "refused":
        raise ValueError(said)
    if mark and not Path(mark).exists():
        Path(mark).touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return item.upper()


@pytest.mark.long
def test_a_sweep_by_ray_tune_trains_what_was_drawn() -> None:
    over, fixed = ["learning_rate=0.0001:0.1:log"], {"updates": 8}
    found = sweep("steersman/lab-bandit-v1", over=over, fixed=fixed, trials=2, steps=200, compute="ray", progress=Silent())
    drawn = draw(axes(over), 2, np.random.default_rng(0))
    assert {each.number: each.settings for each in found.trials} == {
        number: fixed | each for number, each in enumerate(drawn, 1)
    }
    results = [each.result for each in found.trials if each.result]
    assert len(results) == 2
    assert results[0].mean_return >= results[1].mean_return
    assert 0 < found.cpu_s == sum(each.cpu_s for each in results)


def test_another_process_joins_the_cluster_by_its_address(nodes: TwoNodes) -> None:
    program = f"""
from steersman.app.compute import open_compute
from steersman.testing.compute_contract import square
with open_compute("ray:{nodes.address}") as compute:
    print(compute.slots, compute.map(square, [4]))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=LIMIT_S, check=False)
    assert done.stdout.split("\n")[0] == "2 [16]", done.stderr


def test_another_cluster_than_the_one_that_was_joined_is_refused(nodes: TwoNodes) -> None:
    with pytest.raises(
        Conflict, match=rf"in the Ray cluster at {nodes.address} already, so it cannot join 127\.0\.0\.1:1\."
    ):
        open_compute("ray:127.0.0.1:1")
    for name in ("ray:auto", f"ray:{nodes.address}"):
        with open_compute(name) as compute:
            assert compute.slots == 2


@pytest.mark.long
def test_a_training_completes_though_an_actor_the_learner_and_a_node_are_lost(nodes: TwoNodes) -> None:
    with open_compute("ray") as compute:
        trained = train_with_losses(compute, steps=4_000, lose=nodes.lose_one)
    nodes.add_one()
    assert trained.lost >= 2  # the third one, where a worker was on that node
    assert trained.reason == "the budget of 4,000 steps is used up"
    assert worth(trained) > 2.0  # it has learned of steps to come

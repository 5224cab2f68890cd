"""Actors of a Ray cluster of two nodes keep the contract of compute."""

from collections.abc import Iterator

import pytest

from steersman.app.compute import open_compute
from steersman.core.compute import Compute
from steersman.testing.compute_contract import LIMIT_S, ComputeContract, Counter
from steersman.testing.ray import TwoNodes


@pytest.fixture(scope="module", autouse=True)
def nodes() -> Iterator[TwoNodes]:
    """A cluster of two nodes, of one CPU each, which this process has joined."""
    with TwoNodes() as nodes:
        yield nodes


class TestRayCompute(ComputeContract):
    @classmethod
    def open(cls) -> Compute:
        return open_compute("ray")

    def test_parts_of_slots_add_up(self, compute: Compute) -> None:
        assert compute.slots == 2
        halves = [compute.start(Counter, share=0.5) for _ in range(3)]
        assert [each.call("add", 1).result(LIMIT_S) for each in halves] == [1] * 3

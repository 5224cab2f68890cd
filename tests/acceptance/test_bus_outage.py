"""What a consumer loses when Redis, or itself, is killed in mid-stream, in short: nothing; and planted bugs are caught."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest


@pytest.fixture(scope="module")
def outage() -> ModuleType:
    path = Path(__file__).parents[2] / "benchmarks" / "bus_outage.py"
    spec = importlib.util.spec_from_file_location("benchmark_bus_outage", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


def test_each_event_counts_once_however_often_the_server_and_the_consumer_are_killed(outage: ModuleType) -> None:
    found = outage.run(10)
    assert found.killed_consumers > 0
    assert found.events > 100
    assert (found.lost, found.twice, found.dead) == (0, 0, 0)
    assert (found.moved, found.apart, found.wrong) == (0, 0, 0)


@pytest.mark.long
def test_a_consumer_that_acknowledges_before_the_store_has_it_is_caught(outage: ModuleType) -> None:
    runs = (outage.run(3, seed=seed, bug="acknowledge first") for seed in range(6))  # it must die in mid-batch
    assert any(found.lost for found in runs)


@pytest.mark.long
def test_a_consumer_that_remembers_in_memory_what_it_took_is_caught(outage: ModuleType) -> None:
    found = outage.run(3, bug="remember in memory")
    assert found.twice

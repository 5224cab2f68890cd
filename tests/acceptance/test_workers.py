"""P9, P10, P11 in short: several worker processes on one PostgreSQL store, and each planted bug caught."""

import importlib.util
import sys
from collections import Counter
from pathlib import Path
from types import ModuleType

import pytest


def _benchmark(name: str) -> ModuleType:
    path = Path(__file__).parents[2] / "benchmarks" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(f"benchmark_{name}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def workers() -> ModuleType:
    return _benchmark("workers")


@pytest.fixture(scope="module")
def streams() -> ModuleType:
    return _benchmark("streams")


def test_a_kill_switch_is_obeyed_within_a_second_by_all_workers_and_by_a_restarted_one(
    workers: ModuleType, store_url: str
) -> None:
    found = workers.switch(store_url, 3)
    assert found.held, found
    assert found.restarts == 1


@pytest.mark.long
def test_a_worker_that_never_looks_at_the_switch_again_is_caught(workers: ModuleType, store_url: str) -> None:
    found = workers.switch(store_url, 1, bug="never looks again")
    assert found.late > 0
    assert not found.held


def test_racing_workers_that_are_killed_never_exceed_the_exploration_budget(workers: ModuleType, store_url: str) -> None:
    found = workers.spend(store_url, 8_000, kills=2)
    assert found.held, found
    assert found.decisions >= 7_000


@pytest.mark.long
def test_tokens_used_before_they_are_granted_are_caught(workers: ModuleType, store_url: str) -> None:
    found = workers.spend(store_url, 8_000, kills=0, bug="spends before it is granted")
    assert found.explored > found.budget
    assert not found.held


@pytest.mark.long
def test_propensities_are_true_and_no_two_workers_draw_the_same_numbers(streams: ModuleType, store_url: str) -> None:
    found = streams.draw(store_url, 12, 800)
    assert found.held, found
    assert sorted(found.streams) == [0, 1]


@pytest.mark.long
def test_workers_on_one_stream_are_caught(streams: ModuleType, store_url: str) -> None:
    found = streams.draw(store_url, 4, 200, bug="one stream")
    assert found.coincidences > 0
    assert not found.held


def test_a_propensity_logged_too_low_by_a_fifth_is_rejected(streams: ModuleType) -> None:
    true = {"rest": 0.6, "light": 0.2, "steady": 0.1, "heavy": 0.1}
    wrong = {"rest": 0.68, "light": 0.16, "steady": 0.08, "heavy": 0.08}
    tally = Counter({(context, "champion", name): round(200 * each) for context in range(50) for name, each in true.items()})

    def logged(probabilities: dict[str, float]) -> dict[tuple[int, str, str], float]:
        return {cell: probabilities[cell[2]] for cell in tally}

    assert not streams.rejected(tally, logged(true))
    assert streams.rejected(tally, logged(wrong))

"""What processes on a shared store lose when it, or one of them, dies, in short: nothing; and a planted bug is caught."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest


@pytest.fixture(scope="module")
def outage() -> ModuleType:
    path = Path(__file__).parents[2] / "benchmarks" / "outage.py"
    spec = importlib.util.spec_from_file_location("benchmark_outage", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("kill", ["server", "worker"])
def test_nothing_is_lost_or_learned_twice_when_one_of_them_dies(outage: ModuleType, kill: str) -> None:
    found = outage.run(2, kill=kill)
    assert found.acknowledged > 100
    assert found.held, found


@pytest.mark.long
def test_a_learner_that_begins_before_the_last_one_stopped_is_caught(outage: ModuleType) -> None:
    runs = (outage.run(2, kill="worker", seed=seed, bug="learn twice") for seed in range(1, 13))  # whoever learns must die
    assert any(found.differences and not found.held for found in runs)

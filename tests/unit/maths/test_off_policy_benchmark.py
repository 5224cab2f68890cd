"""The benchmark's known values are what its worlds give, and it runs."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest


@pytest.fixture(scope="module")
def ope() -> ModuleType:
    path = Path(__file__).parents[3] / "benchmarks" / "ope.py"
    spec = importlib.util.spec_from_file_location("benchmark_ope", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def test_the_exact_value_of_the_bandit_is_what_its_log_earns(ope: ModuleType) -> None:
    world = ope.bandit_world(3)
    assert world.log(40_000, np.random.default_rng(0)).reward.mean() == pytest.approx(world.value("log"), abs=0.01)


def test_the_exact_value_of_the_process_is_what_its_log_earns(ope: ModuleType) -> None:
    world = ope.chain_world(5)
    found = world.log(20_000, 12, np.random.default_rng(0))
    earned = float((found.reward * 0.9**found.step).sum()) / 20_000
    assert earned == pytest.approx(world.value("log", 12), abs=0.02)
    assert world.value("log", 12) < world.value("log")


def test_scores_are_hand_computed(ope: ModuleType) -> None:
    found = ope.score([(1.0, 0.0, 1.5), (3.0, 2.5, 4.0)], 2.0)
    assert (found.bias, found.rmse, found.coverage) == (0.0, 1.0, 0.0)


def test_the_tables_are_printed(ope: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    ope.bandits(2, None)
    ope.speed(2_000, None)
    printed = capsys.readouterr().out
    assert "Steersman, doubly robust" in printed
    assert "snips: with its interval" in printed

"""What the benchmark of roll-outs says of thousands of runs holds for a few hundred, and it can fail."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest


def _benchmark() -> ModuleType:
    path = Path(__file__).parents[2] / "benchmarks" / "rollout.py"
    spec = importlib.util.spec_from_file_location("benchmark_rollout", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


BENCHMARK = _benchmark()
RUNS, UNITS = 250, 2_000


@pytest.mark.parametrize("world", BENCHMARK.SAME, ids=lambda world: world.name)
def test_a_policy_that_is_as_good_is_left_alone(world: Any) -> None:
    assert BENCHMARK.rolled_back(world, RUNS, UNITS)[0] <= BENCHMARK.ALPHA


def test_a_mistake_in_the_unit_of_analysis_is_seen_as_such() -> None:
    """The check can fail: decisions of one subject taken for units, and a z-test looked at after each of them, break it."""
    ours, z_test, _ = BENCHMARK.rolled_back(BENCHMARK.PLANTED[0], RUNS, UNITS)
    assert min(ours, z_test) > BENCHMARK.ALPHA


def test_a_policy_that_is_worse_by_the_margin_is_hardly_ever_promoted_and_a_good_one_is() -> None:
    worse, equal = (
        BENCHMARK.World(name="success", draw=BENCHMARK.bernoulli(0.8, worse=by), shares=(0.5,)) for by in (0.1, 0.0)
    )
    assert np.mean(np.isfinite(BENCHMARK.promotions(worse, 0.1, RUNS, UNITS))) <= BENCHMARK.ALPHA
    assert np.mean(np.isfinite(BENCHMARK.promotions(equal, 0.1, RUNS, UNITS))) > 0.5


def test_harm_is_found_in_time() -> None:
    """Half a standard deviation beyond the margin, at a share of 10 %, within 10/(w(1 − w)d²) = 444 units."""
    _, draw = BENCHMARK.harms(0.5)[1]
    world = BENCHMARK.World(name="reward", draw=draw)
    assert BENCHMARK.delay(world, BENCHMARK.limits(1, BENCHMARK.ALPHA).worse, 0.05, 444.0, RUNS) <= 444.0

"""No worse network comes to decide for everybody, better ones do, and the pipeline recovers where the world changes.

In short; the long forms are benchmarks/deep_gate.py and benchmarks/deep_drift.py.
"""

import importlib.util
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest


def _benchmark(name: str) -> ModuleType:
    path = Path(__file__).parents[2] / "benchmarks" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(f"benchmark_{name}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


GATE, DRIFT = _benchmark("deep_gate"), _benchmark("deep_drift")


def of(found: Sequence[Any], truth: str) -> list[str]:
    return [each.end for each in found if each.truth == truth]


def test_worse_networks_stop_at_the_gate_and_better_ones_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    """And the same simulation without gate and margins lets worse ones through."""
    faults = {each: GATE.FAULTS[each] for each in ("none", "rewards reversed", "another world's log")}
    monkeypatch.setattr(GATE, "FAULTS", faults)
    found = GATE.run(0, {})
    assert set(of(found, "worse")) <= {"refused", "held", "rolled back"}
    assert set(of(found, "better")) == {"shipped"}
    assert len(of(found, "worse")) >= 2
    del faults["another world's log"]
    assert "shipped" in of(GATE.run(0, GATE.OPEN), "worse")


@pytest.mark.long
def test_the_pipeline_recovers_where_the_world_changes() -> None:
    found = DRIFT.live("memory:", 0, epsilon=0.4, before=2_500, after=4_000)
    _, before, right_after, _ = found.parts
    assert before > 0.8
    assert right_after < 0.7
    assert found.recovered is not None

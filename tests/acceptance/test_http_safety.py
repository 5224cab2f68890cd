"""P7, P13 and P24 over HTTP, in short: no guard is bypassed, no foreign outcome taken, nothing acknowledged is missing."""

import importlib.util
import os
import sys
from pathlib import Path
from types import ModuleType

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


def load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"benchmark_{name}", BENCHMARKS / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def safety() -> ModuleType:
    return load("http_safety")


@pytest.fixture(scope="module")
def traffic() -> ModuleType:
    return load("load")


def test_no_decision_over_http_is_one_that_guards_refuse(safety: ModuleType) -> None:
    found = safety.violations(1, 4_000, batch=100)
    assert found.violations == 0
    assert found.learned > 500


def test_a_policy_that_is_asked_without_the_mask_is_caught(safety: ModuleType) -> None:
    assert safety.violations(1, 1_000, batch=100, bug="choice without the mask").violations > 0


def test_no_outcome_is_accepted_that_belongs_to_no_decision_of_the_callers(safety: ModuleType) -> None:
    found = safety.forgeries(1_200, batch=100)
    assert sum(found.tried.values()) == 1_200
    assert found.held, found


def test_tenants_that_share_a_store_are_caught(safety: ModuleType) -> None:
    found = safety.forgeries(600, batch=50, bug="one store for all tenants")
    assert found.accepted["foreign"] > 0
    assert not found.held


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="the server and the harness need a core each")
def test_what_a_service_under_load_acknowledged_is_in_its_log_once(traffic: ModuleType, tmp_path: Path) -> None:
    """Counts alone: how fast it is says the benchmark, on a quiet machine."""
    with traffic.serving("steersman", tmp_path, min(os.sched_getaffinity(0))) as (port, pid):
        runs = [traffic.run("steersman", port, pid, rate, 2.0, connections=64) for rate in (300.0, 600.0)]
    assert all(set(each.statuses) <= {200, 503} and not each.unhinted for each in runs), runs
    found = traffic.in_log(tmp_path, runs)
    assert min(found["decisions"], found["outcomes"]) > 100
    assert (found["decisions lost"], found["outcomes lost"], found["twice"]) == (0, 0, 0)


def test_the_load_harness_shows_a_server_that_stopped_for_a_moment(traffic: ModuleType, tmp_path: Path) -> None:
    with traffic.serving("raw", tmp_path, min(os.sched_getaffinity(0))) as (port, pid):
        found = traffic.run("raw", port, pid, 300.0, 2.0, stall=True, connections=256)
    assert traffic.shows_stall(found)

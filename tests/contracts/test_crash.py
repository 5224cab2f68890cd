"""P1, P2, P3 in short: the crash benchmark with few kills and cuts, and each planted bug caught."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

BENCHMARK = Path(__file__).parents[2] / "benchmarks" / "crash.py"


@pytest.fixture(scope="module")
def crash() -> ModuleType:
    spec = importlib.util.spec_from_file_location("crash_benchmark", BENCHMARK)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def shim(crash: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Path:
    library: Path | None = crash.build_shim(tmp_path_factory.mktemp("shim"))
    if library is None:
        pytest.skip("there is no C compiler to build the power-cut emulator with")
    return library


@pytest.mark.parametrize("workload", ["log", "loop"])
def test_nothing_acknowledged_is_lost_when_the_process_is_killed(crash: ModuleType, workload: str) -> None:
    found = crash.run(13, workload=workload)
    assert found.acknowledged > 100
    assert found.clean, found


def test_nothing_acknowledged_is_lost_when_the_power_is_cut(crash: ModuleType, shim: Path) -> None:
    found = crash.run(10, shim=shim)
    assert found.acknowledged > 10
    assert found.clean, found


@pytest.mark.parametrize(
    ("bug", "finding"),
    [
        ("acknowledge before the commit", "lost"),
        ("no unique key", "twice"),
        ("learn outside the transaction", "differences"),
    ],
)
def test_a_planted_bug_is_caught(crash: ModuleType, bug: str, finding: str) -> None:
    assert getattr(crash.run(40, bug=bug, until_found=True), finding) > 0


def test_commits_without_fsync_lose_rows_in_a_power_cut(crash: ModuleType, shim: Path) -> None:
    assert crash.run(20, shim=shim, bug="commit without fsync", until_found=True).lost > 0

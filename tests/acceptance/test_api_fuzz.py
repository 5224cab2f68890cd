"""P22 in short: generated requests, sequences of them, and what is no request; a planted bug is caught."""

import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest


@pytest.fixture(scope="module")
def fuzz() -> ModuleType:
    path = Path(__file__).parents[2] / "benchmarks" / "api_fuzz.py"
    spec = importlib.util.spec_from_file_location("benchmark_api_fuzz", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def server(fuzz: ModuleType, tmp_path: Path) -> Iterator[Any]:
    with fuzz.serving(tmp_path) as started:
        yield started


@pytest.mark.parametrize("only", ["", "^/v1/keys"])
def test_nothing_that_fits_the_document_or_does_not_makes_the_service_fail(
    fuzz: ModuleType, server: Any, tmp_path: Path, only: str
) -> None:
    found = fuzz.generated(server, tmp_path, examples=2, seed=1, phases="fuzzing,stateful", only=only)
    assert not found.failures, found.told
    assert found.requests > 5


@pytest.mark.long
def test_a_service_that_falls_over_one_value_is_caught(fuzz: ModuleType, tmp_path: Path) -> None:
    with fuzz.serving(tmp_path, bug=True) as broken:
        found = fuzz.generated(broken, tmp_path, examples=1, seed=1, phases="coverage", only="^/v1/decisions$")
    assert any("erver error" in each for each in found.failures), found.told


def test_what_is_no_request_comes_to_its_end_while_others_are_served(fuzz: ModuleType, server: Any) -> None:
    found = fuzz.sockets(server, 40, threads=8, slow=4)
    assert found.held, found
    assert found.requests == 44
    assert found.rss_mb[1] < found.rss_mb[0] + 100

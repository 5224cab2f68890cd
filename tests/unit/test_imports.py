"""The decide path stays light: a test of sys.modules proves it."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest


@pytest.fixture(scope="module")
def imports() -> ModuleType:
    path = Path(__file__).parents[2] / "benchmarks" / "imports.py"
    spec = importlib.util.spec_from_file_location("benchmark_imports", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def test_deciding_loads_no_heavy_library(imports: ModuleType) -> None:
    assert imports.loaded() == []


def test_the_public_names_are_there_and_only_those() -> None:
    import steersman

    for name in steersman.__all__:
        assert getattr(steersman, name) is not None
    assert set(steersman.__all__) <= set(dir(steersman))
    with pytest.raises(AttributeError, match="no attribute 'Steersmann'"):
        _ = steersman.Steersmann

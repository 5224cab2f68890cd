"""Every example runs alone, within seconds, in at most 80 lines; so do the examples in docstrings."""

import doctest
import importlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from steersman.core.catalog import load_file
from steersman.testing.pack_checker import check_agent

ROOT = Path(__file__).parents[2]
EXAMPLES = sorted(each for each in (ROOT / "examples").iterdir() if each.suffix in (".py", ".sh"))
SOURCES = sorted((ROOT / "src").rglob("*.py"))


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.name)
def test_an_example_runs_and_is_short(example: Path, tmp_path: Path) -> None:
    assert len(example.read_text(encoding="utf-8").splitlines()) <= 80
    env = {name: value for name, value in os.environ.items() if not name.startswith("STEERSMAN_")}
    env["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), env.get("PATH", "")])
    command = [sys.executable] if example.suffix == ".py" else ["bash"]
    done = subprocess.run(
        [*command, str(example)], cwd=tmp_path, env=env, capture_output=True, text=True, timeout=180, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("example", [each for each in EXAMPLES if each.suffix == ".py"], ids=lambda path: path.name)
def test_the_agents_of_the_examples_are_sound(example: Path) -> None:
    problems = [each for spec in load_file(example) for each in check_agent(spec) if each.problem]
    assert problems == []


def test_the_examples_in_docstrings_hold() -> None:
    for source in SOURCES:
        if ">>> " in source.read_text(encoding="utf-8"):
            name = ".".join(source.relative_to(ROOT / "src").with_suffix("").parts)
            assert doctest.testmod(importlib.import_module(name)).failed == 0, name

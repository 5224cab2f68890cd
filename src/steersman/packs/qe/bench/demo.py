"""`steersman demo`: `bench test-executor` on a real library that ships its tests in its wheel."""

import importlib.util
import shutil
import sys
import tempfile
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path

from steersman.core.errors import NotFound
from steersman.core.ports import AgentHandle, Progress
from steersman.packs.qe.bench.duels import RunOptions, run
from steersman.packs.qe.bench.report import RunReport

LIBRARY = "toolz"
_BESIDE = {"toolz": ("tlz",)}


@dataclass(frozen=True, kw_only=True)
class DemoOptions:
    """seed: of the faults. cycles: changes to make. budget_s: limit for the cycles, in seconds."""

    seed: int = 0
    cycles: int = 64
    budget_s: float = 150.0


def demo(agent: Callable[[str], AgentHandle], options: DemoOptions, progress: Progress) -> RunReport:
    """Copy the installed toolz, with its tests, into a temporary project and run on that. About two minutes on 2 cores.

    Raises NotFound where toolz is not installed.
    """
    home = Path(tempfile.mkdtemp(prefix="steersman-demo-"))
    try:
        build_project(home / LIBRARY)
        return run(
            agent,
            RunOptions(
                path=str(home / LIBRARY),
                python=sys.executable,
                cycles=options.cycles,
                seed=options.seed,
                budget_s=options.budget_s,
                duel_every=8,
                final_duels=16,
                faults=20,
                screen_s=30.0,
            ),
            progress,
        )
    finally:
        shutil.rmtree(home, ignore_errors=True)


def build_project(target: Path, library: str = LIBRARY, *, only: Collection[str] = ()) -> Path:
    """Copy an installed library with the tests that it ships into `target` as a project, and return that.

    only: the names of the test files to keep, without test_ and .py (empty: all). Raises NotFound where it is not installed.
    """
    target.mkdir(parents=True)
    for name in (library, *_BESIDE.get(library, ())):
        found = importlib.util.find_spec(name)
        if found is None or not found.submodule_search_locations:
            raise NotFound(f"{library} is not installed; steersman[demo] brings {LIBRARY}: `pip install 'steersman[demo]'`.")
        source = Path(next(iter(found.submodule_search_locations)))
        shutil.copytree(source, target / name, ignore=shutil.ignore_patterns("__pycache__"))
    for path in (target / library / "tests").glob("test_*.py"):
        if only and path.stem.removeprefix("test_") not in only:
            path.unlink()
    (target / "pyproject.toml").write_text(f'[tool.pytest.ini_options]\ntestpaths = ["{library}"]\n', encoding="utf-8")
    return target

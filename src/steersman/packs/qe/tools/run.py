"""Run a tool of Steersman's own interpreter on the files of a copy, for a limited time."""

import importlib.util
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from steersman.core.errors import DeadlineExceeded
from steersman.packs.qe.project.process import run_group


@dataclass(frozen=True, kw_only=True)
class Output:
    """What a tool said, with its exit code and what it took."""

    exit_code: int
    text: str
    wall_s: float
    cpu_s: float


def has(module: str) -> bool:
    """Return whether Steersman's interpreter has a tool."""
    return importlib.util.find_spec(module) is not None


def run_tool(module: str, arguments: Sequence[str], *, root: Path, scratch: Path, timeout_s: float) -> Output:
    """Run `python -m module` in a folder. Raises DeadlineExceeded where it does not end in time; it is killed then."""
    log = scratch / f"{module}.log"
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "COVERAGE_"))}
    finished = run_group(
        [sys.executable, "-m", module, *arguments],
        cwd=root,
        env=kept
        | {"PYTHONDONTWRITEBYTECODE": "1", "NO_COLOR": "1", "PWD": str(root), "XDG_CACHE_HOME": str(scratch / "cache")},
        timeout_s=timeout_s,
        log=log,
    )
    if finished.timed_out:
        raise DeadlineExceeded(f"{module} did not end within {timeout_s:.0f} s; it was killed.")
    text = log.read_text(encoding="utf-8", errors="replace")
    return Output(exit_code=finished.exit_code, text=text, wall_s=finished.wall_s, cpu_s=finished.cpu_s)

"""Branch coverage, by one more run of the suite under coverage.py: from which lines a way was never taken."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from steersman.core.errors import DeadlineExceeded, InvalidInput
from steersman.packs.qe.fleet.site import Site
from steersman.packs.qe.project.process import run_group
from steersman.packs.qe.project.suite import Plan

_RC = """[run]
data_file = {data}
core = ctrace
branch = true
source = {source}
disable_warnings = module-not-imported, no-data-collected
"""
_RATE = re.compile(r'<coverage[^>]*\bline-rate="([0-9.]+)"')


@dataclass(frozen=True, kw_only=True)
class Branches:
    """For each file the lines from which some way was never taken, one entry for each way; shares in %; times in s."""

    missing: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    line_percent: float = 0.0
    branch_percent: float = 0.0
    cpu_s: float = 0.0
    wall_s: float = 0.0


def measure_branches(site: Site) -> Branches:
    """Run the suite with branches measured. Raises DeadlineExceeded over its time, InvalidInput where nothing is told."""
    scratch, project = site.sandbox.scratch, site.project
    data, target = scratch / "branches.data", scratch / "branches.json"
    for old in (data, target):
        old.unlink(missing_ok=True)
    config = _RC.format(data=data, source=site.sandbox.root / project.source_root)
    (scratch / "coveragerc").write_text(config, encoding="utf-8")
    run = site.suite.run(Plan(contexts=True), timeout_s=site.timeout_s)
    if run.timed_out:
        raise DeadlineExceeded(f"the suite did not end within {site.timeout_s:.0f} s with branches measured; it was killed.")
    command = [project.tools.interpreter, "-m", "coverage", "json", "-q", "-o", str(target), "--ignore-errors"]
    told = run_group(
        [*command, f"--rcfile={scratch / 'coveragerc'}"],
        cwd=site.sandbox.root,
        env=site.sandbox.environment(),
        timeout_s=site.timeout_s,
        log=scratch / "branches.log",
    )
    if not target.exists():
        raise InvalidInput(f"coverage.py ended with {told.exit_code} and told nothing: {told.tail.strip()[-400:]}")
    return _read(target, project.sources, cpu_s=run.cpu_s + told.cpu_s, wall_s=run.wall_s + told.wall_s)


def line_percent_before(root: Path) -> float | None:
    """Return the line coverage that an earlier run left in a project's coverage.xml, in %; None where there is none."""
    try:
        match = _RATE.search((root / "coverage.xml").read_text(encoding="utf-8", errors="replace")[:10_000])
    except OSError:
        return None
    return 100.0 * float(match[1]) if match else None


def _read(target: Path, sources: tuple[str, ...], *, cpu_s: float, wall_s: float) -> Branches:
    entries = {
        name.replace("\\", "/"): each for name, each in json.loads(target.read_text(encoding="utf-8"))["files"].items()
    }
    files = {name: each for name, each in entries.items() if name in set(sources)}
    sums = {
        key: sum(each["summary"][key] for each in files.values())
        for key in ("covered_lines", "num_statements", "covered_branches", "num_branches")
    }
    return Branches(
        missing={name: tuple(abs(start) for start, _ in each["missing_branches"]) for name, each in files.items()},
        line_percent=_percent(sums["covered_lines"], sums["num_statements"]),
        branch_percent=_percent(sums["covered_branches"], sums["num_branches"]),
        cpu_s=cpu_s,
        wall_s=wall_s,
    )


def _percent(part: int, whole: int) -> float:
    return 100.0 * part / whole if whole else 100.0

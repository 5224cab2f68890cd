"""Which test runs which line, by coverage.py with one context for each test."""

import json
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from steersman.packs.qe.project.sandbox import Sandbox
from steersman.packs.qe.project.suite import Plan, RunResult, Suite

_RC = """[run]
data_file = {data}
core = ctrace
source = {source}
disable_warnings = module-not-imported, no-data-collected
[json]
show_contexts = true
"""


@dataclass(frozen=True, kw_only=True)
class CoverageMap:
    """For each file and line the tests that ran it; a line that only ran at import has an empty set.

    `reason` says why there is no map, where there is none.
    """

    lines: Mapping[str, Mapping[int, frozenset[str]]] = field(default_factory=dict)
    reason: str = ""

    @property
    def available(self) -> bool:
        """Whether there is a map at all."""
        return not self.reason

    def tests_of(self, file: str, lines: Iterable[int]) -> frozenset[str] | None:
        """Return the tests that ran any of these lines; None where one of them runs at import, so that any test may."""
        known = self.lines.get(file, {})
        found: set[str] = set()
        for line in lines:
            if line in known:
                if not known[line]:
                    return None
                found |= known[line]
        return frozenset(found)

    def tests_of_file(self, file: str) -> frozenset[str]:
        """Return the tests that ran any line of a file outside its import."""
        return frozenset().union(*self.lines.get(file, {}).values())


def measure_coverage(suite: Suite, *, timeout_s: float) -> tuple[RunResult, CoverageMap]:
    """Run the whole suite under coverage.py. Without coverage.py it runs plainly, and the map says why it is empty."""
    tools = suite.sandbox.project.tools
    if not tools.coverage:
        reason = f"{tools.interpreter} has no coverage.py; `pip install coverage` makes 'affected' available"
        return suite.run(Plan(), timeout_s=timeout_s), CoverageMap(reason=reason)
    scratch, project = suite.sandbox.scratch, suite.sandbox.project
    data = scratch / "coverage.data"
    source = suite.sandbox.root / project.source_root
    (scratch / "coveragerc").write_text(_RC.format(data=data, source=source), encoding="utf-8")
    data.unlink(missing_ok=True)
    result = suite.run(Plan(contexts=True), timeout_s=timeout_s)
    if result.timed_out:
        return result, CoverageMap(reason="the suite ran over its time limit under coverage.py")
    return result, _load(suite.sandbox)


def _load(sandbox: Sandbox) -> CoverageMap:
    scratch = sandbox.scratch
    target = scratch / "coverage.json"
    command = [sandbox.project.tools.interpreter, "-m", "coverage", "json", "-q", "-o", str(target)]
    command += [f"--rcfile={scratch / 'coveragerc'}", "--ignore-errors"]
    env = sandbox.environment()
    try:
        subprocess.run(
            command, cwd=sandbox.root, env=env, check=True, capture_output=True, timeout=300, stdin=subprocess.DEVNULL
        )
        files = json.loads(target.read_text(encoding="utf-8"))["files"]
    except (OSError, subprocess.SubprocessError, ValueError, KeyError) as error:
        return CoverageMap(reason=f"coverage.py gave no map: {error}")
    lines = {
        name.replace("\\", "/"): {
            int(line): frozenset(context for context in contexts if context)
            for line, contexts in entry.get("contexts", {}).items()
        }
        for name, entry in files.items()
        if name.replace("\\", "/") in set(sandbox.project.sources)
    }
    if not any(lines.values()):
        return CoverageMap(reason="coverage.py saw no line of the package under test")
    return CoverageMap(lines=lines)

"""What generated tests are worth: they are run in the copy, under coverage.py, under other hash seeds and on faults."""

import json
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from steersman.packs.qe.faults.exposure import NOT_STARTED, limit_s, run_with
from steersman.packs.qe.faults.mutation import Fault
from steersman.packs.qe.fleet.site import Site
from steersman.packs.qe.project.suite import Plan, RunResult
from steersman.packs.qe.tools.recording import RECORDER, install

_RC = """[run]
data_file = {data}
branch = true
core = ctrace
source = {source}
disable_warnings = module-not-imported, no-data-collected
"""
_READ = """
import coverage, json, sys
rc, data, out = sys.argv[1:]
cov = coverage.Coverage(config_file=rc, data_file=data)
cov.load()
cov.json_report(outfile=out, ignore_errors=True)
found, kept = {}, cov.get_data()
for context in kept.measured_contexts():
    kept.set_query_context(context)
    found[context] = {file: kept.arcs(file) or [] for file in kept.measured_files()}
open(out + ".arcs", "w").write(json.dumps(found))
"""
_HASH_SEEDS = ("0", "0", "1", "4242")
"""Of the runs after the first one."""

Point = tuple[str, int, int]
"""A line (file, line, 0) or a branch (file, from, to) of the project."""


@dataclass(frozen=True, kw_only=True)
class Coverage:
    """possible: all lines and branches of the project. by_test: which of them each test ran ("": at import)."""

    possible: frozenset[Point] = field(default_factory=frozenset)
    by_test: Mapping[str, frozenset[Point]] = field(default_factory=dict)

    @property
    def ran(self) -> frozenset[Point]:
        """What ran in any test."""
        return frozenset().union(*self.by_test.values())

    def share(self, ran: Iterable[Point], file: str = "") -> float:
        """Return how much of the project, or of one file, is among `ran`, 0–100 %."""
        wanted = {each for each in self.possible if not file or each[0] == file}
        return 100.0 * len(wanted.intersection(ran)) / len(wanted) if wanted else 0.0


@dataclass(frozen=True, kw_only=True)
class Trial:
    """The tests of a generated file that passed in all runs, what they cover, and the processor's seconds.

    wall_s: what the first run took.
    """

    passed: frozenset[str]
    coverage: Coverage
    cpu_s: float
    wall_s: float = 0.0

    def runs(self, test: str, fault: Fault) -> bool:
        """Return whether a test runs the line of a fault, as far as is known."""
        ran = self.coverage.by_test.get(test, frozenset())
        return not self.coverage.possible or (fault.file, fault.line, 0) in ran


def suite_coverage(site: Site) -> tuple[RunResult, Coverage]:
    """Run the project's own suite under coverage.py with branches; without coverage.py it runs plainly."""
    return covered_run(site, Plan(contexts=bool(site.project.tools.coverage)))


def try_out(site: Site, file: str) -> Trial:
    """Run a generated test file five times, the last two times under other hash seeds, with the fence up."""
    plan = Plan(whole=(file,), rest=False, contexts=bool(site.project.tools.coverage))
    with _fenced(site, "0"):
        first, coverage = covered_run(site, plan)
    passed, cpu_s = _passed(first), first.cpu_s
    for seed in _HASH_SEEDS:
        if not passed:
            break
        with _fenced(site, seed):
            again = site.suite.run(Plan(order=tuple(sorted(passed)), rest=False), timeout_s=site.timeout_s)
        passed &= _passed(again)
        cpu_s += again.cpu_s
    return Trial(passed=passed, coverage=coverage, cpu_s=cpu_s, wall_s=first.wall_s)


def kills(site: Site, fault: Fault, plan: Plan, usual_s: float) -> frozenset[str] | None:
    """Return which planned tests fail with a fault in the copy; a run that does not start or end counts as all of them.

    usual_s: what the run takes without the fault. None where only our time cut the run off: nothing is known then.
    """
    hangs_after_s = limit_s(usual_s)
    with _fenced(site, "0"):
        run = run_with(fault, site.suite, plan, timeout_s=min(site.timeout_s, hangs_after_s))
    if run.timed_out and site.timeout_s < hangs_after_s:
        return frozenset(run.failures) or None
    stopped = run.timed_out or NOT_STARTED in run.uncollected
    return frozenset([*plan.order, *plan.whole, ""]) if stopped else frozenset(run.failures)


@contextmanager
def _fenced(site: Site, hash_seed: str) -> Iterator[None]:
    """Load the fence into the runs of a suite for a while."""
    install(site)
    store = str(site.sandbox.scratch / "hypothesis")
    added = {"PYTEST_PLUGINS": RECORDER, "PYTHONHASHSEED": hash_seed, "HYPOTHESIS_STORAGE_DIRECTORY": store}
    if not site.project.words:
        added["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"  # loading what nobody names takes longer than the tests
    with site.suite.under(**added):
        yield


def _passed(run: RunResult) -> frozenset[str]:
    if run.timed_out:
        return frozenset()
    return frozenset(name for name, each in run.tests.items() if each.outcome == "passed")


def covered_run(site: Site, plan: Plan) -> tuple[RunResult, Coverage]:
    """Run what is planned; with contexts under coverage.py, of which nothing is read where nothing was written."""
    scratch, root = site.sandbox.scratch, site.sandbox.root
    data = scratch / "coverage.data"
    data.unlink(missing_ok=True)
    text = _RC.format(data=data, source=root / site.project.source_root)
    (scratch / "coveragerc").write_text(text, encoding="utf-8")
    run = site.suite.run(plan, timeout_s=site.timeout_s)
    return run, _read(site) if plan.contexts and data.exists() else Coverage()


def _read(site: Site) -> Coverage:
    """Return what coverage.py wrote; nothing where it cannot be read."""
    scratch, root = site.sandbox.scratch, site.sandbox.root
    out = scratch / "branches.json"
    command = [
        site.project.tools.interpreter,
        "-c",
        _READ,
        str(scratch / "coveragerc"),
        str(scratch / "coverage.data"),
        str(out),
    ]
    try:
        subprocess.run(
            command,
            cwd=root,
            env=site.sandbox.environment(),
            check=True,
            capture_output=True,
            timeout=120,
            stdin=subprocess.DEVNULL,
        )
        report = json.loads(out.read_text(encoding="utf-8"))["files"]
        arcs = json.loads((scratch / "branches.json.arcs").read_text(encoding="utf-8"))
    except (OSError, subprocess.SubprocessError, ValueError, KeyError):
        return Coverage()
    sources = set(site.project.sources)
    possible = frozenset(point for file, each in report.items() if file in sources for point in _possible(file, each))
    by_test = {
        test: possible.intersection(
            point for file, pairs in files.items() for point in _ran(file.removeprefix(f"{root}/"), pairs)
        )
        for test, files in arcs.items()
    }
    return Coverage(possible=possible, by_test=by_test)


def _possible(file: str, entry: Mapping[str, list[list[int]]]) -> Iterable[Point]:
    for line in (*entry["executed_lines"], *entry["missing_lines"]):
        yield file, int(line), 0  # type: ignore[call-overload]  # lines are numbers, branches pairs of them
    for start, end in (*entry["executed_branches"], *entry["missing_branches"]):
        yield file, start, end


def _ran(file: str, pairs: Iterable[tuple[int, int]]) -> Iterable[Point]:
    for start, end in pairs:
        yield file, start, end
        yield file, abs(start), 0
        yield file, abs(end), 0

"""The reference: what the whole suite does on unchanged code, in file order with one worker."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from steersman.core.errors import DeadlineExceeded, InvalidInput, NotFound
from steersman.core.ports import Progress
from steersman.packs.qe.project.coverage_map import CoverageMap, measure_coverage
from steersman.packs.qe.project.suite import Plan, RunResult, Suite

_REPEAT_BELOW_S = 20.0
_TRIES = 5
_NAMED = 3


@dataclass(frozen=True, kw_only=True)
class Reference:
    """The suite as it is: tests in file order, when each is done (s), wall and CPU time (s), and the coverage map.

    `failing` fail in every run, and are left out of all that follows; `flaky` failed in some. `hanging`, of those that
    fail, never end or end the whole run, so they must not be started again.
    """

    collected: tuple[str, ...]
    at_s: Mapping[str, float]
    durations_s: Mapping[str, float]
    wall_s: float
    cpu_s: float
    peak_mb: float
    coverage: CoverageMap
    failing: frozenset[str]
    flaky: frozenset[str]
    hanging: frozenset[str] = frozenset()

    @property
    def slowest_s(self) -> float:
        """What the slowest test takes."""
        return max(self.durations_s.values(), default=0.0)

    def expected_s(self, killers: frozenset[str]) -> float:
        """Return when the reference run knows the first of the killers; its whole time where there is none."""
        return min((self.at_s[name] for name in killers if name in self.at_s), default=self.wall_s)


def measure_reference(suite: Suite, *, timeout_s: float, progress: Progress) -> Reference:
    """Run the suite under coverage.py, and then once or twice plainly, without the tests that never ended.

    These the suite leaves out from now on. Raises DeadlineExceeded where it takes too long, NotFound where pytest collects
    no test, InvalidInput where no test passes, a file cannot be imported, or each run breaks off in another test.
    """
    coverage, known = CoverageMap(), suite.left_out

    def covered() -> RunResult:
        nonlocal coverage
        run, coverage = measure_coverage(suite, timeout_s=timeout_s)
        progress.step(f"{len(run.tests)} tests in {run.wall_s:.1f} s" + (", with coverage" if coverage.available else ""))
        return run

    first = _whole_run(suite, covered, timeout_s=timeout_s, progress=progress)
    times = 2 if first.wall_s < _REPEAT_BELOW_S else 1
    plain = [
        _whole_run(suite, lambda: suite.run(Plan(), timeout_s=timeout_s, timed=True), timeout_s=timeout_s, progress=progress)
        for _ in range(times)
    ]
    hanging = suite.left_out - known
    last = min(plain, key=lambda run: run.wall_s)
    ended = {name: each for name, each in last.tests.items() if name not in hanging}
    progress.step(f"reference: {last.wall_s:.2f} s on one worker, {last.cpu_s:.2f} s CPU")
    failed = [frozenset(run.failures) for run in (first, *plain)]
    always = failed[0].intersection(*failed)
    reference = Reference(
        collected=tuple(name for name in ended if name not in always),
        at_s={name: each.at_s for name, each in ended.items()},
        durations_s={name: each.duration_s for name, each in ended.items()},
        wall_s=last.wall_s,
        cpu_s=sum(run.cpu_s for run in plain) / len(plain),
        peak_mb=last.peak_mb,
        coverage=coverage,
        failing=always | hanging,
        flaky=frozenset().union(*failed) - always - hanging,
        hanging=hanging,
    )
    suite.slowest_s = reference.slowest_s
    return reference


def _whole_run(suite: Suite, once: Callable[[], RunResult], *, timeout_s: float, progress: Progress) -> RunResult:
    """Run the suite, and again without the tests in which it broke off, until it comes to its end; return that run."""
    for _ in range(_TRIES):
        run = once()
        for name in sorted(run.broke_off):
            progress.note(f"{name} took too long, or ended the whole run: it is left out from now on")
        suite.left_out |= run.broke_off
        if run.timed_out or not run.unfinished:
            _check(suite, run, timeout_s)
            return run
    raise InvalidInput(
        f"the suite of {suite.sandbox.project.root} breaks off in one test after the other, last in "
        f"{', '.join(run.unfinished)}. Mend those that end the interpreter or never end, or leave them out."
    )


def _check(suite: Suite, run: RunResult, timeout_s: float) -> None:
    root = suite.sandbox.project.root
    if run.timed_out:
        where = f", in {', '.join(run.unfinished)}" if run.unfinished else ", while it was collected" * (not run.tests)
        raise DeadlineExceeded(
            f"the suite of {root} did not end within {timeout_s:.0f} s after {len(run.tests)} tests{where}; it was killed "
            "with its children. If it is slow rather than hanging, allow more: --timeout, and --budget where there is one."
        )
    if not run.tests and not run.uncollected:
        raise NotFound(
            f"pytest collects no test in {root}. Does its configuration (testpaths) fit? {run.tail.strip()[-400:]}"
        )
    if not any(each.outcome == "passed" for each in run.tests.values()):
        raise InvalidInput(
            f"no test of {root} passes with {suite.sandbox.project.tools.interpreter}, so nothing can be learned: "
            f"{_why(run)}. Give the project's own interpreter with --python, or what its tests need."
        )


def _why(run: RunResult) -> str:
    """Return how many tests failed, were skipped or could not be collected, the first of them by name."""
    said = []
    for outcome in ("failed", "skipped"):
        names = [name for name, each in run.tests.items() if each.outcome == outcome]
        if names:
            said.append(f"{len(names)} {outcome} ({', '.join(names[:_NAMED])}{', …' * (len(names) > _NAMED)})")
    said += [f"{file}: {text.strip().splitlines()[-1]}" for file, text in list(run.uncollected.items())[:_NAMED]]
    return "; ".join(said)

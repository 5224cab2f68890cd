"""qe/coverage-analyzer: where do tests reach least, and which of these gaps should be closed first?

It puts functions in an order, by what coverage.py and the calls in the code say. Then mutants are seeded into the functions
it put first and into others that it did not show: the order was right where the first survive and the others do not.
"""

import time
from collections.abc import Iterable, Mapping, Sequence

from steersman.core.actions import Action, ActionSpace, Choice
from steersman.core.agent import AgentSpec
from steersman.core.guards import Refusal
from steersman.core.kinship import Kinship
from steersman.core.reward import Component, Measurement, Measurements
from steersman.core.state import Number, StateSchema, StateValues
from steersman.packs.qe.faults.mutation import Fault
from steersman.packs.qe.fleet.findings import Finding
from steersman.packs.qe.fleet.learning import lowest, rule, single_step
from steersman.packs.qe.fleet.reward import FAILED, FAILURE, composite
from steersman.packs.qe.fleet.site import Site
from steersman.packs.qe.fleet.skill import Worked
from steersman.packs.qe.project.coverage_map import CoverageMap
from steersman.packs.qe.tools.branches import Branches, line_percent_before, measure_branches
from steersman.packs.qe.tools.gaps import (
    Depth,
    Gap,
    Method,
    bisect,
    by_branches,
    by_lines,
    by_priority,
    graph,
    linear,
    survey_functions,
)
from steersman.packs.qe.tools.survey import Survey, draw, possible, survey

DEPTHS: Mapping[Choice, Depth] = {"quick": by_lines, "detailed": by_branches, "gap_priority": by_priority}
METHODS: Mapping[Choice, Method] = {"linear": linear, "bisect": bisect, "graph": graph}
REPORTS: Mapping[Choice, int] = {"summary": 3, "detailed": 10, "actionable": 5}
FIRST, CRITICAL_CALLERS = 3, 2

STATE = StateSchema(
    name="coverage-analyzer",
    fields=(
        Number(name="line_coverage", low=0, high=100, edges=(50, 75, 90), unit="%"),
        Number(name="branch_coverage", low=0, high=100, edges=(60, 85), unit="%"),
        Number(name="function_coverage", low=0, high=100, edges=(90,), unit="%"),
        Number(name="critical_gaps", low=0, high=100, edges=(1, 5), unit="functions that others reach, not fully run"),
        Number(name="complexity", low=0, high=100, edges=(5,), unit="cognitive, mean of functions"),
        Number(name="trend", low=-100, high=100, edges=(-1, 1), unit="points since the project's coverage.xml"),
        Number(name="functions", low=0, high=1_000_000),
        Number(name="has_coverage", low=0, high=1),
    ),
)
ACTIONS = ActionSpace({"depth": tuple(DEPTHS), "method": tuple(METHODS), "report": tuple(REPORTS)})
SAFE: dict[str, Choice] = {"depth": "quick", "method": "linear", "report": "summary"}


def baseline(state: StateValues) -> Action:
    """The lines that are never run, file by file, as `coverage report -m` says them."""
    return {"depth": "quick", "method": "linear", "report": "detailed"}


def _order(m: Measurements) -> float:
    """Return 100·(share of mutants that survive in what was put first − share in what was not shown), −50 at least."""
    return 100.0 * (_share(m, "first") - _share(m, "rest"))


def _share(m: Measurements, which: str) -> float:
    return min(m[f"{which}_survived"] / m[f"{which}_mutants"], 1.0) if m[f"{which}_mutants"] >= 1.0 else 0.0


def _closed(m: Measurements) -> float | None:
    """Return the share of the shown gaps that were closed later, 0–100, where somebody has reported it."""
    return 100.0 * m["gaps_closed"] / max(m["gaps_shown"], 1.0) if "gaps_closed" in m else None


REWARD = composite(
    "faults",
    "speed",
    "cost",
    measurements=(
        Measurement(name="first_mutants", low=0.0),
        Measurement(name="first_survived", low=0.0),
        Measurement(name="rest_mutants", low=0.0),
        Measurement(name="rest_survived", low=0.0),
        Measurement(name="gaps_shown", low=0.0),
        Measurement(name="gaps_closed", low=0.0, optional=True),
        *FAILED,
    ),
    components=(
        Component(name="order", low=-50.0, high=100.0, weight=0.4, value=_order),
        Component(name="closed", low=0.0, high=100.0, weight=0.3, value=_closed),
    ),
    failure=lambda m: FAILURE if m["failed"] >= 0.5 else None,
)


def _missing_tools(state: StateValues) -> Iterable[Refusal]:
    if not state["has_coverage"]:
        reason = (
            "without coverage.py in the project's interpreter nothing is known of what tests reach: pip install coverage"
        )
        yield Refusal(where={}, reason=reason)


PROBE = lowest(STATE)

agent = AgentSpec(
    name="qe/coverage-analyzer",
    description="Decides how to look for what tests do not reach, and in which order these gaps should be closed.",
    state=STATE,
    actions=ACTIONS,
    reward=REWARD,
    baseline=baseline,
    safe_action=SAFE,
    guards=(rule("tools", _missing_tools, PROBE),),
    settings=single_step(alpha=1.0 / 3.0),
    kinship=Kinship(
        category="core-testing",
        group="coverage-analysis",
        project=lambda state: {
            "coverage": float(state["line_coverage"]) / 100.0,
            "complexity": min(float(state["complexity"]) / 15.0, 1.0),
        },
        roles={
            "depth=quick": "quick",
            "depth=detailed": "deep",
            "depth=gap_priority": "focused",
            "method=linear": "plain-order",
            "method=bisect": "halving-order",
            "method=graph": "graph-order",
            **{f"report={each}": f"{each}-report" for each in REPORTS},
        },
    ),
    cost="cpu_s",
)


class CoverageAnalyzer:
    """Orders gaps, and sees by mutants whether the first of them were the ones to close first."""

    needs_tests = True

    def __init__(self) -> None:
        self._state: dict[str, float] = {}
        self._texts: dict[str, str] = {}
        self._possible: dict[str, list[Fault]] = {}
        self._told: set[tuple[str, str]] = set()

    def look(self, site: Site) -> dict[str, float]:
        """Return what tests reach, measured once."""
        if not self._state:
            self._texts = {file: site.sandbox.read(file) for file in site.project.sources}
            self._possible = possible(site)
            self._state = self._measure(site)
        return dict(self._state)

    def work(self, site: Site, action: Action) -> Worked:
        """Find gaps, put them in an order, and judge the order by mutants."""
        started, before = time.monotonic(), time.process_time()
        branches = Branches() if action["depth"] == "quick" else measure_branches(site)
        every = survey_functions(self._texts, site.reference.coverage, branches.missing)
        gaps = METHODS[action["method"]](every, DEPTHS[action["depth"]])
        shown = gaps[: REPORTS[action["report"]]]
        wall_s, cpu_s = time.monotonic() - started, time.process_time() - before + branches.cpu_s
        first, rest = self._judge(site, every, shown)
        critical = [each for each in every if each.callers >= CRITICAL_CALLERS]
        survived = [any(_holds(gap, fault) for gap in critical) for fault in first.survivors]
        measured = {
            "faults_found": float(survived.count(False)),
            "critical_found": float(survived.count(True)),
            "first_mutants": float(len(first.fates)),
            "first_survived": float(len(first.survivors)),
            "rest_mutants": float(len(rest.fates)),
            "rest_survived": float(len(rest.survivors)),
            "gaps_shown": float(len(shown)),
            "wall_s": wall_s,
            "cpu_s": cpu_s,
            "expected_s": site.reference.wall_s,
            "expected_cpu_s": site.reference.cpu_s,
            "failed": 0.0,
        }
        note = (
            f"{len(shown)} of {len(gaps)} gaps shown; {len(first.survivors)} of {len(first.fates)} mutants survive in the "
            f"first, {len(rest.survivors)} of {len(rest.fates)} in what was not shown"
        )
        return Worked(measurements=measured, findings=self._new(site, shown, first, str(action["report"])), notes=(note,))

    def _measure(self, site: Site) -> dict[str, float]:
        coverage = site.reference.coverage
        branches = measure_branches(site) if coverage.available else Branches()
        every = survey_functions(self._texts, coverage, branches.missing)
        earlier = line_percent_before(site.project.root)
        reached = sum(each.tests > 0 for each in every)
        critical = sum(bool(each.unrun) and each.callers >= CRITICAL_CALLERS for each in every)
        return {
            "line_coverage": branches.line_percent,
            "branch_coverage": branches.branch_percent,
            "function_coverage": 100.0 * reached / max(len(every), 1),
            "critical_gaps": float(min(critical, 100)),
            "complexity": min(sum(each.cognitive for each in every) / max(len(every), 1), 100.0),
            "trend": branches.line_percent - earlier if earlier is not None and coverage.available else 0.0,
            "functions": float(len(every)),
            "has_coverage": float(coverage.available),
        }

    def _judge(self, site: Site, every: Sequence[Gap], shown: Sequence[Gap]) -> tuple[Survey, Survey]:
        """Seed one mutant into each of the first gaps that can hold one, and as many into functions that were not shown."""
        first = [fault for each in shown for fault in draw(site, self._inside(each), 1)][:FIRST]
        others = [fault for each in every if each not in shown for fault in self._inside(each)]
        rest = draw(site, others, FIRST)
        return survey(site, first), survey(site, rest)

    def _inside(self, gap: Gap) -> list[Fault]:
        return [each for each in self._possible.get(gap.file, ()) if _holds(gap, each)]

    def _new(self, site: Site, shown: Sequence[Gap], first: Survey, report: str) -> tuple[Finding, ...]:
        """Return the gaps that were not told before; one in which a mutant survived is confirmed."""
        fresh = [each for each in shown if (each.file, each.name) not in self._told]
        self._told |= {(each.file, each.name) for each in fresh}
        return tuple(
            Finding(
                tool="coverage-analyzer",
                rule="gap",
                severity="medium" if each.callers >= CRITICAL_CALLERS else "low",
                file=each.file,
                line=each.unrun[0] if each.unrun else each.first,
                message=_message(each, report, site.reference.coverage),
                confirmed=any(_holds(each, fault) for fault in first.survivors),
            )
            for each in fresh
        )


def _holds(gap: Gap, fault: Fault) -> bool:
    return gap.file == fault.file and gap.first <= fault.line <= gap.last


def _message(gap: Gap, report: str, coverage: CoverageMap) -> str:
    """Return a gap in words: its size, its lines, or what to do about it."""
    text = f"{gap.name}: {len(gap.unrun)} of {gap.lines} lines are never run"
    if report == "summary":
        return text
    lines = ", ".join(str(each) for each in gap.unrun[:20])
    text += f" ({lines})" if lines else ""
    text += f", {gap.untaken} ways never taken, {gap.tests} tests run it, {gap.callers} functions reach it"
    if report == "detailed":
        return text
    near = sorted(coverage.tests_of_file(gap.file))
    return f"{text}. Begin {f'beside {near[0]}' if near else f'a test file for {gap.file}'}: call {gap.name}"


skill = CoverageAnalyzer

"""qe/test-generator: which way of making tests is worth its time on a module?

Tests are made in a copy from what functions, methods and constructors really do there. Kept are those that pass, five
times and under other hash seeds, and add a line or a branch to what the suite runs, or kill a seeded fault that the suite
lets through. The faults by which a round is measured are not those from which the technique "mutation" learns. Where
everything is covered and no fault survives, or nothing was found in several rounds, the agent says so and stops.
"""

import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from steersman.core.actions import Action, ActionSpace, Choice
from steersman.core.agent import AgentSpec
from steersman.core.guards import Refusal
from steersman.core.kinship import Kinship
from steersman.core.reward import Measurement, Measurements, Reward, Score
from steersman.core.state import Category, Number, StateSchema, StateValues
from steersman.packs.qe.fleet.learning import rule, single_step
from steersman.packs.qe.fleet.reward import FAILURE, composite
from steersman.packs.qe.fleet.site import Site
from steersman.packs.qe.fleet.skill import Worked
from steersman.packs.qe.tools.gains import PATIENCE, AtWork, Gains, Kept, written
from steersman.packs.qe.tools.generation import Drafts, Maker
from steersman.packs.qe.tools.test_writing import named_apart, write_file
from steersman.packs.qe.tools.trials import Coverage, Trial, try_out

EDGE, TESTS_WANTED, TOO_FAR = 5.0, 10.0, -2.0
_BONUS = 50.0
_MOST_FAULTS = 10
_EXPECTED_STARTS = 12.0

STATE = StateSchema(
    name="test-generator",
    fields=(
        Number(name="complexity", low=1, high=100, edges=(5, 15), unit="branches of the worst function, plus one"),
        Number(name="coverage_gap", low=0, high=100, edges=(10, 50), unit="%"),
        Number(name="typed", low=0, high=1, edges=(0.5,), unit="share of functions with annotations"),
        Number(name="reusable", low=0, high=10_000, edges=(1,), unit="calls in tests"),
        Number(name="linked", low=0, high=10_000, edges=(1,), unit="functions that call others"),
        Number(name="plain", low=0, high=10_000, edges=(1,), unit="functions at the top of the module"),
        Number(name="open", low=0, high=1_000_000, unit="lines and branches of what it can call that nothing runs"),
        Number(name="survivors", low=0, high=10_000, unit="seeded faults that no test sees"),
        Number(name="in_vain", low=0, high=2 * PATIENCE, unit="rounds in a row that added nothing"),
        Number(name="lines", low=0, high=10_000),
        Number(name="functions", low=0, high=10_000),
        Number(name="branches", low=0, high=10_000),
        Category(name="framework", options=("pytest",)),
        Category(name="test_type", options=("unit",)),
        Category(name="language", options=("python",)),
        Number(name="previous_attempts", low=0, high=10_000),
        Number(name="success_rate", low=0, high=1, unit="share of drafts that were kept"),
        Number(name="has_hypothesis", low=0, high=1),
        Number(name="has_coverage", low=0, high=1),
    ),
)
ACTIONS = ActionSpace(
    {
        "technique": ("property-based", "example-based", "mutation", "fuzzing"),
        "focus": ("branches", "lines", "edge cases"),
        "depth": ("simple", "comprehensive", "integration"),
        "pattern": ("reuse", "new"),
    }
)
SAFE: dict[str, Choice] = {"technique": "example-based", "focus": "edge cases", "depth": "simple", "pattern": "new"}


def baseline(state: StateValues) -> Action:
    """A few new examples for branches that are not covered yet; for edge cases where nothing tells the branches."""
    return SAFE | {"focus": "branches"} if state["has_coverage"] else SAFE


@dataclass(frozen=True, kw_only=True)
class _WithTests(Reward):
    """The composite reward, and 5 for each edge case less 2 for each test away from ten; where tests were kept only."""

    def score(self, measurements: Measurements) -> Score:
        base = super().score(measurements)
        if measurements["tests"] < 1.0:
            return base
        raw = EDGE * measurements["edge_cases"] + TOO_FAR * abs(measurements["tests"] - TESTS_WANTED)
        tests = min(max(raw, -_BONUS), _BONUS)
        reward = min(max(base.reward + tests, self.low), self.high)
        return Score(reward=reward, components=base.components | {"tests": tests})


def _nothing_made(m: Measurements) -> float | None:
    """Return −50 where no test was kept: else doing nothing, quickly, would pay."""
    return FAILURE if m["tests"] < 1.0 else None


def _reward() -> Reward:
    made = (Measurement(name="tests", low=0.0), Measurement(name="edge_cases", low=0.0))
    base = composite("coverage", "faults", "speed", "cost", "reuse", measurements=made, failure=_nothing_made)
    return _WithTests(
        measurements=base.measurements, components=base.components, low=base.low, high=base.high, failure=base.failure
    )


REWARD = _reward()


def _missing_tools(state: StateValues) -> Iterable[Refusal]:
    """Refuse what needs a package that the project's interpreter does not have."""
    if not state["has_hypothesis"]:
        reason = "property-based tests need hypothesis in the project's interpreter: pip install hypothesis"
        yield Refusal(where={"technique": "property-based"}, reason=reason)
    if not state["has_coverage"]:
        for each in ("branches", "lines"):
            reason = f"{each} need coverage.py in the project's interpreter: pip install coverage"
            yield Refusal(where={"focus": each}, reason=reason)


def _nothing_there(state: StateValues) -> Iterable[Refusal]:
    """Refuse to reuse what no test calls, to integrate what stands alone, and properties of what is no function."""
    if float(state["reusable"]) < 1.0:
        reason = "no test calls a function of this module with arguments that can be written out"
        yield Refusal(where={"pattern": "reuse"}, reason=reason)
    if float(state["plain"]) < 1.0:
        reason = "property-based tests are made of functions, and this module has classes only"
        yield Refusal(where={"technique": "property-based"}, reason=reason)
    if float(state["linked"]) < 1.0:
        yield Refusal(where={"depth": "integration"}, reason="no function of this module calls another of the project")


def _nothing_to_add(state: StateValues) -> Iterable[Refusal]:
    """Refuse everything where nothing is left to gain, or several rounds in a row gained nothing."""
    reason = ""
    if not state["open"] and not state["survivors"]:
        reason = "nothing to add here: all of the functions it can call is covered and no seeded mutant survived"
    elif float(state["in_vain"]) >= PATIENCE:
        reason = f"nothing to add here: {PATIENCE} rounds in a row, or two at each module, found no test that adds something"
    if reason:
        for each in ACTIONS.dimensions["technique"]:
            yield Refusal(where={"technique": each}, reason=reason)


PROBE: StateValues = {
    each.name: each.low if isinstance(each, Number) else each.options[0]
    for each in STATE.fields
    if isinstance(each, Number | Category)
}


def _shared(state: StateValues) -> dict[str, float]:
    return {
        "complexity": min(float(state["complexity"]) / 30.0, 1.0),
        "gap": float(state["coverage_gap"]) / 100.0,
        "size": min(float(state["lines"]) / 1000.0, 1.0),
    }


agent = AgentSpec(
    name="qe/test-generator",
    description="Decides how new tests for a module are made: technique, focus, depth, and from what is there or anew.",
    state=STATE,
    actions=ACTIONS,
    reward=REWARD,
    baseline=baseline,
    safe_action=SAFE,
    guards=(
        rule("tools", _missing_tools, PROBE),
        rule("nothing-there", _nothing_there, PROBE),
        rule("nothing-to-add", _nothing_to_add, PROBE),
    ),
    settings=single_step(alpha=0.25),
    kinship=Kinship(
        category="core-testing",
        group="test-generation",
        project=_shared,
        roles={
            "technique=property-based": "synthetic",
            "technique=example-based": "replay",
            "technique=mutation": "targeted",
            "technique=fuzzing": "boundary",
            "focus=branches": "branches",
            "focus=lines": "lines",
            "focus=edge cases": "edge-heavy",
            "depth=simple": "quick",
            "depth=comprehensive": "deep",
            "depth=integration": "across",
            "pattern=reuse": "from-existing",
            "pattern=new": "anew",
        },
    ),
    cost="cpu_s",
)


class TestGenerator:
    """Makes tests for one module a round. faults: how many that survive its tests are measured by."""

    __test__ = False
    needs_tests = False

    def __init__(self, faults: int = 6) -> None:
        self._faults = faults
        self._gains: Gains | None = None
        self._now: AtWork | None = None

    def look(self, site: Site) -> dict[str, Any]:
        """Choose a module, where most is to be gained; at first, the suite runs under coverage.py and is listened to."""
        gains = self._gains = self._gains or Gains(site, self._faults)
        now = self._now = gains.most_promising(site)
        module, called = now.module, now.module.targets
        return {
            "complexity": float(min(module.complexity, 100)),
            "coverage_gap": 100.0 - gains.covered.share(gains.ran, module.file),
            "typed": sum(each.typed for each in called) / len(called),
            "reusable": float(sum(len(gains.heard.of(each)) for each in called)),
            "linked": float(sum(bool(each.calls) for each in called)),
            "plain": float(sum(each.how == "function" for each in called)),
            "open": float(len(gains.open(module)) if gains.covered.possible else len(called)),
            "survivors": float(now.survivors),
            "in_vain": float(PATIENCE if now.in_vain and gains.done else min(gains.in_vain, PATIENCE)),
            "lines": float(module.lines),
            "functions": float(module.functions),
            "branches": float(module.branches),
            "framework": "pytest",
            "test_type": "unit",
            "language": "python",
            "previous_attempts": float(now.attempts),
            "success_rate": now.accepted / max(now.drafted, 1),
            "has_hypothesis": float(bool(site.project.tools.hypothesis)),
            "has_coverage": float(bool(site.project.tools.coverage)),
        }

    def work(self, site: Site, action: Action) -> Worked:
        """Make tests, try them out, keep what adds something, and offer it together with what was kept before."""
        if self._gains is None or self._now is None:
            self.look(site)
            return self.work(site, action)
        gains, now = self._gains, self._now
        started = time.monotonic()
        made = self._made(site, gains, now, action)
        drafts = {each.name: each for each in named_apart(made.drafts, now.kept.values())}
        with site.changed({now.file: write_file(now.module.name, [*drafts.values()])}):
            trial = try_out(site, now.file) if drafts else Trial(passed=frozenset(), coverage=Coverage(), cpu_s=0.0)
            wall_s = time.monotonic() - started
            kept = gains.what_adds(site, now, drafts, trial)
        faults, of = len(kept.killed.intersection(now.missed)), len(now.missed)
        gains.remember(now, len(drafts), kept)
        text = written(site, now) if kept.drafts else ""
        known = {(each.file, each.line, each.rule) for each in site.findings}
        note = f"{now.module.name}: {len(kept.drafts)} of {len(drafts)} tests kept, "
        return Worked(
            measurements=_measured(gains, kept, faults, str(action["pattern"]))
            | {"wall_s": wall_s, "cpu_s": made.cpu_s + trial.cpu_s},
            findings=tuple(each for each in made.crashes if (each.file, each.line, each.rule) not in known),
            files={now.file: text} if text else {},
            notes=(f"{note}{faults} of {of} faults killed that the suite lets through",),
        )

    def _made(self, site: Site, gains: Gains, now: AtWork, action: Action) -> Drafts:
        faults, missing = now.learn_from[:_MOST_FAULTS], gains.covered.possible - gains.ran
        maker = Maker(
            site, now.module, heard=gains.heard, missing=missing, ran=gains.ran, faults=faults, fitting=now.fitting
        )
        return maker.make(*(str(action[each]) for each in ACTIONS.dimensions))


def _measured(gains: Gains, kept: Kept, faults: int, pattern: str) -> dict[str, float]:
    reused = any(each.reused for each in kept.drafts)
    return {
        "coverage_before": gains.covered.share(kept.before),
        "coverage_after": gains.covered.share(kept.ran),
        "faults_found": float(faults),
        "critical_found": 0.0,
        "expected_s": _EXPECTED_STARTS * gains.start.wall_s,
        "expected_cpu_s": _EXPECTED_STARTS * gains.start.cpu_s,
        "reused": 0.0 if pattern == "new" else 1.0 if reused else -1.0,
        "tests": float(len(kept.drafts)),
        "edge_cases": float(sum(each.edge for each in kept.drafts)),
    }


skill = TestGenerator

"""qe/test-generator: which way of making tests is worth its time on a module?

Tests are made in a copy from what the functions really do there. Kept are those that pass, five times and under other
hash seeds, and add a line or a branch to what the suite runs, or kill a seeded fault that the suite lets through. The
faults by which a round is measured are not those from which the technique "mutation" learns.
"""

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from steersman.core.actions import Action, ActionSpace, Choice
from steersman.core.agent import AgentSpec
from steersman.core.errors import NotFound
from steersman.core.guards import Guard, Refusal
from steersman.core.kinship import Kinship
from steersman.core.reward import Measurement, Measurements, Reward, Score
from steersman.core.state import Category, Number, StateSchema, StateValues
from steersman.packs.qe.faults.mutation import Fault, candidates, is_valid, sample
from steersman.packs.qe.fleet.learning import single_step
from steersman.packs.qe.fleet.reward import FAILURE, composite
from steersman.packs.qe.fleet.site import Site
from steersman.packs.qe.fleet.skill import Worked
from steersman.packs.qe.project.suite import Plan, RunResult
from steersman.packs.qe.tools.functions import Module, calls_in_tests, modules_of
from steersman.packs.qe.tools.generation import Maker
from steersman.packs.qe.tools.test_writing import Draft, write_file
from steersman.packs.qe.tools.trials import Coverage, Point, Trial, kills, suite_coverage, try_out

EDGE, TESTS_WANTED, TOO_FAR = 5.0, 10.0, -2.0
_BONUS = 50.0
_LEARN_FROM = 10
_EXPECTED_STARTS = 12.0
_MOST_KEPT = 60

STATE = StateSchema(
    name="test-generator",
    fields=(
        Number(name="complexity", low=1, high=100, edges=(5, 15), unit="branches of the worst function, plus one"),
        Number(name="coverage_gap", low=0, high=100, edges=(10, 50), unit="%"),
        Number(name="typed", low=0, high=1, edges=(0.5,), unit="share of functions with annotations"),
        Number(name="reusable", low=0, high=10_000, edges=(1,), unit="calls in tests"),
        Number(name="linked", low=0, high=10_000, edges=(1,), unit="functions that call others"),
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
    """Refuse to reuse what no test calls, and to integrate what stands alone."""
    if float(state["reusable"]) < 1.0:
        yield Refusal(where={"pattern": "reuse"}, reason="no test calls a function of this module with literals")
    if float(state["linked"]) < 1.0:
        yield Refusal(where={"depth": "integration"}, reason="no function of this module calls another of the project")


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
        Guard(name="tools", refuse=_missing_tools, probe=PROBE),
        Guard(name="nothing-there", refuse=_nothing_there, probe=PROBE),
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


@dataclass(kw_only=True)
class _Target:
    """A module at work: faults to learn from, faults that the suite lets through, what was tried and kept so far."""

    module: Module
    file: str
    learn_from: tuple[Fault, ...]
    missed: tuple[Fault, ...]
    kept: dict[str, Draft]
    attempts: int = 0
    drafted: int = 0
    accepted: int = 0


@dataclass(frozen=True, kw_only=True)
class _Kept:
    """The drafts that add something, and how many faults they kill that the suite lets through."""

    drafts: tuple[Draft, ...]
    before: frozenset[Point]
    ran: frozenset[Point]
    killed: int


class TestGenerator:
    """Makes tests for one module a round. faults: how many seeded faults the tests of a module are measured by."""

    __test__ = False
    needs_tests = False

    def __init__(self, faults: int = 6) -> None:
        self._faults = faults
        self._modules: tuple[Module, ...] = ()
        self._known: Mapping[str, list[tuple[Any, ...]]] = {}
        self._targets: dict[str, _Target] = {}
        self._suite = RunResult(tests={})
        self._covered = Coverage()
        self._ran: frozenset[Point] = frozenset()
        self._start = RunResult(tests={})
        self._now: Module | None = None

    def look(self, site: Site) -> dict[str, Any]:
        """Choose a module, those before others of which less is run; at first, the suite runs under coverage.py."""
        if not self._modules:
            self._begin(site)
        gaps = [100.0 - self._covered.share(self._ran, each.file) for each in self._modules]
        weights = [each + 5.0 for each in gaps]
        index = int(site.generator.choice(len(gaps), p=[each / sum(weights) for each in weights]))
        module = self._now = self._modules[index]
        target = self._targets.get(module.file)
        return {
            "complexity": float(min(module.complexity, 100)),
            "coverage_gap": gaps[index],
            "typed": sum(each.typed for each in module.targets) / len(module.targets),
            "reusable": float(sum(len(self._known.get(each.name, ())) for each in module.targets)),
            "linked": float(sum(bool(each.calls) for each in module.targets)),
            "lines": float(module.lines),
            "functions": float(module.functions),
            "branches": float(module.branches),
            "framework": "pytest",
            "test_type": "unit",
            "language": "python",
            "previous_attempts": float(target.attempts if target else 0),
            "success_rate": target.accepted / max(target.drafted, 1) if target else 0.0,
            "has_hypothesis": float(bool(site.project.tools.hypothesis)),
            "has_coverage": float(bool(site.project.tools.coverage)),
        }

    def work(self, site: Site, action: Action) -> Worked:
        """Make tests, try them out, keep what adds something, and offer it together with what was kept before."""
        if self._now is None:
            self.look(site)
        target = self._target(site, self._now or self._modules[0])
        started = time.monotonic()
        maker = Maker(site, target.module, known=self._known, ran=self._ran, faults=target.learn_from)
        made = maker.make(*(str(action[each]) for each in ACTIONS.dimensions))
        drafts = {each.name: each for each in made.drafts}
        with site.changed({target.file: write_file(target.module.name, [*drafts.values()])}):
            trial = try_out(site, target.file) if drafts else Trial(passed=frozenset(), coverage=Coverage(), cpu_s=0.0)
            wall_s = time.monotonic() - started
            kept = self._what_adds(site, target, drafts, trial)
        known = {(each.file, each.line, each.rule) for each in site.findings}
        new = tuple(each for each in made.crashes if (each.file, each.line, each.rule) not in known)
        self._remember(target, len(drafts), kept)
        measured = self._measured(kept, str(action["pattern"]), wall_s, made.cpu_s + trial.cpu_s)
        files = {target.file: write_file(target.module.name, [*target.kept.values()])} if target.kept else {}
        note = f"{target.module.name}: {len(kept.drafts)} of {len(drafts)} tests kept, "
        note += f"{kept.killed} of {len(target.missed)} faults killed that the suite lets through"
        return Worked(measurements=measured, findings=new, files=files, notes=(note,))

    def _begin(self, site: Site) -> None:
        self._modules = modules_of(site.sandbox)
        if not self._modules:
            raise NotFound(
                f"{site.project.name} has no public function at the top of a module that takes literals and keeps to "
                "itself, so no test can be made. Give a project with such functions."
            )
        self._known = calls_in_tests(site.sandbox, [each for module in self._modules for each in module.targets])
        first = self._modules[0]
        nothing = _free_name(site, first)
        with site.changed({nothing: f"import {first.name}\n\n\ndef test_start():\n    assert {first.name}\n"}):
            self._start = site.suite.run(Plan(whole=(nothing,), rest=False), timeout_s=site.timeout_s)
            self._suite, self._covered = suite_coverage(site)
        self._ran = frozenset().union(
            *(points for test, points in self._covered.by_test.items() if not test.startswith(nothing))
        )
        if not site.project.tests:
            self._ran = frozenset()

    def _target(self, site: Site, module: Module) -> _Target:
        """Return a module with its faults, drawn once: some to learn from, others to be measured by."""
        if module.file not in self._targets:
            source = site.sandbox.read(module.file)
            names = {each.name for each in module.targets}
            every = [each for each in candidates(module.file, source) if each.function in names and is_valid(each, source)]
            drawn = sample(site.generator, every, self._faults + _LEARN_FROM)
            half = min(self._faults, (len(drawn) + 1) // 2)
            self._targets[module.file] = _Target(
                module=module,
                file=_free_name(site, module),
                learn_from=tuple(drawn[half:]),
                missed=tuple(each for each in drawn[:half] if self._is_missed(site, each)),
                kept={},
            )
        return self._targets[module.file]

    def _is_missed(self, site: Site, fault: Fault) -> bool:
        """Return whether the suite lets a fault through, by running the tests that run its line."""
        point = (fault.file, fault.line, 0)
        covering = [test for test, points in self._covered.by_test.items() if test in self._suite.tests and point in points]
        if not site.project.tests or (self._covered.possible and not covering):
            return True
        plan = Plan(order=tuple(covering), rest=False) if covering else Plan()
        return not kills(site, fault, plan) - frozenset(self._suite.failures)

    def _what_adds(self, site: Site, target: _Target, drafts: Mapping[str, Draft], trial: Trial) -> _Kept:
        """Keep, of the tests that passed, those that run something new or kill a fault, as long as others do not."""
        killed = {name: set[Fault]() for name in trial.passed}
        for fault in target.missed if trial.passed else ():
            failed = kills(site, fault, Plan(order=tuple(sorted(trial.passed)), rest=False))
            for name in trial.passed if target.file in failed else trial.passed & failed:
                killed[name].add(fault)
        left = dict.fromkeys(sorted(trial.passed, key=lambda each: -len(killed[each])))
        before = self._ran | trial.coverage.by_test.get("", frozenset())  # what any import runs is no test's merit
        kept, ran, dead = [], set(before), set[Fault]()
        for name in left:
            new = trial.coverage.by_test.get(name, frozenset()) - ran
            if new or killed[name] - dead:
                kept.append(drafts[name.split("::")[-1]])
                ran |= new
                dead |= killed[name]
        return _Kept(drafts=tuple(kept), before=before, ran=frozenset(ran), killed=len(dead))

    def _remember(self, target: _Target, drafted: int, kept: _Kept) -> None:
        target.attempts += 1
        target.drafted += drafted
        target.accepted += len(kept.drafts)
        for each in kept.drafts[: max(_MOST_KEPT - len(target.kept), 0)]:
            target.kept[each.name] = each

    def _measured(self, kept: _Kept, pattern: str, wall_s: float, cpu_s: float) -> dict[str, float]:
        reused = any(each.reused for each in kept.drafts)
        return {
            "coverage_before": self._covered.share(kept.before),
            "coverage_after": self._covered.share(kept.ran),
            "faults_found": float(kept.killed),
            "critical_found": 0.0,
            "wall_s": wall_s,
            "cpu_s": cpu_s,
            "expected_s": _EXPECTED_STARTS * self._start.wall_s,
            "expected_cpu_s": _EXPECTED_STARTS * self._start.cpu_s,
            "reused": 0.0 if pattern == "new" else 1.0 if reused else -1.0,
            "tests": float(len(kept.drafts)),
            "edge_cases": float(sum(each.edge for each in kept.drafts)),
        }


def _free_name(site: Site, module: Module) -> str:
    """Return the path of a test file that the project does not have yet."""
    folders = [each.rpartition("/")[0] for each in site.project.tests]
    folder = "tests" if not folders or "tests" in folders else folders[0]
    stem = "/".join(each for each in (folder, f"test_generated_{module.name.replace('.', '_')}") if each)
    number = 1
    while (site.project.root / _numbered(stem, number)).exists():
        number += 1
    return _numbered(stem, number)


def _numbered(stem: str, number: int) -> str:
    return f"{stem}.py" if number == 1 else f"{stem}_{number}.py"


skill = TestGenerator

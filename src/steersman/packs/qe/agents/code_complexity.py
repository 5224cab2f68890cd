"""qe/code-complexity: which refactoring makes a hard function easier, without breaking anything?

Nested ifs and conditions are rewritten on the copy, a part is made a function of its own where the names that go in and out
are certain, and the tests that run the function run again: it is paid for the complexity that went away, and loses for tests
that break. Where a person has to decide, it advises, and its outcome comes later by `steersman report`.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence

from steersman.core.actions import Action, ActionSpace
from steersman.core.agent import AgentSpec
from steersman.core.guards import Refusal
from steersman.core.kinship import Kinship
from steersman.core.reward import Component, Measurement, Measurements, Reward
from steersman.core.state import Number, StateSchema, StateValues
from steersman.packs.qe.fleet.findings import Finding, Severity
from steersman.packs.qe.fleet.learning import lowest, rule, single_step
from steersman.packs.qe.fleet.site import Site
from steersman.packs.qe.fleet.skill import Worked
from steersman.packs.qe.project.suite import Plan, RunResult
from steersman.packs.qe.tools.advice import class_parts, hardest_part
from steersman.packs.qe.tools.churn import churn
from steersman.packs.qe.tools.complexity import Cyclomatic, Function, cyclomatic, functions
from steersman.packs.qe.tools.extraction import extract_method
from steersman.packs.qe.tools.refactoring import Refactored, reduce_nesting, simplify_conditionals
from steersman.packs.qe.tools.run import has

REWRITES: dict[str, Callable[[str, str], Refactored]] = {
    "reduce_nesting": reduce_nesting,
    "simplify_conditionals": simplify_conditionals,
    "extract_method": extract_method,
}
ADVICE: Mapping[str, Callable[[str, str], str]] = {"extract_method": hardest_part, "extract_class": class_parts}
HARD_CYCLOMATIC, HARD_COGNITIVE, HARD_LENGTH = 10, 15, 300
BROKEN = -50.0
_REPORTED = 10

STATE = StateSchema(
    name="code-complexity",
    fields=(
        Number(name="max_cyclomatic", low=0, high=1000, edges=(5, HARD_CYCLOMATIC, 20), unit="paths"),
        Number(name="max_cognitive", low=0, high=1000, edges=(5, HARD_COGNITIVE, 30)),
        Number(name="max_length", low=0, high=100_000, edges=(50, HARD_LENGTH), unit="lines"),
        Number(name="churn", low=0, high=500, edges=(10,), unit="of the last 500 commits"),
        Number(name="tried", low=0, high=1000, unit="actions on this function"),
        Number(name="is_tested", low=0, high=1, edges=(0.5,)),
        Number(name="in_class", low=0, high=1, edges=(0.5,)),
        Number(name="has_radon", low=0, high=1),
    ),
)
ACTIONS = ActionSpace.flat("report", "extract_method", "extract_class", "reduce_nesting", "simplify_conditionals")


def baseline(state: StateValues) -> str:
    """Report what is hard, as linters do; return early where a function is over the usual limit of 15."""
    able = state["has_radon"] and state["is_tested"]
    return "reduce_nesting" if able and float(state["max_cognitive"]) >= HARD_COGNITIVE else "report"


def _drop(m: Measurements, name: str) -> float:
    before = m[f"{name}_before"]
    return 100.0 * (before - m[f"{name}_after"]) / max(before, 1.0)


REWARD = Reward(
    measurements=(
        Measurement(name="cognitive_before", low=0.0),
        Measurement(name="cognitive_after", low=0.0),
        Measurement(name="cyclomatic_before", unit="paths", low=0.0),
        Measurement(name="cyclomatic_after", unit="paths", low=0.0),
        Measurement(name="broken_tests", low=0.0),
        Measurement(name="cpu_s", unit="s", low=0.0),
        Measurement(name="expected_cpu_s", unit="s", low=0.0),
    ),
    components=(
        Component(name="cognitive", low=-50.0, high=100.0, weight=0.6, value=lambda m: _drop(m, "cognitive")),
        Component(name="cyclomatic", low=-50.0, high=100.0, weight=0.3, value=lambda m: _drop(m, "cyclomatic")),
        Component(
            name="cost",
            low=-50.0,
            high=0.0,
            weight=0.1,
            value=lambda m: -25.0 * m["cpu_s"] / max(m["expected_cpu_s"], 1e-3),
        ),
    ),
    low=-50.0,
    high=100.0,
    failure=lambda m: BROKEN if m["broken_tests"] >= 1.0 else None,
)


def _missing_tools(state: StateValues) -> Iterable[Refusal]:
    if not state["has_radon"]:
        for each in ACTIONS.dimensions["action"][1:]:
            yield Refusal(where={"action": each}, reason=f"{each} is measured by radon: pip install radon")


def _untested(state: StateValues) -> Iterable[Refusal]:
    """Refuse to rewrite what no test runs: that nothing broke could not be seen."""
    if not state["is_tested"]:
        for each in ("reduce_nesting", "simplify_conditionals"):
            yield Refusal(where={"action": each}, reason=f"no test runs this function, so {each} cannot be checked: test it")


def _no_class(state: StateValues) -> Iterable[Refusal]:
    if not state["in_class"]:
        yield Refusal(where={"action": "extract_class"}, reason="the function belongs to no class; choose another action")


PROBE = lowest(STATE)

agent = AgentSpec(
    name="qe/code-complexity",
    description="Decides by which refactoring a function that is hard to follow becomes easier.",
    state=STATE,
    actions=ACTIONS,
    reward=REWARD,
    baseline=baseline,
    safe_action="report",
    guards=(
        rule("tools", _missing_tools, PROBE),
        rule("tests", _untested, PROBE),
        rule("class", _no_class, PROBE),
    ),
    settings=single_step(),
    kinship=Kinship(
        category="core-testing",
        project=lambda state: {
            "complexity": min(float(state["max_cognitive"]) / 30.0, 1.0),
            "size": min(float(state["max_length"]) / HARD_LENGTH, 1.0),
        },
        roles={
            "action=report": "quick",
            "action=extract_method": "deep",
            "action=extract_class": "everything",
            "action=reduce_nesting": "focused",
            "action=simplify_conditionals": "narrow",
        },
    ),
    cost="cpu_s",
)


class CodeComplexity:
    """Takes the functions of a project in turn, the hardest first; what it made easier stays so for the next round."""

    needs_tests = True

    def __init__(self) -> None:
        self._texts: dict[str, str] = {}
        self._accepted: dict[str, str] = {}
        self._functions: dict[str, tuple[Function, ...]] = {}
        self._as_found: dict[tuple[str, str], Function] = {}
        self._tried: dict[tuple[str, str], int] = {}
        self._churn: Mapping[str, int] = {}
        self._paths: dict[tuple[str, int], int] = {}
        self._target: Function | None = None

    def look(self, site: Site) -> dict[str, float]:
        """Choose the function that was tried least often, of those the hardest, and return what is known of it."""
        if not self._texts:
            self._read(site)
        found = [each for some in self._functions.values() for each in some if each.cognitive]
        target = min(found, key=lambda each: (self._tries(each), -each.cognitive, -each.length), default=None)
        self._target = target
        return {
            "max_cyclomatic": float(self._paths.get((target.file, target.first), 0)) if target else 0.0,
            "max_cognitive": float(target.cognitive) if target else 0.0,
            "max_length": float(target.length) if target else 0.0,
            "churn": float(min(self._churn.get(target.file, 0), 500)) if target else 0.0,
            "tried": float(self._tries(target)) if target else 0.0,
            "is_tested": float(bool(target and self._plan(site, target))),
            "in_class": float(bool(target and "." in target.name)),
            "has_radon": float(has("radon")),
        }

    def work(self, site: Site, action: Action) -> Worked:
        """Report, advise, or rewrite the function and run its tests."""
        target, name = self._target, str(action["action"])
        if target is None:
            return Worked(measurements=_measured(0, 0, site), notes=("no function of the project has a branch",))
        self._tried[target.file, target.name] = self._tries(target) + 1
        paths = self._paths.get((target.file, target.first), 0)
        if name == "report":
            return Worked(measurements=_measured(target.cognitive, paths, site), notes=(_words(target, paths),))
        if name in REWRITES:
            return self._rewrite(site, target, name) or self._advice(site, target, name)
        return self._advice(site, target, name)

    def _read(self, site: Site) -> None:
        """Measure all functions as they are, and put the hard ones among the findings."""
        self._texts = {file: site.sandbox.read(file) for file in site.project.sources}
        self._churn = churn(site.project.root, site.timeout_s)
        if has("radon"):
            self._paths = dict(_cyclomatic(site, site.project.sources).of)
        self._functions = {file: functions(file, text) for file, text in self._texts.items()}
        found = [each for some in self._functions.values() for each in some]
        self._as_found = {(each.file, each.name): each for each in found}
        hard = [each for each in found if self._is_hard(each)]
        site.findings.extend(self._finding(each) for each in sorted(hard, key=lambda each: -each.cognitive)[:_REPORTED])

    def _is_hard(self, each: Function) -> bool:
        paths = self._paths.get((each.file, each.first), 0)
        return paths > HARD_CYCLOMATIC or each.cognitive > HARD_COGNITIVE or each.length > HARD_LENGTH

    def _finding(self, each: Function) -> Finding:
        message = _words(each, self._paths.get((each.file, each.first), 0))
        severity: Severity = "medium" if each.cognitive > 2 * HARD_COGNITIVE else "low"
        return Finding(
            tool="complexity",
            rule="hard",
            severity=severity,
            file=each.file,
            line=each.first,
            message=message,
            confirmed=True,
        )

    def _tries(self, each: Function) -> int:
        return self._tried.get((each.file, each.name), 0)

    def _plan(self, site: Site, target: Function) -> Plan | None:
        """Return how to run the tests that run a function, all of them without a map; None where there is none."""
        coverage = site.reference.coverage
        if not coverage.available:
            return Plan()
        found = self._as_found[target.file, target.name]
        lines = coverage.lines.get(target.file, {})
        tests = frozenset().union(*(each for line, each in lines.items() if found.first < line <= found.last))
        return Plan(order=tuple(sorted(tests)), rest=False) if tests else None

    def _rewrite(self, site: Site, target: Function, name: str) -> Worked | None:
        """Rewrite the function and run its tests; None where nothing can be done that is safe and can be checked."""
        before = self._paths.get((target.file, target.first), 0)
        changed = REWRITES[name](self._texts[target.file], target.name)
        plan = self._plan(site, target)
        if not changed.steps or plan is None:
            return None
        with site.changed({**self._accepted, target.file: changed.text}):
            run = site.suite.run(plan, timeout_s=site.timeout_s)
            paths = _cyclomatic(site, [target.file])
        after = _what_became(self._texts[target.file], changed.text, target)
        broken = _broken(run, site)
        measured = {
            **_measured(target.cognitive, before, site),
            "cognitive_after": float(max(each.cognitive for each in after)),
            "cyclomatic_after": float(max(paths.of.get((each.file, each.first), before) for each in after)),
            "broken_tests": float(broken),
            "cpu_s": run.cpu_s + paths.cpu_s,
        }
        words = f"{_words(target, before)}: {'; '.join(changed.steps)}: now {measured['cognitive_after']:.0f}"
        if broken:
            return Worked(measurements=measured, notes=(f"{words}, but {broken} tests break, so it is not offered",))
        self._accept(target, changed.text, paths)
        return Worked(
            measurements=measured,
            files={target.file: changed.text},
            notes=(f"{words}, and {len(run.tests)} tests that run it pass",),
        )

    def _accept(self, target: Function, text: str, paths: Cyclomatic) -> None:
        """Keep a file as it became, so that the next round goes on from there; a part has the tests of what it was in."""
        file, whole = target.file, self._as_found[target.file, target.name]
        for each in _what_became(self._texts[file], text, target):
            self._as_found.setdefault((file, each.name), whole)
        self._texts[file] = self._accepted[file] = text
        self._functions[file] = functions(file, text)
        self._paths = {at: value for at, value in self._paths.items() if at[0] != file} | dict(paths.of)

    def _advice(self, site: Site, target: Function, name: str) -> Worked:
        """Say what a person could do, whose outcome comes later; of conditions and nesting there is nothing to say then."""
        paths = self._paths.get((target.file, target.first), 0)
        if name not in ADVICE:
            note = f"{_words(target, paths)}: nothing to {name.replace('_', ' ')} there that is safe"
            return Worked(measurements=_measured(target.cognitive, paths, site), notes=(note,))
        said = ADVICE[name](self._texts[target.file], target.name)
        return Worked(measurements=None, notes=(said, _how_to_report(target, paths)))


def _what_became(before: str, after: str, target: Function) -> list[Function]:
    """Return a function after a change, with those that are new."""
    known = {each.name for each in functions(target.file, before)} - {target.name}
    return [each for each in functions(target.file, after) if each.name not in known]


def _cyclomatic(site: Site, files: Sequence[str]) -> Cyclomatic:
    return cyclomatic(site.sandbox.root, files, site.sandbox.scratch, site.timeout_s)


def _measured(cognitive: int, paths: int, site: Site) -> dict[str, float]:
    """Return the measurements of a function that stays as it is."""
    return {
        "cognitive_before": float(cognitive),
        "cognitive_after": float(cognitive),
        "cyclomatic_before": float(paths),
        "cyclomatic_after": float(paths),
        "broken_tests": 0.0,
        "cpu_s": 0.0,
        "expected_cpu_s": site.reference.cpu_s,
    }


def _broken(run: RunResult, site: Site) -> int:
    """Return how many tests fail that did not before; a run that did not end counts as one."""
    known = site.reference.failing | site.reference.flaky
    return len(set(run.failures) - known) + run.timed_out


def _words(each: Function, paths: int) -> str:
    return f"{each.file}:{each.first} {each.name}: cognitive {each.cognitive}, {paths} paths, {each.length} lines"


def _how_to_report(target: Function, paths: int) -> str:
    return (
        "carry it out, run the tests and this agent again, and tell what came of it: steersman report DECISION "
        f'\'{{"cognitive_before": {target.cognitive}, "cognitive_after": ?, "cyclomatic_before": {paths}, '
        '"cyclomatic_after": ?, "broken_tests": 0, "cpu_s": 0, "expected_cpu_s": 1}\' --terminated'
    )


skill = CodeComplexity

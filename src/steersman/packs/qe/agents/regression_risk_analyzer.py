"""qe/regression-risk-analyzer: after a change, which tests are worth their time?

It is measured by changes that are planted into a copy: faults that some tests see, faults that none sees, and comments.
The chosen tests run for real. The whole suite runs once for each fault, at nobody's expense, and says whether one that it
sees escaped the choice; what it says goes into the history too, as a nightly run of everything would tell it.
"""

import math
from collections import Counter
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from steersman.core.actions import Action, ActionSpace
from steersman.core.agent import AgentSpec, Guardrail
from steersman.core.errors import InvalidInput
from steersman.core.guards import Refusal
from steersman.core.kinship import Kinship
from steersman.core.reward import Component, Measurement, Measurements, Reward
from steersman.core.state import Number, StateSchema, StateValues
from steersman.packs.qe.fleet.learning import lowest, rule, single_step
from steersman.packs.qe.fleet.site import Site
from steersman.packs.qe.fleet.skill import Worked
from steersman.packs.qe.ordering.learner import OrderLearner
from steersman.packs.qe.ordering.saved import part, said, under, words
from steersman.packs.qe.plants.releases import Release, Releases
from steersman.packs.qe.project.discovery import python_files
from steersman.packs.qe.project.suite import Plan
from steersman.packs.qe.tools.reach import Calls, Imports
from steersman.packs.qe.tools.risk import BANDS, change_risk

_KEPT = "regression-risk-analyzer"
ESCAPED = -100.0
FEW = 3
LEARNED_SHARE = 1.0 / 3.0
"""How much of the suite's time a learned selection may take."""

STATE = StateSchema(
    name="regression-risk-analyzer",
    fields=(
        Number(name="risk", low=0, high=100, edges=BANDS, unit="points"),
        Number(name="reach", low=0, high=1, edges=(1e-6, 0.25, 0.6), unit="share of the tests that run the changed line"),
        Number(name="failure_rate", low=0, high=1, unit="share of earlier changes that broke a test"),
        Number(name="suite_s", low=0, high=86_400, edges=(2, 20, 200), unit="s"),
        Number(name="tests", low=0, high=1_000_000, edges=(100, 1000)),
        Number(name="dependent", low=0, high=1, unit="share of the tests in files that import the changed one"),
        Number(name="callers", low=0, high=100_000, unit="functions"),
        Number(name="branches", low=0, high=10_000),
        Number(name="known_breaks", low=0, high=1_000_000, unit="earlier changes that broke a test"),
        Number(name="has_coverage", low=0, high=1),
    ),
)
ACTIONS = ActionSpace.flat("minimal", "coverage-selected", "dependency-selected", "learned", "full")


def baseline(state: StateValues) -> str:
    """The tests that ran the changed line; all of them where that is not known."""
    return "coverage-selected" if state["has_coverage"] else "full"


def _saved(m: Measurements) -> float:
    """Return the share of the whole suite's time that was saved, in per cent; −100 where a fault escaped.

    The time is the processor's: the clock would also count whatever else is running on the machine.
    """
    return ESCAPED if m["escaped"] >= 0.5 else max(100.0 * (1.0 - m["cpu_s"] / max(m["suite_cpu_s"], 1e-3)), 0.0)


REWARD = Reward(
    measurements=(
        Measurement(name="breaks", low=0.0, high=1.0),
        Measurement(name="escaped", low=0.0, high=1.0),
        Measurement(name="tests_run", low=0.0),
        Measurement(name="wall_s", unit="s", low=0.0),
        Measurement(name="cpu_s", unit="s", low=0.0),
        Measurement(name="suite_cpu_s", unit="s", low=0.0),
    ),
    components=(Component(name="saved", low=-100.0, high=100.0, weight=1.0, value=_saved),),
    low=-100.0,
    high=100.0,
)


def _no_map(state: StateValues) -> Iterable[Refusal]:
    if not state["has_coverage"]:
        reason = "coverage-selected needs a map of which test runs which line: pip install coverage for the project"
        yield Refusal(where={"action": "coverage-selected"}, reason=reason)


def _no_past(state: StateValues) -> Iterable[Refusal]:
    if not state["known_breaks"]:
        reason = "no earlier change is known to have broken a test, so nothing was learned yet: give it more rounds"
        yield Refusal(where={"action": "learned"}, reason=reason)


PROBE = lowest(STATE)


def _shared(state: StateValues) -> dict[str, float]:
    """Return size and duration on the scales of the test executor, and the risk of the change."""
    return {
        "size": min(max((math.log10(float(state["tests"]) + 1.0) - 1.0) / 3.0, 0.0), 1.0),
        "duration": min(math.log10(float(state["suite_s"]) + 1.0) / 4.0, 1.0),
        "risk": float(state["risk"]) / 100.0,
    }


agent = AgentSpec(
    name="qe/regression-risk-analyzer",
    description="Decides which tests a change calls for: the time that it saves against the faults that escape.",
    state=STATE,
    actions=ACTIONS,
    reward=REWARD,
    baseline=baseline,
    safe_action="full",
    guards=(rule("coverage", _no_map, PROBE), rule("past", _no_past, PROBE)),
    settings=single_step(),
    kinship=Kinship(
        category="advanced-testing",
        group="test-execution",
        project=_shared,
        roles={
            "action=minimal": "least",
            "action=coverage-selected": "focused",
            "action=dependency-selected": "narrow",
            "action=learned": "learned-order",
            "action=full": "full",
        },
    ),
    success_reward=0.0,
    cost="cpu_s",
    guardrails=(Guardrail(measurement="escaped", margin=0.02),),
)


class RegressionRiskAnalyzer:
    """Plants a change, runs the tests that an action chooses for it, and compares with what the whole suite shows."""

    needs_tests = True

    def __init__(self) -> None:
        self._begun = False
        self._releases: Releases
        self._release: Release
        self._imports: Imports
        self._calls: Calls
        self._learner = _fresh()
        self._changes: Counter[str] = Counter()
        self._broken: Counter[str] = Counter()

    def look(self, site: Site) -> dict[str, float]:
        """Plant a change and return what is known of it before any test runs."""
        if not self._begun:
            self._begin(site)
        self._release = release = self._releases.draw()
        reference, tests = site.reference, site.reference.collected
        callers = len(self._calls.callers(release.function))
        branches = self._calls.branches.get((release.file, release.function), 0)
        history = (self._broken[release.file] + 1.0) / (self._changes[release.file] + 2.0)
        covering = self._covering(site)
        return {
            "risk": change_risk(history=history, branches=branches, callers=callers),
            "reach": len(covering) / max(len(tests), 1),
            "failure_rate": self._broken.total() / max(self._changes.total(), 1),
            "suite_s": reference.wall_s,
            "tests": float(len(tests)),
            "dependent": len(self._dependent(site)) / max(len(tests), 1),
            "callers": float(callers),
            "branches": float(branches),
            "known_breaks": float(self._broken.total()),
            "has_coverage": float(reference.coverage.available),
        }

    def work(self, site: Site, action: Action) -> Worked:
        """Run the chosen tests on the change, and learn from the whole suite whether a fault escaped them."""
        releases, release = self._releases, self._release
        chosen = self.select(site, str(action["action"]))
        plan = Plan() if action["action"] == "full" else Plan(order=chosen, rest=False)
        run = releases.run(release, plan)
        shown, killers = releases.failures(run), releases.killers(release)
        escaped = bool(killers) and not shown
        self._remember(site, killers)
        measured = {
            "breaks": float(bool(killers)),
            "escaped": float(escaped),
            "tests_run": float(len(run.tests)),
            "wall_s": run.wall_s,
            "cpu_s": run.cpu_s,
            "suite_cpu_s": site.reference.cpu_s,
        }
        end = "a fault escaped" if escaped else f"{len(shown)} failed" if shown else "nothing to find"
        return Worked(measurements=measured, notes=(f"{release.name}: {len(run.tests)} tests, {end}",))

    def select(self, site: Site, action: str) -> tuple[str, ...]:
        """Return the tests that an action chooses for the change that was looked at last, in the order of their run."""
        durations, everything = site.reference.durations_s, site.reference.collected
        match action:
            case "minimal":
                return tuple(sorted(self._covering(site), key=lambda name: durations.get(name, 0.0))[:FEW])
            case "coverage-selected":
                chosen = self._covering(site)
            case "dependency-selected":
                chosen = self._dependent(site)
            case "learned":
                return self._learned(site)
            case _:
                chosen = frozenset(everything)
        return tuple(name for name in everything if name in chosen)

    def _begin(self, site: Site) -> None:
        self._releases = Releases(site)
        texts = {file: _text(site, file) for file in python_files(site.sandbox.root)}
        self._imports = Imports(texts, site.project.source_root)
        self._calls = Calls(self._releases.texts)
        self._recall(site)
        self._begun = True

    def _recall(self, site: Site) -> None:
        """Take up what earlier runs knew of the project; where that is damaged, what was learned is lost."""
        kept = site.memory.kept(_KEPT)
        if kept is None:
            return
        learner = _fresh()
        try:
            learner.restore(part("learner", kept))
            counts = said(kept, "counts")
            self._changes, self._broken = Counter(counts["changes"]), Counter(counts["broken"])
        except (InvalidInput, KeyError, TypeError):
            return
        self._learner = learner

    def _covering(self, site: Site) -> frozenset[str]:
        """Return the tests that ran the changed line: all where it runs at import, the dependent ones without a map."""
        reference = site.reference
        if not reference.coverage.available:
            return self._dependent(site)
        found = reference.coverage.tests_of(self._release.file, [self._release.line])
        return frozenset(reference.collected) if found is None else found & frozenset(reference.collected)

    def _dependent(self, site: Site) -> frozenset[str]:
        files = self._imports.dependants(self._release.file)
        return frozenset(name for name in site.reference.collected if name.split("::")[0] in files)

    def _learned(self, site: Site) -> tuple[str, ...]:
        """Return the tests that are likeliest to fail by what earlier changes showed, for a third of the suite's time."""
        names, durations = site.reference.collected, site.reference.durations_s
        ranked = [names[int(each)] for each in self._learner.rank(names, self._touched(site))]
        spent = np.cumsum([durations.get(name, 0.0) for name in ranked])
        count = int(np.searchsorted(spent, LEARNED_SHARE * spent[-1])) if len(spent) else 0
        return tuple(ranked[: max(count, 1)])

    def _touched(self, site: Site) -> NDArray[np.float64]:
        covering = self._covering(site)
        return np.array([name in covering for name in site.reference.collected], dtype=np.float64)

    def _remember(self, site: Site, killers: frozenset[str]) -> None:
        names = site.reference.collected
        failed = np.array([name in killers or name.split("::")[0] in killers for name in names], dtype=np.bool_)
        durations = np.array([site.reference.durations_s.get(name, 0.0) for name in names])
        self._learner.learn(names, durations, failed, self._touched(site))
        self._changes[self._release.file] += 1
        self._broken[self._release.file] += bool(killers)
        counts = {"changes": self._changes, "broken": self._broken}
        site.memory.keep(_KEPT, under("learner", self._learner.state()) | {"counts": words(counts)})


def _fresh() -> OrderLearner:
    return OrderLearner(budget=LEARNED_SHARE, changes=True)


def _text(site: Site, file: str) -> str:
    try:
        return site.sandbox.read(file)
    except UnicodeDecodeError:
        return ""


skill = RegressionRiskAnalyzer

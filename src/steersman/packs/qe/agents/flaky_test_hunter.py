"""qe/flaky-test-hunter: how much running does it take to know which tests cannot be trusted?

It is measured by flaky tests that are planted into a copy among look-alikes that are stable: how many of both it names,
and in what time. Tests of the project itself that do not always end the same way are reported, as shown by running them.
"""

import ast
from collections.abc import Iterable, Mapping
from datetime import datetime

from steersman.core.actions import Action, ActionSpace
from steersman.core.agent import AgentSpec
from steersman.core.errors import DeadlineExceeded, InvalidInput
from steersman.core.guards import Refusal
from steersman.core.kinship import Kinship
from steersman.core.reward import Component, Measurement, Measurements, Reward
from steersman.core.state import Category, Number, Scalar, StateSchema, StateValues
from steersman.packs.qe.fleet.findings import Finding
from steersman.packs.qe.fleet.learning import lowest, rule, single_step
from steersman.packs.qe.fleet.reward import SECONDS, ratio
from steersman.packs.qe.fleet.site import Site
from steersman.packs.qe.fleet.skill import Worked
from steersman.packs.qe.plants.flakiness import PlantedTests, plant_flaky_tests
from steersman.packs.qe.tools.hunting import (
    COMPETITORS,
    Cause,
    Observed,
    Shift,
    can_fork,
    clock_shifts,
    observe,
    runs_needed,
)

RATE, MISSED = 0.3, 0.05
"""What is to be found: a test that fails in a share RATE of its runs goes unseen with a probability of MISSED at most."""
RUNS = runs_needed(RATE, MISSED)
PLANTED = {"flaky": 8, "stable": 8}
NOTHING_THERE = 0.125
"""The share of rounds in which nothing flaky is planted, so that naming something is not always right."""
_CAUSES: tuple[Cause, ...] = ("none", "intermittent", "environmental", "timing")
_OUTSIDE = {"socket", "requests", "httpx", "urllib", "urllib3", "aiohttp", "subprocess", "smtplib", "ftplib", "grpc"}

STATE = StateSchema(
    name="flaky-test-hunter",
    fields=(
        Number(name="failure_rate", low=0, high=1, edges=(0.0001, 0.05), unit="share of outcomes"),
        Category(name="pattern", options=_CAUSES),
        Number(name="executions", low=0, high=100_000, edges=(RUNS,), unit="runs seen"),
        Number(name="external", low=0, high=1, edges=(0.0001,), unit="share of test files that speak to the outside"),
        Number(name="suite_s", low=0, high=36_000, edges=(5, 60), unit="s"),
        Number(name="tests_s", low=0, high=36_000, unit="s in tests alone"),
        Number(name="variance", low=0, high=0.25, unit="of a test's outcome"),
        Number(name="confidence", low=0, high=1),
        Number(name="tests", low=0, high=100_000),
        Number(name="known_flaky", low=0, high=100_000),
        Number(name="budget_s", low=0, high=864_000, unit="s"),
        Number(name="can_fork", low=0, high=1),
    ),
)
ACTIONS = ActionSpace.flat("rerun_3", "rerun_10", "isolate", "quarantine", "fix_wait", "statistical")


def baseline(state: StateValues) -> str:
    """Run it three times, as most people do; where there is no time for that, wait for a fix."""
    return "rerun_3" if float(state["budget_s"]) >= 3 * float(state["suite_s"]) else "fix_wait"


def shifts_of(action: str, generator_seed: int, now: datetime) -> tuple[Shift, ...]:
    """Return the runs of an action. Each run of `statistical` may show chance too, so that all of them count for it."""
    seeds = iter(range(generator_seed + 1, generator_seed + RUNS + 1))
    mixed = Shift(order="shuffled", hash_seed=next(seeds))
    apart = (Shift(order="reversed", hash_seed=next(seeds)), Shift(alone=True, hash_seed=next(seeds)))
    if action == "statistical":
        clocks = (Shift(clock_s=each, hash_seed=next(seeds)) for each in (0.0, *clock_shifts(now)))
        wanted = (Shift(), mixed, *apart, *clocks, Shift(load=COMPETITORS, hash_seed=next(seeds)))
        return (*wanted, *[Shift()] * (RUNS - len(wanted)))
    plain = {"rerun_3": 3, "rerun_10": 10, "isolate": 1, "quarantine": 1, "fix_wait": 0}[action]
    added = {"isolate": (*apart, mixed), "quarantine": (mixed,)}.get(action, ())
    return (*[Shift()] * plain, *added)


def f1(found: float, false_alarms: float, planted: float) -> float:
    """Return 2·found / (planted + found + false alarms), the harmonic mean of precision and recall; 1 of nothing."""
    named = found + false_alarms
    return 2.0 * found / (planted + named) if planted + named else 1.0


def _detection(m: Measurements) -> float:
    """Return 100·F1 − 20·FN − 5·FP, with FN as the share of what was planted and FP as that of what is stable."""
    missed = (m["planted"] - m["found"]) / m["planted"] if m["planted"] else 0.0
    alarms = m["false_alarms"] / m["stable"] if m["stable"] else 0.0
    return 100.0 * f1(m["found"], m["false_alarms"], m["planted"]) - 20.0 * missed - 5.0 * alarms


def _speed(m: Measurements) -> float:
    """Return (expected/actual − 1)·50 of the time; expected is what so many plain runs take as chance needs to show."""
    return ratio(m["expected_s"], m["wall_s"])


REWARD = Reward(
    measurements=(
        Measurement(name="planted", low=0.0),
        Measurement(name="found", low=0.0),
        Measurement(name="stable", low=0.0),
        Measurement(name="false_alarms", low=0.0),
        *SECONDS[:3],
    ),
    components=(
        Component(name="detection", low=-25.0, high=100.0, weight=0.9, value=_detection),
        Component(name="speed", low=-50.0, high=50.0, weight=0.1, value=_speed),
    ),
    low=-50.0,
    high=100.0,
)


def longest_s(action: str, suite_s: float, tests_s: float) -> float:
    """Return how long an action may take: each run as long as usual, under load so much longer in the tests themselves."""
    shifts = shifts_of(action, 0, datetime.now().astimezone())
    return len(shifts) * suite_s + sum(each.load for each in shifts) * tests_s


def _time(state: StateValues) -> Iterable[Refusal]:
    """Refuse what would have to leave out runs that it is chosen for."""
    budget_s = float(state["budget_s"])
    for each in ACTIONS.actions:
        needed_s = longest_s(str(each["action"]), float(state["suite_s"]), float(state["tests_s"]))
        if needed_s > budget_s:
            reason = f"{each['action']} may take {needed_s:.0f} s, and {budget_s:.0f} s are allowed: --timeout"
            yield Refusal(where=each, reason=reason)


def _forking(state: StateValues) -> Iterable[Refusal]:
    """Refuse what runs each test in a process of its own where processes cannot be forked."""
    if not state["can_fork"]:
        for action in ("isolate", "statistical"):
            yield Refusal(where={"action": action}, reason=f"{action} forks a process for each test: use Linux or macOS")


PROBE: dict[str, Scalar] = {
    **lowest(STATE),
    "pattern": "none",
    "suite_s": 60.0,
}


def _shared(state: StateValues) -> dict[str, float]:
    return {
        "size": min(float(state["tests"]) / 1000.0, 1.0),
        "risk": 1.0 if float(state["failure_rate"]) > 0 else 0.0,
    }


agent = AgentSpec(
    name="qe/flaky-test-hunter",
    description="Decides how to look for tests that do not always end the same way.",
    state=STATE,
    actions=ACTIONS,
    reward=REWARD,
    baseline=baseline,
    safe_action="fix_wait",
    guards=(rule("time", _time, PROBE), rule("forking", _forking, PROBE)),
    settings=single_step(),
    kinship=Kinship(
        category="advanced-testing",
        group="test-execution",
        project=_shared,
        roles={
            "action=rerun_3": "quick",
            "action=rerun_10": "repeat",
            "action=isolate": "narrow",
            "action=quarantine": "set-aside",
            "action=fix_wait": "wait",
            "action=statistical": "everything",
        },
    ),
    cost="cpu_s",
)


class FlakyTestHunter:
    """Plants tests into a copy, runs its suite in the ways of an action, and tells what was planted and what was there."""

    needs_tests = True

    def __init__(self) -> None:
        self._own: Mapping[str, bool] = {}
        self._usual_s, self._tests_s, self._external = 0.0, 0.0, 0.0
        self._executions, self._outcomes, self._failed = 0, 0, 0
        self._known: dict[str, Cause] = {}
        self._planted = PlantedTests(texts={}, flaky={}, stable=frozenset())

    def look(self, site: Site) -> dict[str, float | str]:
        """Plant something new, and return what is known of the project's tests; at first, they run once as they are."""
        if not self._executions:
            self._start(site)
        counts = PLANTED if site.generator.random() >= NOTHING_THERE else PLANTED | {"flaky": 0}
        self._planted = plant_flaky_tests(site.project.tests, site.generator, **counts)
        rate = self._failed / max(self._outcomes, 1)
        return {
            "failure_rate": rate,
            "pattern": max(self._known.values(), key=[*self._known.values()].count, default="none"),
            "executions": float(self._executions),
            "external": self._external,
            "suite_s": self._usual_s,
            "tests_s": self._tests_s,
            "variance": rate * (1.0 - rate),
            "confidence": 1.0 - (1.0 - RATE) ** self._executions,
            "tests": float(len(self._own)),
            "known_flaky": float(len(self._known)),
            "budget_s": site.timeout_s,
            "can_fork": float(can_fork()),
        }

    def work(self, site: Site, action: Action) -> Worked:
        """Run the suite with what was planted, and compare what did not always end the same way with what is known."""
        shifts = shifts_of(str(action["action"]), int(site.generator.integers(1, 2**31)), datetime.now().astimezone())
        with site.changed(dict(self._planted.texts)):
            seen = observe(site, shifts, budget_s=site.timeout_s)
        self._check(seen)
        self._count(seen)
        named = (seen.failed_once() if action["action"] == "quarantine" else {}) | seen.flaky()
        return Worked(measurements=self._measured(named, seen), findings=self._new(named), notes=self._notes(named))

    def _start(self, site: Site) -> None:
        """Run the suite once as it is. Raises DeadlineExceeded where that takes longer than is allowed."""
        seen = observe(site, [Shift()], budget_s=site.timeout_s)
        if not seen.runs or seen.wall_s >= site.timeout_s:
            raise DeadlineExceeded(f"the suite did not end within {site.timeout_s:.0f} s; allow more with --timeout.")
        self._own, self._external = seen.runs[0][1], _external(site)
        self._usual_s, self._tests_s = seen.wall_s, seen.tests_s
        self._count(seen)

    def _check(self, seen: Observed) -> None:
        """Raise InvalidInput where pytest did not collect what was planted: there is nothing to be learned then."""
        ran = {test for _, failed in seen.runs for test in failed}
        if seen.runs and not ran & (self._planted.stable | self._planted.flaky.keys()):
            raise InvalidInput(
                f"none of the tests in {', '.join(sorted(self._planted.texts)[:2])} … was run in time: pytest does not "
                "collect new files there, or the suite is too slow. See `python_files` in its settings, or --timeout."
            )

    def _count(self, seen: Observed) -> None:
        """Remember how often the project's own tests ran and failed, without those that failed from the beginning."""
        self._executions += len(seen.runs)
        for _, failed in seen.runs:
            outcomes = [value for test, value in failed.items() if self._own.get(test) is False]
            self._outcomes += len(outcomes)
            self._failed += sum(outcomes)

    def _measured(self, named: Mapping[str, Cause], seen: Observed) -> dict[str, float]:
        return {
            "planted": float(len(self._planted.flaky)),
            "found": float(len(named.keys() & self._planted.flaky.keys())),
            "stable": float(len(self._planted.stable)),
            "false_alarms": float(len(named.keys() & self._planted.stable)),
            "wall_s": seen.wall_s,
            "expected_s": RUNS * self._usual_s,
            "cpu_s": seen.cpu_s,
        }

    def _new(self, named: Mapping[str, Cause]) -> tuple[Finding, ...]:
        """Return the project's own flaky tests that were not known before, and keep them in mind."""
        own = {test: cause for test, cause in named.items() if test in self._own and cause != "none"}
        new = tuple(_finding(test, cause) for test, cause in own.items() if test not in self._known)
        self._known |= own
        return new

    def _notes(self, named: Mapping[str, Cause]) -> tuple[str, ...]:
        found, alarms = named.keys() & self._planted.flaky.keys(), named.keys() & self._planted.stable
        missed = sorted({kind for test, kind in self._planted.flaky.items() if test not in found})
        unseen = f" (unseen: {', '.join(missed)})" if missed else ""
        total = len(self._planted.flaky)
        return (f"{len(found)} of {total} planted flaky tests found{unseen}, {len(alarms)} stable ones taken for one",)


def _finding(test: str, cause: Cause) -> Finding:
    return Finding(
        tool="pytest",
        rule=f"flaky-{cause}",
        severity="high" if cause == "intermittent" else "medium",
        file=test.partition("::")[0],
        line=0,
        message=f"{test} passed in some runs and failed in others: {_MEANS[cause]}",
        confirmed=True,
    )


_MEANS: Mapping[Cause, str] = {
    "none": "for no known reason",
    "intermittent": "also where nothing was changed",
    "environmental": "by the order of tests, the seed of hashes, or what other tests leave behind",
    "timing": "by the clock, or by how busy the machine is",
}


def _external(site: Site) -> float:
    """Return the share of test files that import what speaks to a network or to other programs."""
    speaking = sum(bool(_imports(site.sandbox.read(file)) & _OUTSIDE) for file in site.project.tests)
    return speaking / max(len(site.project.tests), 1)


def _imports(text: str) -> set[str]:
    try:
        nodes = [*ast.walk(ast.parse(text))]
    except (SyntaxError, ValueError):
        return set()
    names = [each.name for node in nodes if isinstance(node, ast.Import) for each in node.names]
    names += [node.module for node in nodes if isinstance(node, ast.ImportFrom) and node.module]
    return {name.split(".")[0] for name in names}


skill = FlakyTestHunter

"""qe/test-executor: how to run a test suite after a change: workers × selection × order × retry."""

import math
from collections.abc import Iterable
from typing import Any

from steersman.core.actions import Action, ActionSpace, Choice
from steersman.core.agent import AgentSpec, Guardrail
from steersman.core.guards import Refusal, limit
from steersman.core.kinship import Kinship
from steersman.core.reward import Component, Measurement, Measurements, Reward
from steersman.core.state import Number, StateSchema, StateValues
from steersman.packs.qe.execution.cycle import Workbench
from steersman.packs.qe.execution.ranking import ORDERS
from steersman.packs.qe.execution.selection import SELECTIONS
from steersman.packs.qe.faults.change import Change
from steersman.packs.qe.faults.seeded_world import FaultWorld, WorldOptions, build_pool
from steersman.packs.qe.fleet.learning import GUARD_MS, lowest, rule, single_step
from steersman.packs.qe.fleet.site import Site
from steersman.packs.qe.fleet.skill import Worked

WORKERS = (1, 2, 4, 8, 16)
RETRIES = (0, 1, 3)
_KEPT = "test-executor"
_FAULTS, _SCREENING_S, _NEW_FAULT = 6, 20.0, 0.7
MISSED_FAULT = -50.0
FALSE_ALARM = -25.0

# Fields with edges make up the table's key: a project stays in one bin of size, duration and cores, and moves to the
# upper bin of flaky rate once a flaky test was seen, so that some eighty runs teach something. The others are recorded
# for explanations and for networks; edges on them would multiply the states that have to be learned one by one.
STATE = StateSchema(
    name="test-executor",
    fields=(
        Number(name="tests", low=0, high=10_000, edges=(50, 500, 2000)),
        Number(name="duration_s", low=0, high=36_000, edges=(2, 15, 120), unit="s"),
        Number(name="cores", low=1, high=256, edges=(2, 4, 8)),
        Number(name="flaky_rate", low=0, high=1, edges=(0.0001,), unit="share of tests"),
        Number(name="previous_failures", low=0, high=10_000),
        Number(name="changed_files", low=0, high=10_000),
        Number(name="changed_lines", low=0, high=1_000_000),
        Number(name="complexity", low=0, high=100, unit="branches per function"),
        Number(name="mean_test_s", low=0, high=36_000, unit="s"),
        Number(name="memory_mb", low=0, high=16_777_216, unit="MB"),
        Number(name="worker_mb", low=1, high=1_048_576, unit="MB"),
        Number(name="time_left_s", low=0, high=864_000, unit="s"),
        Number(name="ci", low=0, high=1),
        Number(name="has_xdist", low=0, high=1),
        Number(name="has_rerunfailures", low=0, high=1),
        Number(name="has_coverage", low=0, high=1),
    ),
)

ACTIONS = ActionSpace({"workers": WORKERS, "selection": SELECTIONS, "order": ORDERS, "retry": RETRIES})
SAFE: dict[str, Choice] = {"workers": 1, "selection": "all", "order": "file", "retry": 0}


def baseline(state: StateValues) -> Action:
    """Failed first, all tests, no retries, one worker for each core (the nearest choice that is not above)."""
    workers = max(each for each in WORKERS if each <= max(float(state["cores"]), 1.0))
    if not state["has_xdist"]:
        workers = 1
    return {"workers": workers, "selection": "all", "order": "failed_first", "retry": 0}


def _faults(m: Measurements) -> float | None:
    """Return the share of the active faults that the run showed, 0–100; it does not apply without a fault."""
    return 100.0 * m["faults_found"] / m["faults_active"] if m["faults_active"] else None


def _speed(m: Measurements) -> float:
    """Return (expected/actual − 1)·50 of the time to the answer: the first true failure, or the end of a run without one.

    Expected is what the reference run (all tests, file order, one worker) took to the same answer, so that a fault that
    is easy to reach earns no more than one that is hard to reach.
    """
    return _ratio(m["expected_s"], m["answer_s"])


def _cost(m: Measurements) -> float:
    """Return (expected/actual − 1)·50 of the CPU time."""
    return _ratio(m["expected_cpu_s"], m["cpu_s"])


def _ratio(expected: float, actual: float) -> float:
    return (expected / max(actual, 1e-3) - 1.0) * 50.0


def _trust(m: Measurements) -> float:
    """Return −25 for each test that failed without a fault behind it."""
    return FALSE_ALARM * m["false_alarms"]


def _failure(m: Measurements) -> float | None:
    """Return −50 for a run that let every active fault through, or that had to be killed."""
    missed = m["faults_active"] > 0 and m["faults_found"] == 0
    return MISSED_FAULT if missed or m["timed_out"] >= 0.5 else None


REWARD = Reward(
    measurements=(
        Measurement(name="faults_active", low=0),
        Measurement(name="faults_found", low=0),
        Measurement(name="answer_s", unit="s", low=0),
        Measurement(name="expected_s", unit="s", low=0),
        Measurement(name="wall_s", unit="s", low=0),
        Measurement(name="cpu_s", unit="s", low=0),
        Measurement(name="expected_cpu_s", unit="s", low=0),
        Measurement(name="false_alarms", low=0),
        Measurement(name="timed_out", low=0, high=1),
    ),
    components=(
        Component(name="faults", low=0.0, high=100.0, weight=0.25, value=_faults),
        Component(name="speed", low=-50.0, high=50.0, weight=0.15, value=_speed),
        Component(name="cost", low=-50.0, high=50.0, weight=0.10, value=_cost),
        Component(name="trust", low=-50.0, high=0.0, weight=0.10, value=_trust),
    ),
    low=-50.0,
    high=100.0,
    failure=_failure,
)


def _memory_workers(state: StateValues) -> float:
    return max(1.0, math.floor(float(state["memory_mb"]) / float(state["worker_mb"])))


def _missing_tools(state: StateValues) -> Iterable[Refusal]:
    if not state["has_xdist"]:
        for each in WORKERS[1:]:
            yield Refusal(where={"workers": each}, reason="more than one worker needs pytest-xdist")
    if not state["has_rerunfailures"]:
        for each in RETRIES[1:]:
            yield Refusal(where={"retry": each}, reason="retries need pytest-rerunfailures")
    if not state["has_coverage"]:
        yield Refusal(where={"selection": "affected"}, reason="'affected' needs a coverage map, and so coverage.py")


def _time_budget(state: StateValues) -> Iterable[Refusal]:
    """Refuse what would, by its size, run over the time that is left: retries first, then the whole suite.

    The whole suite is spread over at most `cores` workers. Where even a narrow selection may not fit, nothing more is
    refused: the run itself is killed at the limit.
    """
    left, whole = float(state["time_left_s"]), float(state["duration_s"])
    if left < 2.0 * whole:
        for each in RETRIES[1:]:
            reason = f"{left:.0f} s are left, too little to repeat a run of {whole:.0f} s"
            yield Refusal(where={"retry": each}, reason=reason)
    for each in WORKERS:
        if left < whole / min(each, float(state["cores"])):
            where: dict[str, Choice] = {"selection": "all", "workers": each}
            yield Refusal(where=where, reason=f"{left:.0f} s are left; all tests take {whole:.0f} s on one worker")


# One core, hardly any memory, no tools and no time: each guard has to refuse something here.
PROBE = lowest(STATE) | {"duration_s": 60.0}

GUARDS = (
    limit("cores", "workers", WORKERS, lambda state: float(state["cores"]), "cores", deadline_ms=GUARD_MS, probe=PROBE),
    limit(
        "memory",
        "workers",
        WORKERS,
        _memory_workers,
        "workers that fit into the free memory",
        deadline_ms=GUARD_MS,
        probe=PROBE,
    ),
    rule("tools", _missing_tools, PROBE),
    rule("time-budget", _time_budget, PROBE),
)

# A bandit: each run is an episode of its own. In a space of four dimensions a step of 1/4 for each slot is a full step
# for the sum; falling with visits, the values end as means. Exploration starts high and is nearly over after 80 runs.
SETTINGS: dict[str, dict[str, Any]] = single_step(alpha=0.25)


def _shared(state: StateValues) -> dict[str, float]:
    """Return size and duration on logarithmic scales (10 to 10,000 tests, 1 s to 3 h), and whether tests are flaky."""
    return {
        "size": _between((math.log10(float(state["tests"]) + 1.0) - 1.0) / 3.0),
        "duration": _between(math.log10(float(state["duration_s"]) + 1.0) / 4.0),
        "risk": 1.0 if float(state["flaky_rate"]) >= 0.0001 else 0.0,
    }


def _between(value: float) -> float:
    return min(max(value, 0.0), 1.0)


KINSHIP = Kinship(
    category="core-testing",
    group="test-execution",
    project=_shared,
    roles={
        **{f"workers={each}": "serial" if each == 1 else f"{each}-workers" for each in WORKERS},
        "selection=all": "full",
        "selection=changed": "narrow",
        "selection=affected": "focused",
        "order=file": "plain-order",
        "order=failed_first": "failures-first",
        "order=fast_first": "fast-first",
        "order=learned": "learned-order",
        **{f"retry={each}": f"{each}-retries" for each in RETRIES},
    },
)

agent = AgentSpec(
    name="qe/test-executor",
    description="Decides how a test suite is run after a change: workers, selection, order and retries.",
    state=STATE,
    actions=ACTIONS,
    reward=REWARD,
    baseline=baseline,
    safe_action=SAFE,
    guards=GUARDS,
    settings=SETTINGS,
    kinship=KINSHIP,
    cost="cpu_s",
    guardrails=(Guardrail(measurement="timed_out", margin=0.05),),
)


class SuiteExecutor:
    """Runs the suite of a copy after a change that may carry a seeded fault, so that it is known what there was to find.

    A fault lasts for one round. Faults come from a few that some test is known to see; what finding those took is not
    charged to the agent. What its orders are made from is kept from one run to the next.
    """

    needs_tests = True

    def __init__(self) -> None:
        self._world: FaultWorld | None = None
        self._bench: Workbench
        self._change: Change
        self._cycle = 0

    def look(self, site: Site) -> StateValues:
        """Change the copy, and return the state. The first time, the suite is measured and faults are looked for."""
        if self._world is None:
            self._world = self._prepare(site)
        self._world.generator = site.generator
        self._change = self._world.next(self._cycle)
        self._cycle += 1
        return self._bench.begin(self._change, site.reference, site.timeout_s)

    def work(self, site: Site, action: Action) -> Worked:
        """Run the suite as the action says, compare what failed with what had to, and take the change back."""
        change = self._change
        try:
            attempt = self._bench.carry_out(action, change, timeout_s=site.timeout_s)
        finally:
            for file in change.lines:
                site.sandbox.restore(file)
        self._bench.end(change, [attempt])
        site.memory.keep(_KEPT, self._bench.orders.state())
        m = attempt.measurements
        found = (
            f"{m['faults_found']:.0f} of {m['faults_active']:.0f} faults found" if m["faults_active"] else "nothing to find"
        )
        note = f"{change.text}: {found} by {attempt.tests_run} tests in {m['wall_s']:.1f} s"
        return Worked(measurements=m, notes=(note,))

    def _prepare(self, site: Site) -> FaultWorld:
        reference = site.reference
        pool = build_pool(
            site.project,
            reference,
            site.generator,
            target=_FAULTS,
            timeout_s=site.timeout_s,
            budget_s=min(_SCREENING_S, site.timeout_s),
            progress=site.progress,
            deadline=site.suite.deadline,
            workers=site.workers,
        )
        self._bench = Workbench(
            site.sandbox,
            site.suite,
            reference,
            reference.flaky,
            seed=int(site.generator.integers(1 << 31)),
            flaky_rate=0.0,
            kept=site.memory.kept(_KEPT),
        )
        return FaultWorld(
            sandbox=site.sandbox,
            reference=reference,
            pool=pool,
            generator=site.generator,
            options=WorldOptions(new_fault=_NEW_FAULT, mean_life=1.0),
        )


skill = SuiteExecutor

"""qe/chaos-engineer: which fault is worth injecting now, inside the error budget?

It is measured on a small service that is planted into a copy and run there by the project's interpreter: some of its
operations take a fault and some do not. What is paid is the weaknesses that an experiment shows before too many requests
have failed. Of the project itself, calls without a time limit are reported, as suspected.
"""

import os
from collections import deque
from collections.abc import Iterable, Mapping

from steersman.core.actions import Action, ActionSpace
from steersman.core.agent import AgentSpec
from steersman.core.guards import Refusal
from steersman.core.kinship import Kinship
from steersman.core.reward import Component, Measurement, Measurements, Reward
from steersman.core.state import Category, Number, StateSchema, StateValues
from steersman.packs.qe.fleet.findings import Finding
from steersman.packs.qe.fleet.learning import lowest, rule, single_step
from steersman.packs.qe.fleet.site import Site
from steersman.packs.qe.fleet.skill import Worked
from steersman.packs.qe.plants.fragility import Service, plant_service
from steersman.packs.qe.tools.experiment import MOST_ERRORS, Experiment, Place, experiment, steady_state
from steersman.packs.qe.tools.faults import FAULTS, can_limit
from steersman.packs.qe.tools.fragile_code import (
    CALL_WITHOUT_HANDLER,
    CALL_WITHOUT_LIMIT,
    WORKER_WITHOUT_CHECK,
    WRITE_OR_READ_AT_ONCE,
    suspicions,
)

NO_OP = "no-op"
MOST_SERVICES, MOST_S = 1.0, 300.0
LEAST_BUDGET = 0.1
_WINDOW, _ALLOWED = 5, 3.0
"""So many rounds, and so many whole experiments' errors in them, make up the error budget."""
_WEIGHTS = (0.5, 1.0, 2.0)
_SERVES = ("ENVIRONMENT", "APP_ENV", "DJANGO_ENV", "FLASK_ENV", "RAILS_ENV", "NODE_ENV", "ENV")
"""Variables that say what a machine is there for."""
ENVIRONMENTS = ("development", "staging", "production")
SUSPECTED = {
    "without_limit": CALL_WITHOUT_LIMIT,
    "without_handler": CALL_WITHOUT_HANDLER,
    "without_check": WORKER_WITHOUT_CHECK,
    "at_once": WRITE_OR_READ_AT_ONCE,
}

STATE = StateSchema(
    name="chaos-engineer",
    fields=(
        Number(name="criticality", low=0, high=2, edges=(1, 2), unit="0 low, 1 medium, 2 high"),
        Category(name="environment", options=ENVIRONMENTS),
        Number(name="error_budget", low=0, high=1, edges=(0.5,), unit="share that is left"),
        Number(name="without_limit", low=0, high=1000, edges=(1, 3), unit="calls"),
        Number(name="without_handler", low=0, high=1000, edges=(1,), unit="calls"),
        Number(name="without_check", low=0, high=1000, edges=(1,), unit="workers"),
        Number(name="at_once", low=0, high=1000, edges=(1, 3), unit="files written over or read as a whole"),
        Number(name="error_rate", low=0, high=1, unit="share of requests that fail without any fault"),
        Number(name="services", low=0, high=100, unit="services that the experiment touches"),
        Number(name="planned_s", low=0, high=86_400, unit="s"),
        Number(name="has_limits", low=0, high=1),
    ),
)
ACTIONS = ActionSpace.flat(*FAULTS, NO_OP)


def baseline(state: StateValues) -> str:
    """Latency, the commonest fault there is, on what is not critical; nothing on the rest or on a small budget."""
    return "latency" if float(state["criticality"]) < 2 and float(state["error_budget"]) >= 0.5 else NO_OP


def _time(m: Measurements) -> float:
    """Return −50 for a minute, in proportion."""
    return -50.0 * m["wall_s"] / 60.0


REWARD = Reward(
    measurements=(
        Measurement(name="planted", unit="operations that some fault hurts", low=0.0),
        Measurement(name="weaknesses", low=0.0),
        Measurement(name="false_alarms", low=0.0),
        Measurement(name="budget_used", unit="share of an experiment's allowed errors, by criticality", low=0.0),
        Measurement(name="wall_s", unit="s", low=0.0),
        Measurement(name="cpu_s", unit="s", low=0.0),
    ),
    components=(
        Component(name="weaknesses", low=0.0, high=100.0, weight=0.55, value=lambda m: 25.0 * m["weaknesses"]),
        Component(name="budget", low=-50.0, high=0.0, weight=0.25, value=lambda m: -25.0 * m["budget_used"]),
        Component(name="false_alarms", low=-50.0, high=0.0, weight=0.10, value=lambda m: -15.0 * m["false_alarms"]),
        Component(name="time", low=-50.0, high=0.0, weight=0.10, value=_time),
    ),
    low=-50.0,
    high=100.0,
)


def _refused(reason: str, *faults: str) -> list[Refusal]:
    return [Refusal(where={"action": each}, reason=reason) for each in faults or FAULTS]


def _in_production(state: StateValues) -> Iterable[Refusal]:
    """Refuse every fault where the environment is production."""
    if state["environment"] == "production":
        yield from _refused(f"this is production, by one of {', '.join(_SERVES)}: experiment somewhere else")


def _over_limits(state: StateValues) -> Iterable[Refusal]:
    """Refuse every fault over the limits: one service, five minutes, five per cent of errors, and what budget is left."""
    if float(state["services"]) > MOST_SERVICES:
        yield from _refused(f"it would touch {state['services']:g} services; touch {MOST_SERVICES:g} at a time")
    if float(state["planned_s"]) > MOST_S:
        yield from _refused(f"it could take {state['planned_s']:g} s of {MOST_S:g}: give a shorter --timeout")
    if float(state["error_rate"]) > MOST_ERRORS:
        yield from _refused(f"{float(state['error_rate']):.0%} of the requests fail without any fault: repair that first")
    if float(state["error_budget"]) < LEAST_BUDGET:
        yield from _refused("the error budget is used up; it comes back with rounds without errors")


def _without_limits(state: StateValues) -> Iterable[Refusal]:
    """Refuse what needs Linux, where it is not."""
    if not state["has_limits"]:
        yield from _refused("it needs /proc and prlimit of Linux: run it there or in a container", "kill", "resource")


def _state(**values: float | str) -> dict[str, float | str]:
    calm: dict[str, float | str] = lowest(STATE)
    return calm | {"environment": "development", "error_budget": 1.0, "services": 1.0, "has_limits": 1.0} | values


def _shared(state: StateValues) -> dict[str, float]:
    suspected = sum(float(state[each]) for each in SUSPECTED)
    return {"size": 0.0, "risk": 1.0 if suspected >= 3 else 0.0}


agent = AgentSpec(
    name="qe/chaos-engineer",
    description="Decides which fault is worth injecting into a local process, inside its error budget.",
    state=STATE,
    actions=ACTIONS,
    reward=REWARD,
    baseline=baseline,
    safe_action=NO_OP,
    guards=(
        rule("environment", _in_production, _state(environment="production")),
        rule("limits", _over_limits, _state(services=2.0)),
        rule("system", _without_limits, _state(has_limits=0.0)),
    ),
    settings=single_step(),
    kinship=Kinship(
        category="specialized",
        group="security",
        project=_shared,
        roles={
            "action=latency": "late answers",
            "action=kill": "dead workers",
            "action=resource": "nothing left",
            "action=partition": "no answers",
            "action=no-op": "nothing",
        },
    ),
    cost="cpu_s",
)


class ChaosEngineer:
    """Plants a service, looks whether it is well, and injures it."""

    needs_tests = False

    def __init__(self) -> None:
        self._read_project = False
        self._used: deque[float] = deque(maxlen=_WINDOW)
        self._service: Service | None = None

    def look(self, site: Site) -> dict[str, float | str]:
        """Plant a new service, ask it for its answers without any fault, and read it; at first, read the project too."""
        if not self._read_project:
            self._read_project = True
            site.findings.extend(_suspected(site))
        service = self._service = plant_service(site.generator)
        with site.changed({service.file: service.text}):
            steady = steady_state(_place(site, service), _names(service), site.timeout_s)
        kinds = [each.kind for each in suspicions(service.text)]
        return _state(
            criticality=float(service.criticality),
            environment=environment(os.environ),
            error_budget=max(1.0 - sum(self._used) / _ALLOWED, 0.0),
            error_rate=steady.error_rate,
            planned_s=site.timeout_s,
            has_limits=float(can_limit()),
            **{name: float(kinds.count(kind)) for name, kind in SUSPECTED.items()},
        )

    def work(self, site: Site, action: Action) -> Worked:
        """Run the experiment, and compare what it shows with what was planted."""
        fault, service = str(action["action"]), self._service or plant_service(site.generator)
        if fault == NO_OP:
            self._used.append(0.0)
            measured = dict.fromkeys(_MEASURED, 0.0) | {"planted": service.weak}
            return Worked(measurements=measured, notes=("nothing was injected",))
        with site.changed({service.file: service.text}):
            done = experiment(_place(site, service), _names(service), fault, min(site.timeout_s, MOST_S))
        used = _WEIGHTS[service.criticality] * done.error_rate / MOST_ERRORS
        self._used.append(used)
        return _worked(done, service, fault, used)


_MEASURED = tuple(each.name for each in REWARD.measurements)


def environment(variables: Mapping[str, str]) -> str:
    """Return what variables of the environment say that a machine is there for; the gravest of what they say."""
    said = {variables[name].strip().lower()[:4] for name in _SERVES if name in variables}
    return "production" if {"prod", "live"} & said else "staging" if "stag" in said else "development"


def _worked(done: Experiment, service: Service, fault: str, used: float) -> Worked:
    planted = {each.name for each in service.weak_to(fault)}
    shown = {each.operation for each in done.weak}
    gone = sum(not each.recovered for each in done.weak)
    note = f"{len(shown & planted)} of {len(planted)} planted weaknesses shown by {done.errors} errors, {gone} stayed ill"
    return Worked(
        measurements={
            "planted": service.weak,
            "weaknesses": float(len(shown & planted)),
            "false_alarms": float(len(shown - planted)),
            "budget_used": used,
            "wall_s": done.wall_s,
            "cpu_s": done.cpu_s,
        },
        notes=(note, *([f"stopped: {done.stopped}"] if done.stopped else ())),
    )


def _place(site: Site, service: Service) -> Place:
    sandbox = site.sandbox
    return Place(
        interpreter=site.project.tools.interpreter,
        file=sandbox.root / service.file,
        scratch=sandbox.scratch,
        environment=sandbox.environment(),
    )


def _names(service: Service) -> list[str]:
    return [each.name for each in service.operations]


def _suspected(site: Site) -> list[Finding]:
    """Return the calls of the project that have no time limit, as far as reading tells."""
    return [
        Finding(
            tool="steersman",
            rule="no-time-limit",
            severity="medium",
            file=file,
            line=each.line,
            message=f"{each.kind}: a late answer may hold it for ever",
        )
        for file in site.project.sources
        for each in suspicions(site.sandbox.read(file))
        if each.kind == CALL_WITHOUT_LIMIT
    ]


skill = ChaosEngineer

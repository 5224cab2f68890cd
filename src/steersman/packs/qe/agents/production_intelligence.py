"""qe/production-intelligence: which test does an incident deserve, if any?

It is measured by drills: a fault is seeded, run into for real, and its log read. A test is worth what it prevents: it fails
with the fault and with others like it, and passes without. A caller's own error and one of another service need no test.
"""

import ast
import time
from collections import Counter
from collections.abc import Iterable
from typing import Any

from steersman.core.actions import Action, ActionSpace
from steersman.core.agent import AgentSpec
from steersman.core.guards import Refusal
from steersman.core.kinship import Kinship
from steersman.core.reward import Component, Measurement, Measurements, Reward
from steersman.core.state import Category, Number, Scalar, StateSchema, StateValues
from steersman.packs.qe.fleet.findings import SEVERITIES, Finding
from steersman.packs.qe.fleet.learning import rule, single_step
from steersman.packs.qe.fleet.reward import FAILURE, ratio
from steersman.packs.qe.fleet.site import Site
from steersman.packs.qe.fleet.skill import Worked
from steersman.packs.qe.tools.incident_drill import Drill, make_drill
from steersman.packs.qe.tools.incident_tests import load_test, passes_with, regression_of, replay_test
from steersman.packs.qe.tools.incidents import Incident, incident_files, read_incidents
from steersman.packs.qe.tools.replay import Call, Target, find_targets, replay

_TEST_S = 1.0
"""What writing and trying a test takes, in seconds, until it is known."""

STATE = StateSchema(
    name="production-intelligence",
    fields=(
        Category(name="severity", options=SEVERITIES),
        Number(name="sigma", low=-100, high=1000, edges=(3,), unit="standard deviations above the usual rate of failures"),
        Number(name="failing_share", low=0, high=1, edges=(0.5,), unit="share of the calls in the log"),
        Number(name="told", low=0, high=1, edges=(1,), unit="the arguments are known"),
        Number(name="passed_before", low=0, high=1, edges=(1,), unit="the same arguments went well elsewhere"),
        Number(name="expected", low=0, high=1, edges=(1,), unit="the right answer is known"),
        Number(name="tested", low=0, high=1, edges=(1,), unit="tests call the function"),
        Number(name="in_project", low=0, high=1, unit="a function of the project is in it that can be called"),
        Number(name="failures", low=0, high=1_000_000),
        Number(name="own_incidents", low=0, high=1_000_000, unit="found in the project"),
    ),
)
ACTIONS = ActionSpace.flat("replay test", "load test", "regression test", "monitor only")


def baseline(state: StateValues) -> str:
    """Make the call again where the log tells it, and go on watching where it does not."""
    return "replay test" if state["told"] and state["in_project"] else "monitor only"


def _prevented(m: Measurements) -> float | None:
    """Return −50 where no recurrence is prevented to 100 where all are; nothing to say where there is none to come."""
    return 150.0 * m["prevented"] / m["recurrences"] - 50.0 if m["recurrences"] else None


def _noise(m: Measurements) -> float | None:
    """Return 50 for leaving alone what needs no test, −25 for a test of it that says nothing."""
    return None if m["recurrences"] else -25.0 if m["written"] else 50.0


REWARD = Reward(
    measurements=(
        Measurement(name="recurrences", low=0.0),
        Measurement(name="prevented", low=0.0),
        Measurement(name="written", low=0.0, high=1.0),
        Measurement(name="failed", low=0.0, high=1.0),
        Measurement(name="wall_s", unit="s", low=0.0),
        Measurement(name="expected_s", unit="s", low=0.0),
    ),
    components=(
        Component(name="prevented", low=-50.0, high=100.0, weight=0.6, value=_prevented),
        Component(name="noise", low=-25.0, high=50.0, weight=0.6, value=_noise),
        Component(name="speed", low=-50.0, high=50.0, weight=0.15, value=lambda m: ratio(m["expected_s"], m["wall_s"])),
    ),
    low=-50.0,
    high=100.0,
    failure=lambda m: FAILURE if m["failed"] > 0.5 else None,
)


def _refuse(state: StateValues) -> Iterable[Refusal]:
    """Refuse tests of what the log does not tell: which function of the project failed, or what it was given."""
    if not state["in_project"]:
        words = "no function of the project that can be called with plain values is in the incident: log its traceback"
        yield from (Refusal(where={"action": each}, reason=words) for each in ("load test", "regression test"))
    if not (state["in_project"] and state["told"]):
        words = "the incident does not tell what the function was given: log the arguments, or choose a regression test"
        yield Refusal(where={"action": "replay test"}, reason=words)


PROBE: dict[str, Scalar] = {each.name: max(each.low, 0.0) for each in STATE.fields if isinstance(each, Number)}
PROBE |= {"severity": "high"}


def _shared(state: StateValues) -> dict[str, float]:
    return {"risk": 1.0 - SEVERITIES.index(str(state["severity"])) / 3.0, "urgency": float(float(state["sigma"]) >= 3.0)}


agent = AgentSpec(
    name="qe/production-intelligence",
    description="Decides which test an incident from production deserves, if any.",
    state=STATE,
    actions=ACTIONS,
    reward=REWARD,
    baseline=baseline,
    safe_action="monitor only",
    guards=(rule("told", _refuse, PROBE),),
    settings=single_step(),
    kinship=Kinship(
        category="strategic",
        project=_shared,
        roles={
            "action=replay test": "quick",
            "action=load test": "load",
            "action=regression test": "deep",
            "action=monitor only": "nothing",
        },
    ),
)


class ProductionIntelligence:
    """Reads incidents, writes tests for them, and tries whether those tests would have seen the fault."""

    needs_tests = False

    def __init__(self) -> None:
        self._sources: dict[str, str] = {}
        self._targets: dict[str, Target] = {}
        self._own: tuple[Incident, ...] = ()
        self._drill = Drill(kind="outside", files={})
        self._incident: Incident | None = None
        self._seconds: list[float] = []

    def look(self, site: Site) -> dict[str, Scalar]:
        """Run a drill, and return what its log tells; at first, read the incidents that the project has."""
        if not self._sources:
            self._read(site)
        self._drill = make_drill(site, list(self._targets.values()), self._sources)
        found = self._incidents(site, dict(self._drill.files))
        self._incident = incident = found[0] if found else None
        target = self._targets.get(incident.function) if incident else None
        return {
            "severity": incident.severity if incident else "low",
            "sigma": min(incident.sigma, 1000.0) if incident else 0.0,
            "failing_share": min(incident.failures / incident.calls, 1.0) if incident else 0.0,
            "told": float(bool(incident and target and _call(incident, target))),
            "passed_before": float(bool(incident and incident.passed_before)),
            "expected": float(bool(incident and incident.expected)),
            "tested": float(bool(target and target.tested)),
            "in_project": float(target is not None),
            "failures": float(incident.failures if incident else 0),
            "own_incidents": float(len(self._own)),
        }

    def work(self, site: Site, action: Action) -> Worked:
        """Write the test that was chosen, and try it without the fault, with it, and with others like it."""
        started = time.perf_counter()
        chosen = str(action["action"])
        text = self._written(site, chosen, self._incident)
        path = _test_path(site, self._incident)
        passes = bool(text) and passes_with(site, {path: text})
        took = time.perf_counter() - started
        if text:
            self._seconds.append(took)
        caught = [
            each.name for each in self._drill.faults if passes and not passes_with(site, {path: text, each.file: each.text})
        ]
        measured = {
            "recurrences": float(len(self._drill.faults)),
            "prevented": float(len(caught)),
            "written": float(bool(text)),
            "failed": float(bool(text) and not passes),
            "wall_s": took,
            "expected_s": sum(self._seconds) / len(self._seconds) if self._seconds else _TEST_S,
        }
        files = {} if chosen == "monitor only" else self._for_own(site, chosen)  # what was planted never happened there
        return Worked(measurements=measured, files=files, notes=(self._words(text, passes, len(caught)),))

    def _words(self, text: str, passes: bool, caught: int) -> str:
        said = f"an incident of {self._incident.function or 'another service'}" if self._incident else "no incident"
        if not text:
            return f"{said}: no test is written; {len(self._drill.faults)} faults like it can come back"
        if not passes:
            return f"{said}: the test fails on the project as it is, so it says nothing of the fault"
        return f"{said}: the test sees {caught} of {len(self._drill.faults)} faults like it, and passes without"

    def _written(self, site: Site, chosen: str, incident: Incident | None) -> str:
        """Return the text of a test, "" where there is nothing that it could say."""
        target = self._targets.get(incident.function) if incident else None
        if incident is None or target is None or chosen == "monitor only":
            return ""
        where = f"{incident.file}:{incident.line}"
        told = _call(incident, target)
        if chosen == "replay test":
            return replay_test(told, where, incident.expected) if told else ""
        if chosen == "load test":
            return load_test(told or Call(name=target.name, arguments=target.inputs[0]), where)
        return regression_of(site, target, told, where)

    def _read(self, site: Site) -> None:
        """Read the sources and the project's own incidents, and find what can be called: once for all rounds."""
        self._sources = {file: site.sandbox.read(file) for file in site.project.sources}
        self._own = self._incidents(site, {file: site.sandbox.read(file) for file in incident_files(site.sandbox.root)})
        wanted = frozenset(each.function for each in self._own)
        self._targets = {each.name: each for each in find_targets(site, self._sources, wanted)}
        site.findings.extend(found for each in self._own if (found := self._still(site, each)))

    def _incidents(self, site: Site, texts: dict[str, str]) -> tuple[Incident, ...]:
        return read_incidents(texts, site.project.sources, site.project.source_root)

    def _still(self, site: Site, incident: Incident) -> Finding | None:
        """Return an incident of the project as a finding: confirmed where its call still fails, in the copy."""
        target = self._targets.get(incident.function)
        call = _call(incident, target) if target else None
        if not incident.function:
            return None
        failed = False
        if call:
            ((outcome,), _) = replay(site, [call])
            failed = outcome.raised == incident.exception if incident.exception else outcome.value != incident.expected
        words = "still happens" if failed else "was seen" if call is None else "no longer happens with the same call"
        return Finding(
            tool="incidents",
            rule=incident.exception or "wrong answer",
            severity=incident.severity if failed or call is None else "low",
            file=incident.file,
            line=incident.line,
            message=f"{incident.function}: {incident.exception or 'wrong answer'} {words}",
            confirmed=failed,
        )

    def _for_own(self, site: Site, chosen: str) -> dict[str, str]:
        """Return tests for the incidents of the project that pass on it as it is: what has been mended stays so."""
        texts = {_test_path(site, each): self._written(site, chosen, each) for each in self._own}
        return {path: text for path, text in texts.items() if text and passes_with(site, {path: text})}


def _call(incident: Incident, target: Target) -> Call | None:
    """Return the call that failed, where the incident tells all that the function was given."""
    given: dict[str, Any] = ast.literal_eval(incident.arguments) if incident.arguments else {}
    kept = {name: given[name] for name in target.parameters if name in given}
    told = bool(incident.arguments) and len(kept) == len(target.parameters)
    return Call(name=target.name, arguments=repr(kept)) if told else None


def _test_path(site: Site, incident: Incident | None) -> str:
    folders = Counter(each.rpartition("/")[0] for each in site.project.tests)
    folder = folders.most_common(1)[0][0] if folders else "tests"
    name = incident.function.replace(".", "_") if incident and incident.function else "nothing"
    return f"{folder}/test_recurrence_{name}.py".lstrip("/")


skill = ProductionIntelligence

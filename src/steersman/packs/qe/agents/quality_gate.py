"""qe/quality-gate: may this candidate release pass, by what is known of it now?

It is measured by candidates that are planted into a copy: half of them carry a seeded fault, which the suite may see or
miss, half of them a comment. A part of the suite that is drawn at random runs before the decision, so that its evidence
is real and incomplete. What was planted is the truth.
"""

import os
from collections.abc import Iterable

from steersman.core.actions import Action, ActionSpace
from steersman.core.agent import AgentSpec, Guardrail
from steersman.core.guards import Refusal
from steersman.core.kinship import Kinship
from steersman.core.reward import Component, Measurement, Measurements, Reward
from steersman.core.state import Number, StateSchema, StateValues
from steersman.packs.qe.fleet.learning import lowest, rule, single_step
from steersman.packs.qe.fleet.site import Site
from steersman.packs.qe.fleet.skill import Worked
from steersman.packs.qe.plants.releases import Release, Releases
from steersman.packs.qe.tools.evidence import Evidence, Examiner
from steersman.packs.qe.tools.risk import security_worth

ESCAPES = {"go": 1.0, "conditional": 0.5, "no-go": 0.0}
"""How much of a fault's harm an action lets through; under conditions somebody watches and takes it back."""
BLOCKS = {"go": 0.0, "conditional": 0.3, "no-go": 1.0}
"""How much an action holds up a release that has no fault."""
ESCAPE_COST, BLOCK_COST = 200.0, 150.0
ROUTINE = 0.6
"""What a fault in an ordinary candidate costs of what it costs in a release."""

STATE = StateSchema(
    name="quality-gate",
    fields=(
        Number(name="pass_rate", low=0, high=1, edges=(1.0,), unit="share of the tests that ran"),
        Number(name="seen", low=0, high=1, edges=(1e-6, 0.5, 1.0), unit="share of the tests reaching the change that ran"),
        Number(name="reaching", low=0, high=1_000_000, unit="tests that run the changed line"),
        Number(name="major", low=0, high=1_000, edges=(1,), unit="findings that the change brought"),
        Number(name="critical", low=0, high=10_000, edges=(1,), unit="confirmed critical findings"),
        Number(name="release", low=0, high=1, edges=(0.5,)),
        Number(name="blockers", low=0, high=1_000_000, unit="tests that fail and did not before"),
        Number(name="evidence", low=0, high=1, unit="share of the suite that ran"),
        Number(name="coverage", low=0, high=100, unit="% of the functions"),
        Number(name="quality", low=0, high=100, unit="points"),
        Number(name="security", low=0, high=100, unit="points"),
        Number(name="ci", low=0, high=1),
    ),
)
ACTIONS = ActionSpace.flat("go", "conditional", "no-go", "more tests")


def baseline(state: StateValues) -> str:
    """The usual gate: no-go where a test fails, conditions where the change was not tested or critical, else go."""
    if state["blockers"]:
        return "no-go"
    return "conditional" if state["critical"] or not state["seen"] else "go"


def _outcome(m: Measurements) -> float:
    """Return 100 − 200·escaped harm (by what is at stake) − 150·what was held up for nothing."""
    stake = ROUTINE + (1.0 - ROUTINE) * m["release"]
    return 100.0 - ESCAPE_COST * m["escaped"] * stake - BLOCK_COST * m["held_up"]


def _time(m: Measurements) -> float:
    """Return 100 for a decision at once, and 0 where it took as much of the processor as the whole suite."""
    return 100.0 * (1.0 - m["cpu_s"] / max(m["suite_cpu_s"], 1e-3))


REWARD = Reward(
    measurements=(
        Measurement(name="fault", low=0.0, high=1.0),
        Measurement(name="release", low=0.0, high=1.0),
        Measurement(name="escaped", low=0.0, high=1.0),
        Measurement(name="held_up", low=0.0, high=1.0),
        Measurement(name="false_block", low=0.0, high=1.0, optional=True),
        Measurement(name="cpu_s", unit="s", low=0.0),
        Measurement(name="suite_cpu_s", unit="s", low=0.0),
    ),
    components=(
        Component(name="outcome", low=-100.0, high=100.0, weight=0.85, value=_outcome),
        Component(name="time", low=0.0, high=100.0, weight=0.15, value=_time),
    ),
    low=-100.0,
    high=100.0,
)


def _hard_rules(state: StateValues) -> Iterable[Refusal]:
    """Refuse what no evidence can allow."""
    if state["critical"]:
        reason = f"{state['critical']:.0f} critical findings are confirmed: mend them first"
        yield Refusal(where={"action": "go"}, reason=reason)
    if state["blockers"]:
        reason = f"{state['blockers']:.0f} tests fail that passed before: mend them, or release under conditions"
        yield Refusal(where={"action": "go"}, reason=reason)


def _nothing_left(state: StateValues) -> Iterable[Refusal]:
    if float(state["evidence"]) >= 1.0:
        yield Refusal(where={"action": "more tests"}, reason="all tests have run: decide, or write a test for the change")


PROBE = lowest(STATE)


def _shared(state: StateValues) -> dict[str, float]:
    """Return the risk, high where tests fail and middling where the change was not seen by all, and the urgency."""
    risk = 0.9 if float(state["pass_rate"]) < 1.0 else 0.5 * (1.0 - float(state["seen"]))
    return {"risk": risk, "urgency": float(state["release"])}


agent = AgentSpec(
    name="qe/quality-gate",
    description="Decides whether a candidate release may pass, by the evidence of the run.",
    state=STATE,
    actions=ACTIONS,
    reward=REWARD,
    baseline=baseline,
    safe_action="no-go",
    guards=(
        rule("hard-rules", _hard_rules, {**PROBE, "critical": 1.0, "blockers": 1.0}),
        rule("nothing-left", _nothing_left, {**PROBE, "evidence": 1.0}),
    ),
    settings=single_step(),
    kinship=Kinship(
        category="core-testing",
        project=_shared,
        roles={
            "action=go": "let-through",
            "action=conditional": "let-through-watched",
            "action=no-go": "block",
            "action=more tests": "look-closer",
        },
    ),
    cost="cpu_s",
    false_block="false_block",
    guardrails=(Guardrail(measurement="escaped", margin=0.03),),
)


class QualityGate:
    """Judges candidates of which something is known, and is told what was planted."""

    needs_tests = True

    def __init__(self) -> None:
        self._begun = False
        self._releases: Releases
        self._examiner: Examiner
        self._release: Release
        self._evidence: Evidence
        self._is_release = 0.0

    def look(self, site: Site) -> dict[str, float]:
        """Plant a candidate, let a part of the suite run on it, and return what that shows."""
        if not self._begun:
            self._releases = Releases(site)
            self._examiner = Examiner(site, self._releases)
            self._begun = True
        self._is_release = float(site.generator.random() < 0.5)
        self._release = self._releases.draw()
        self._evidence = seen = self._examiner.examine(self._release)
        critical = sum(each.severity == "critical" and each.confirmed for each in self._examiner.findings)
        return {
            "pass_rate": seen.pass_rate,
            "seen": seen.seen,
            "reaching": float(seen.reaching),
            "major": float(seen.lint),
            "critical": float(critical),
            "release": self._is_release,
            "blockers": float(len(seen.failures)),
            "evidence": 1.0 if not seen.left else seen.share,
            "coverage": 100.0 * self._examiner.coverage,
            "quality": max(100.0 - 25.0 * seen.lint, 0.0),
            "security": max(100.0 - 2.0 * security_worth(self._examiner.findings), 0.0),
            "ci": float(bool(os.environ.get("CI"))),
        }

    def work(self, site: Site, action: Action) -> Worked:
        """Carry out the verdict, and measure it by what was planted. More tests end in go where none fails, else no-go."""
        verdict, extra = str(action["action"]), 0.0
        if verdict == "more tests":
            run, failures = self._examiner.run_left(self._release, self._evidence.left)
            verdict = "no-go" if failures or self._evidence.failures else "go"
            extra = run.cpu_s
        fault = self._release.fault is not None
        measured = {
            "fault": float(fault),
            "release": self._is_release,
            "escaped": ESCAPES[verdict] if fault else 0.0,
            "held_up": 0.0 if fault else BLOCKS[verdict],
            "cpu_s": extra,
            "suite_cpu_s": site.reference.cpu_s,
        }
        if verdict == "no-go":
            measured["false_block"] = float(not fault)
        return Worked(measurements=measured, notes=(f"{self._release.name}: {verdict}",))


skill = QualityGate

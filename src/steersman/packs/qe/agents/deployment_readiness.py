"""qe/deployment-readiness: does this release go out, and how carefully?

It is measured by candidates that are planted into a copy, as for the quality gate: half of them carry a seeded fault. All
evidence of the run makes a risk score whose weights are in `tools.risk`. A canary is a sample of the tests that were left,
which really runs: what it shows stops the release early. What was planted is the truth.
"""

from collections.abc import Iterable
from dataclasses import dataclass

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
from steersman.packs.qe.tools.risk import BANDS, ReleaseEvidence, band, release_risk, security_worth


@dataclass(frozen=True, kw_only=True)
class Terms:
    """What an action costs. incident: the share of a fault's harm that comes about.

    delay: the share of a release's worth that is lost to waiting where there is no fault. idle: the same where there is
    one, as somebody has to find out why it waits.
    """

    incident: float
    delay: float
    idle: float = 0.0


TERMS = {
    "go": Terms(incident=1.0, delay=0.0),
    "go + monitor": Terms(incident=0.5, delay=0.15),
    "canary": Terms(incident=1.0, delay=0.2),
    "hold": Terms(incident=0.0, delay=0.5, idle=0.25),
    "no-go": Terms(incident=0.0, delay=0.9),
}
CANARY_FOUND = Terms(incident=0.1, delay=0.9)
"""A canary that shows a failure is stopped: few were harmed, and a release without a fault does not go out."""
CANARY_SHARE = 0.3
INCIDENT_COST, DELAY_COST = 200.0, 150.0
ROUTINE = 0.6
"""What an incident costs in an ordinary deployment of what it costs in a release."""

STATE = StateSchema(
    name="deployment-readiness",
    fields=(
        Number(name="risk", low=0, high=100, edges=BANDS, unit="points"),
        Number(name="seen", low=0, high=1, edges=(1e-6, 0.5, 1.0), unit="share of the tests reaching the change that ran"),
        Number(name="failures", low=0, high=1_000_000, unit="tests that fail and did not before"),
        Number(name="critical", low=0, high=10_000, edges=(1,), unit="confirmed critical findings"),
        Number(name="release", low=0, high=1, edges=(0.5,)),
        Number(name="history", low=0, high=1, unit="share of past releases that had a fault"),
        Number(name="reaching", low=0, high=1_000_000, unit="tests that run the changed line"),
        Number(name="evidence", low=0, high=1, unit="share of the suite that ran"),
        Number(name="coverage", low=0, high=100, unit="% of the functions"),
        Number(name="lint", low=0, high=1_000, unit="findings that the change brought"),
        Number(name="security", low=0, high=1_000_000, unit="worth of known findings"),
    ),
)
ACTIONS = ActionSpace.flat(*TERMS)


def baseline(state: StateValues) -> str:
    """What the band says: go, go + monitor, hold for the conditional band, no-go; never go with a critical finding."""
    if state["critical"]:
        return "no-go"
    return {"monitor": "go + monitor", "conditional": "hold"}.get(name := band(float(state["risk"])), name)


def _outcome(m: Measurements) -> float:
    """Return 100 − 200·incident (by what is at stake) − 150·delay."""
    stake = ROUTINE + (1.0 - ROUTINE) * m["release"]
    return 100.0 - INCIDENT_COST * m["incident"] * stake - DELAY_COST * m["delay"]


REWARD = Reward(
    measurements=(
        Measurement(name="fault", low=0.0, high=1.0),
        Measurement(name="release", low=0.0, high=1.0),
        Measurement(name="incident", low=0.0, high=1.0),
        Measurement(name="delay", low=0.0, high=1.0),
        Measurement(name="false_block", low=0.0, high=1.0, optional=True),
        Measurement(name="cpu_s", unit="s", low=0.0),
    ),
    components=(Component(name="outcome", low=-100.0, high=100.0, weight=1.0, value=_outcome),),
    low=-100.0,
    high=100.0,
)


def _critical(state: StateValues) -> Iterable[Refusal]:
    """Refuse to let anything out, in whatever way, while a critical finding is confirmed."""
    if state["critical"]:
        reason = f"{state['critical']:.0f} critical findings are confirmed: mend them, then ask again"
        yield from (Refusal(where={"action": each}, reason=reason) for each in ("go", "go + monitor", "canary"))


def _canary(state: StateValues) -> Iterable[Refusal]:
    if float(state["evidence"]) >= 1.0:
        reason = "a canary needs tests that have not run yet, and all have: write a test for the change, or decide"
        yield Refusal(where={"action": "canary"}, reason=reason)


PROBE = lowest(STATE)


def _shared(state: StateValues) -> dict[str, float]:
    return {"risk": float(state["risk"]) / 100.0, "urgency": float(state["release"])}


agent = AgentSpec(
    name="qe/deployment-readiness",
    description="Decides whether a release goes out and how carefully: incidents against delay.",
    state=STATE,
    actions=ACTIONS,
    reward=REWARD,
    baseline=baseline,
    safe_action="hold",
    guards=(
        rule("critical", _critical, {**PROBE, "critical": 1.0}),
        rule("canary", _canary, {**PROBE, "evidence": 1.0}),
    ),
    settings=single_step(),
    kinship=Kinship(
        category="specialized",
        project=_shared,
        roles={
            "action=go": "let-through",
            "action=go + monitor": "let-through-watched",
            "action=canary": "look-closer",
            "action=hold": "wait",
            "action=no-go": "block",
        },
    ),
    cost="cpu_s",
    false_block="false_block",
    guardrails=(Guardrail(measurement="incident", margin=0.03),),
)


class DeploymentReadiness:
    """Decides about candidates of which something is known, and is told what was planted."""

    needs_tests = True

    def __init__(self) -> None:
        self._begun = False
        self._releases: Releases
        self._examiner: Examiner
        self._release: Release
        self._evidence: Evidence
        self._is_release = 0.0
        self._decided, self._faulty = 0, 0

    def look(self, site: Site) -> dict[str, float]:
        """Plant a candidate, let a part of the suite run on it, and return the risk that all evidence adds up to."""
        if not self._begun:
            self._releases = Releases(site)
            self._examiner = Examiner(site, self._releases)
            self._begun = True
        self._is_release = float(site.generator.random() < 0.5)
        self._release = self._releases.draw()
        self._evidence = seen = self._examiner.examine(self._release)
        known = ReleaseEvidence(
            failures=float(len(seen.failures)),
            unseen=1.0 - seen.seen,
            security=security_worth(self._examiner.findings),
            coverage=self._examiner.coverage,
            lint=float(seen.lint),
            history=(self._faulty + 1.0) / (self._decided + 2.0),
        )
        return {
            "risk": release_risk(known),
            "seen": seen.seen,
            "failures": known.failures,
            "critical": float(sum(each.severity == "critical" and each.confirmed for each in self._examiner.findings)),
            "release": self._is_release,
            "history": known.history,
            "reaching": float(seen.reaching),
            "evidence": 1.0 if not seen.left else seen.share,
            "coverage": 100.0 * known.coverage,
            "lint": known.lint,
            "security": known.security,
        }

    def work(self, site: Site, action: Action) -> Worked:
        """Carry out the decision, and measure it by what was planted."""
        name = str(action["action"])
        terms, cpu_s, end = TERMS[name], 0.0, ""
        if name == "canary":
            shown, cpu_s = self._canary(site)
            terms, end = (CANARY_FOUND, ", stopped") if shown else (terms, ", nothing seen")
        fault = self._release.fault is not None
        self._decided += 1
        self._faulty += fault
        measured = {
            "fault": float(fault),
            "release": self._is_release,
            "incident": terms.incident if fault else 0.0,
            "delay": terms.idle if fault else terms.delay,
            "cpu_s": cpu_s,
        }
        if terms.incident < 0.5:  # held, refused, or stopped on its way
            measured["false_block"] = float(not fault)
        return Worked(measurements=measured, notes=(f"{self._release.name}{end}",))

    def _canary(self, site: Site) -> tuple[bool, float]:
        """Run a sample of the tests that were left; return whether one fails that passed before, and what it took."""
        left = self._evidence.left
        count = max(1, round(CANARY_SHARE * len(left)))
        drawn = {left[int(each)] for each in site.generator.choice(len(left), size=count, replace=False)}
        run, failures = self._examiner.run_left(self._release, tuple(each for each in left if each in drawn))
        return bool(failures), run.cpu_s


skill = DeploymentReadiness

"""qe/security-scanner: which scans are worth their time on this project?

It is measured by weak code, secrets and old versions that are planted into a copy, among look-alikes that are none: what
a scan shows of them, what it takes for one, and how long it took. What it says of the
project itself is reported, as suspected.
Of dependencies nothing is said where pip-audit cannot look them up; no answer of it would be one.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from steersman.core.actions import Action, ActionSpace
from steersman.core.agent import AgentSpec
from steersman.core.guards import Refusal
from steersman.core.kinship import Kinship
from steersman.core.reward import Component, Measurement, Measurements, Reward
from steersman.core.state import Number, StateSchema, StateValues
from steersman.packs.qe.fleet.findings import SEVERITIES, Finding
from steersman.packs.qe.fleet.learning import lowest, rule, single_step
from steersman.packs.qe.fleet.site import Site
from steersman.packs.qe.fleet.skill import Worked
from steersman.packs.qe.plants.old_versions import plant_versions
from steersman.packs.qe.plants.vulnerabilities import Planted, plant_vulnerabilities
from steersman.packs.qe.tools.dependencies import SERVER, Pin, pins, pip_audit, requirement_files, why_not
from steersman.packs.qe.tools.run import has
from steersman.packs.qe.tools.scanners import Scan, Scanner, bandit, detect_secrets, ruff

SCANS: Mapping[str, tuple[Scanner, ...]] = {
    "quick": (ruff,),
    "sast": (bandit,),
    "secrets": (detect_secrets,),
    "full": (ruff, bandit, detect_secrets),
}
WORTH = {"critical": 8.0, "high": 4.0, "medium": 2.0, "low": 1.0}
FALSE_ALARM = -15.0
PLANTED = {"code": 5, "secrets": 3, "look_alikes": 4}
OLD_VERSIONS = {"known": 2, "harmless": 2}

STATE = StateSchema(
    name="security-scanner",
    fields=(
        Number(name="files", low=0, high=100_000, edges=(10, 100, 1000)),
        Number(name="critical", low=0, high=10_000, edges=(1,), unit="known findings"),
        Number(name="high", low=0, high=10_000, edges=(1,), unit="known findings"),
        Number(name="known", low=0, high=100_000, unit="known findings"),
        Number(name="false_positive_rate", low=0, high=1, edges=(0.1, 0.3), unit="share of look-alikes reported"),
        Number(name="lines", low=0, high=100_000_000),
        Number(name="has_ruff", low=0, high=1),
        Number(name="has_bandit", low=0, high=1),
        Number(name="has_detect_secrets", low=0, high=1),
        Number(name="pins", low=0, high=100_000, edges=(1,), unit="requirements of one version"),
        Number(name="has_pip_audit", low=0, high=1),
        Number(name="has_advisories", low=0, high=1, edges=(0.5,), unit="whether pip-audit can look up what is known"),
    ),
)
ACTIONS = ActionSpace.flat("quick", "sast", "secrets", "sca", "full")


def baseline(state: StateValues) -> str:
    """Bandit, as most projects have it; ruff's rules where it is missing."""
    return "sast" if state["has_bandit"] else "quick"


def _found(m: Measurements) -> float:
    """Return the share of what was planted that was found, by severity, 0–100."""
    return 100.0 * m["found_worth"] / m["planted_worth"]


def _false_alarms(m: Measurements) -> float:
    """Return −15 for each look-alike that was taken for real."""
    return FALSE_ALARM * m["false_alarms"]


def _speed(m: Measurements) -> float:
    """Return (expected/actual − 1)·50 of the time; expected is what all scans together take on this project."""
    return (m["expected_s"] / max(m["wall_s"], 1e-3) - 1.0) * 50.0


REWARD = Reward(
    measurements=(
        Measurement(name="weaknesses", low=0.0),
        Measurement(name="weaknesses_found", low=0.0),
        Measurement(name="planted_worth", low=1.0),
        Measurement(name="found_worth", low=0.0),
        Measurement(name="false_alarms", low=0.0),
        Measurement(name="wall_s", unit="s", low=0.0),
        Measurement(name="cpu_s", unit="s", low=0.0),
        Measurement(name="expected_s", unit="s", low=0.0),
    ),
    components=(
        Component(name="found", low=0.0, high=100.0, weight=0.6, value=_found),
        Component(name="false_alarms", low=-50.0, high=0.0, weight=0.25, value=_false_alarms),
        Component(name="speed", low=-50.0, high=50.0, weight=0.15, value=_speed),
    ),
    low=-50.0,
    high=100.0,
)


def _missing_tools(state: StateValues) -> Iterable[Refusal]:
    """Refuse what needs a tool that is not there. A full scan needs all of them: half of one would be called full."""
    needs: dict[str, tuple[str, ...]] = {"quick": ("ruff",), "sast": ("bandit",), "secrets": ("detect_secrets",)}
    needs["full"] = ("ruff", "bandit", "detect_secrets")
    for choice, tools in needs.items():
        missing = [each.replace("_", "-") for each in tools if not state[f"has_{each}"]]
        if missing:
            yield Refusal(where={"action": choice}, reason=f"{choice} needs {', '.join(missing)}: pip install it")


def _nothing_to_look_up(state: StateValues) -> Iterable[Refusal]:
    """Refuse to audit dependencies where none is pinned, or where pip-audit would know nothing of any."""
    reason = ""
    if not state["pins"]:
        reason = "sca needs a requirement that is pinned (name==1.0) in requirements*.txt or pyproject.toml"
    elif not state["has_pip_audit"]:
        reason = "sca needs pip-audit: pip install pip-audit"
    elif not state["has_advisories"]:
        reason = "sca was not run: pip-audit cannot look up advisories here. Give it a network, or a server in " + SERVER
    if reason:
        yield Refusal(where={"action": "sca"}, reason=reason)


PROBE = lowest(STATE)


def _shared(state: StateValues) -> dict[str, float]:
    return {"size": min(float(state["files"]) / 1000.0, 1.0), "risk": 1.0 if state["critical"] or state["high"] else 0.0}


agent = AgentSpec(
    name="qe/security-scanner",
    description="Decides which security scans are worth their time on a project.",
    state=STATE,
    actions=ACTIONS,
    reward=REWARD,
    baseline=baseline,
    safe_action="quick",
    guards=(
        rule("tools", _missing_tools, PROBE),
        rule("dependencies", _nothing_to_look_up, PROBE),
    ),
    settings=single_step(),
    kinship=Kinship(
        category="performance-security",
        group="security",
        project=_shared,
        roles={
            "action=quick": "quick",
            "action=sast": "deep",
            "action=secrets": "narrow",
            "action=sca": "from-outside",
            "action=full": "everything",
        },
    ),
    cost="cpu_s",
)


class SecurityScanner:
    """Scans a copy into which something was planted, and tells apart what was planted and what was there."""

    needs_tests = False

    def __init__(self) -> None:
        self._sources: dict[str, str] = {}
        self._known: tuple[Finding, ...] = ()
        self._expected_s = 0.0
        self._alarms, self._look_alikes = 0, 0
        self._planted = Planted(texts={}, plants=())
        self._pins: tuple[Pin, ...] = ()
        self._why_not = ""

    def look(self, site: Site) -> dict[str, float]:
        """Plant something new, and return what is known of the project; at first, all scans run on it as it is."""
        if not self._sources:
            self._sources = {file: site.sandbox.read(file) for file in site.project.sources}
            self._pins = pins(site.sandbox.root)
            self._why_not = why_not(site.sandbox.scratch) if self._pins else "no requirement is pinned"
            scan = self._scan(site, "full" if _all_there() else "quick")
            self._known, self._expected_s = scan.findings, scan.wall_s
            site.findings.extend(scan.findings)
        self._planted = self._plants(site)
        counts = {each: float(sum(found.severity == each for found in self._known)) for each in SEVERITIES}
        return {
            "files": float(len(self._sources)),
            "lines": float(sum(text.count("\n") for text in self._sources.values())),
            "critical": counts["critical"],
            "high": counts["high"],
            "known": float(len(self._known)),
            "false_positive_rate": self._alarms / max(self._look_alikes, 1),
            "has_ruff": float(has("ruff")),
            "has_bandit": float(has("bandit")),
            "has_detect_secrets": float(has("detect_secrets")),
            "pins": float(len(self._pins)),
            "has_pip_audit": float(has("pip_audit")),
            "has_advisories": float(not self._why_not),
        }

    def work(self, site: Site, action: Action) -> Worked:
        """Scan, and compare what was found with what was planted."""
        with site.changed(dict(self._planted.texts)):
            scan = self._scan(site, str(action["action"]))
        plants = self._planted.plants
        real = [each for each in plants if each.severity]
        alarms = sum(each.is_in(scan.findings) for each in plants if not each.severity)
        self._alarms += alarms
        self._look_alikes += len(plants) - len(real)
        found = sum(each.is_in(scan.findings) for each in real)
        measured: dict[str, Any] = {
            "weaknesses": float(len(real)),
            "weaknesses_found": float(found),
            "planted_worth": sum(WORTH[each.severity] for each in real),
            "found_worth": sum(WORTH[each.severity] for each in real if each.is_in(scan.findings)),
            "false_alarms": float(alarms),
            "wall_s": scan.wall_s,
            "cpu_s": scan.cpu_s,
            "expected_s": self._expected_s,
        }
        harmless = len(plants) - len(real)
        note = f"{found} of {len(real)} planted weaknesses found, {alarms} of {harmless} look-alikes taken for one"
        blind = self._why_not if action["action"] == "full" else ""
        return Worked(measurements=measured, notes=(note, f"no word on dependencies: {blind}") if blind else (note,))

    def _plants(self, site: Site) -> Planted:
        """Return new plants; old versions only where some scan can show them."""
        planted = plant_vulnerabilities(self._sources, site.generator, **PLANTED)
        if self._why_not:
            return planted
        file = next(iter(requirement_files(site.project.root)), "requirements.txt")
        text = site.sandbox.read(file) if (site.sandbox.root / file).exists() else ""
        taken = [each.name for each in self._pins]
        old = plant_versions(file, text, taken, site.generator, **OLD_VERSIONS)
        return Planted(texts={**planted.texts, **old.texts}, plants=(*planted.plants, *old.plants))

    def _scan(self, site: Site, name: str) -> Scan:
        """Run the scans of a name one after the other and put together what they found."""
        sandbox = site.sandbox
        scans = [each(sandbox.root, site.project.sources, sandbox.scratch, site.timeout_s) for each in SCANS.get(name, ())]
        if name == "sca" or (name == "full" and not self._why_not):
            scans.append(pip_audit(pins(sandbox.root), sandbox.scratch, site.timeout_s))
        return Scan(
            findings=tuple(found for scan in scans for found in scan.findings),
            cpu_s=sum(each.cpu_s for each in scans),
            wall_s=sum(each.wall_s for each in scans),
        )


def _all_there() -> bool:
    return all(has(each) for each in ("ruff", "bandit", "detect_secrets"))


skill = SecurityScanner

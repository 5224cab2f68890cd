"""qe/requirements-validator: which questions are worth asking of new requirements before they are built?

It is measured by requirements with known gaps that are planted among clean ones. What the rules say of the project's own
texts is reported as suspected: whether a sentence is clear enough is for a person to judge.
"""

from collections.abc import Iterable, Iterator, Mapping
from itertools import chain

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
from steersman.packs.qe.plants.requirement_gaps import PlantedRequirements, plant_requirements
from steersman.packs.qe.project.discovery import project_files
from steersman.packs.qe.tools import requirements_text as rules
from steersman.packs.qe.tools.requirements_text import SUFFIXES, Gap, Requirement, read_docstrings, read_requirements
from steersman.packs.qe.tools.run import has
from steersman.packs.qe.tools.scenarios import broken_scenarios, scenario_draft

PLANTED = 6
DRAFT = "features/steersman_draft.feature"
_FALSE_ALARM = -15.0
_SHOWN, _DRAFTED = 30, 10
_WORST: Mapping[str, Severity] = {"contradiction": "high", "broken scenario": "medium", "ambiguous": "medium"}

STATE = StateSchema(
    name="requirements-validator",
    fields=(
        Number(name="ambiguity", low=0, high=1, edges=(0.2,), unit="share of new requirements with a vague word"),
        Number(name="missing_criteria", low=0, high=1, edges=(0.2,), unit="share of new requirements"),
        Number(name="open_limits", low=0, high=1, edges=(0.1,), unit="share of new requirements"),
        Number(name="new_scenarios", low=0, high=10_000, edges=(1,)),
        Number(name="risk", low=0, high=1, edges=(0.3,), unit="share of lines about money or secrets"),
        Number(name="has_text", low=0, high=1, edges=(1,), unit="requirements that are written down"),
        Number(name="requirements", low=0, high=1_000_000),
        Number(name="untested", low=0, high=1, unit="share of requirements of which no test speaks"),
        Number(name="has_gherkin", low=0, high=1),
    ),
)
ACTIONS = ActionSpace.flat("INVEST check", "BDD scenarios", "clarify", "edge cases", "approve")


def baseline(state: StateValues) -> str:
    """Go by the checklist, as most teams do."""
    return "INVEST check"


def _found(m: Measurements) -> float | None:
    """Return the share of the planted gaps that was found, by worth, 0–100; nothing to say where there is none."""
    return 100.0 * m["found_worth"] / m["gap_worth"] if m["gap_worth"] else None


def _verdict(m: Measurements) -> float | None:
    """Return 50 for an approval of what leaves nothing open, −50 for one of what will come back as rework."""
    return None if not m["approved"] else -50.0 if m["gap_worth"] else 50.0


REWARD = Reward(
    measurements=(
        Measurement(name="gaps", low=0.0),
        Measurement(name="gaps_found", low=0.0),
        Measurement(name="gap_worth", low=0.0),
        Measurement(name="found_worth", low=0.0),
        Measurement(name="false_alarms", low=0.0),
        Measurement(name="approved", low=0.0, high=1.0),
    ),
    components=(
        Component(name="found", low=0.0, high=100.0, weight=0.5, value=_found),
        Component(name="rework", low=-50.0, high=0.0, weight=0.3, value=lambda m: _FALSE_ALARM * m["false_alarms"]),
        Component(name="verdict", low=-50.0, high=50.0, weight=0.2, value=_verdict),
    ),
    low=-50.0,
    high=100.0,
)


def _refuse(state: StateValues) -> Iterable[Refusal]:
    """Refuse scenarios without their parser, and an approval where nobody wrote down what is wanted."""
    if not state["has_gherkin"]:
        yield Refusal(where={"action": "BDD scenarios"}, reason="scenarios need gherkin-official: pip install it")
    if not state["has_text"]:
        words = "only docstrings say what the project is for, so there is nothing to approve: write a README or docs/*.md"
        yield Refusal(where={"action": "approve"}, reason=words)


PROBE = lowest(STATE)


def _shared(state: StateValues) -> dict[str, float]:
    return {"risk": float(state["risk"]), "complexity": float(state["ambiguity"])}


agent = AgentSpec(
    name="qe/requirements-validator",
    description="Decides which questions to ask of new requirements, or to approve them.",
    state=STATE,
    actions=ACTIONS,
    reward=REWARD,
    baseline=baseline,
    safe_action="clarify",
    guards=(rule("readable", _refuse, PROBE),),
    settings=single_step(),
    kinship=Kinship(
        category="specialized",
        project=_shared,
        roles={
            "action=INVEST check": "quick",
            "action=BDD scenarios": "deep",
            "action=clarify": "narrow",
            "action=edge cases": "edges",
            "action=approve": "nothing",
        },
    ),
)


class RequirementsValidator:
    """Asks questions of new requirements, and of those that the project has."""

    needs_tests = False

    def __init__(self) -> None:
        self._texts: dict[str, str] | None = None
        self._own: tuple[Requirement, ...] = ()
        self._untested: tuple[Requirement, ...] = ()
        self._planted = PlantedRequirements(theme="clean", texts={}, plants=())
        self._told: set[Gap] = set()

    def look(self, site: Site) -> dict[str, float]:
        """Plant new requirements, and return what a glance at them tells; at first, read those of the project."""
        if self._texts is None:
            self._read(site)
        self._planted = plant_requirements(site.generator, count=PLANTED)
        text = "\n".join(self._planted.texts.values())
        seen, lines = rules.glance(text), max(text.count("\n"), 1)
        asks = max(seen["asks"], 1)
        risky = sum(any(word in line for word in ("pay", "invoice", "password", "secret")) for line in text.splitlines())
        return {
            "ambiguity": min(seen["vague"] / asks, 1.0),
            "missing_criteria": max(1.0 - seen["criteria"] / asks, 0.0) if seen["asks"] else 0.0,
            "open_limits": max(seen["limits"] - seen["beyond"], 0) / max(asks, seen["limits"]),
            "new_scenarios": float(sum(each.endswith(".feature") for each in self._planted.texts)),
            "risk": min(4.0 * risky / lines, 1.0),
            "has_text": float(bool(self._texts)),
            "requirements": float(len(self._own)),
            "untested": len(self._untested) / max(len(self._own), 1),
            "has_gherkin": float(has("gherkin")),
        }

    def work(self, site: Site, action: Action) -> Worked:
        """Ask in the way that was chosen, and compare what was asked with what was left open on purpose."""
        chosen = str(action["action"])
        with site.changed(dict(self._planted.texts)):
            written = {file: site.sandbox.read(file) for file in self._planted.texts}
            found = _lines(_ask(chosen, read_requirements(written), written))
        gaps = [each for each in self._planted.plants if each.kind]
        clean = [each for each in self._planted.plants if not each.kind]
        hits, alarms = (sum(each.is_in(found) for each in some) for some in (gaps, clean))
        measured = {
            "gaps": float(len(gaps)),
            "gaps_found": float(hits),
            "gap_worth": sum(each.worth for each in gaps),
            "found_worth": sum(each.worth for each in gaps if each.is_in(found)),
            "false_alarms": float(alarms),
            "approved": float(chosen == "approve"),
        }
        draft = scenario_draft(self._untested[:_DRAFTED]) if chosen == "BDD scenarios" else ""
        notes = [f"{hits} of {len(gaps)} planted gaps found, {alarms} of {len(clean)} clean requirements taken for one"]
        if not self._texts:
            notes.append("no requirement is written down, so docstrings were read as such")
        return Worked(
            measurements=measured,
            findings=self._findings(chosen),
            files={DRAFT: draft} if draft else {},
            notes=tuple(notes),
        )

    def _read(self, site: Site) -> None:
        """Read the project's requirements, and link them to its tests by their words: once for all rounds."""
        texts = {file: site.sandbox.read(file) for file in _text_files(site)}
        own = read_requirements(texts)
        self._texts = texts if own or any(each.endswith(".feature") for each in texts) else {}
        root = site.project.source_root
        sources = {file: site.sandbox.read(file) for file in site.project.sources} if not self._texts else {}
        self._own = own if self._texts else read_docstrings(sources, root)
        spoken = chain.from_iterable(_tests_of(site.sandbox.read(file)) for file in site.project.tests)
        silent = {(each.file, each.line) for each in rules.untested(self._own, spoken)}
        self._untested = tuple(each for each in self._own if (each.file, each.line) in silent)

    def _findings(self, chosen: str) -> tuple[Finding, ...]:
        """Return what the questions say of the project's own texts, each once."""
        asked = list(_ask(chosen, self._own, self._texts or {}))
        new = [each for each in asked if each not in self._told][:_SHOWN]
        self._told.update(new)
        return tuple(
            Finding(
                tool="requirements",
                rule=each.rule,
                severity=_WORST.get(each.rule, "low"),
                file=each.file,
                line=each.line,
                message=each.message,
            )
            for each in new
        )


def _ask(chosen: str, requirements: tuple[Requirement, ...], texts: Mapping[str, str]) -> Iterator[Gap]:
    if chosen == "INVEST check":
        yield from rules.invest(requirements)
    elif chosen == "BDD scenarios":
        yield from broken_scenarios({file: text for file, text in texts.items() if file.endswith(".feature")})
    elif chosen == "clarify":
        yield from rules.ambiguities(requirements)
        yield from rules.contradictions(requirements)
    elif chosen == "edge cases":
        yield from rules.open_limits(requirements)


def _lines(gaps: Iterable[Gap]) -> dict[str, frozenset[int]]:
    found: dict[str, set[int]] = {}
    for each in gaps:
        found.setdefault(each.file, set()).add(each.line)
    return {file: frozenset(lines) for file, lines in found.items()}


def _text_files(site: Site) -> list[str]:
    """Return the texts of the project that may hold requirements: in its root, in docs and requirements, and features."""
    root = site.sandbox.root
    found = []
    for path in sorted(project_files(root)):
        inside = path.relative_to(root)
        place = len(inside.parts) == 1 or inside.parts[0] in ("docs", "doc", "requirements", "features", "specs")
        wanted = path.suffix in SUFFIXES and not path.name.startswith(("requirements", "LICENSE", "CHANGELOG"))
        if wanted and path.is_file() and (place or path.suffix == ".feature"):
            found.append(inside.as_posix())
    return found


def _tests_of(text: str) -> list[str]:
    """Return the texts of the tests in a file, cut at each definition."""
    return text.split("\ndef ")


skill = RequirementsValidator

"""qe/quality-analyzer: how deep to look for the files in which faults would stay unseen?

Each analysis flags files as risky. Then mutants are seeded at random into files of the copy and the tests that reach them
run: a flag is confirmed where one survives. What the analysis cost is taken off; what the truth cost is not.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping

from steersman.core.actions import Action, ActionSpace
from steersman.core.agent import AgentSpec
from steersman.core.guards import Refusal
from steersman.core.kinship import Kinship
from steersman.core.reward import Component, Measurement, Measurements, Reward
from steersman.core.state import Number, StateSchema, StateValues
from steersman.packs.qe.faults.mutation import Fault
from steersman.packs.qe.fleet.findings import Finding
from steersman.packs.qe.fleet.learning import lowest, rule, single_step
from steersman.packs.qe.fleet.site import Site
from steersman.packs.qe.fleet.skill import Worked
from steersman.packs.qe.tools.churn import past_commit
from steersman.packs.qe.tools.file_risk import Risk, add_mutation, deep_debt, static_only, trend_report
from steersman.packs.qe.tools.run import has
from steersman.packs.qe.tools.survey import draw, possible, survey

ANALYSES: Mapping[str, Callable[[Site], Risk]] = {
    "static_only": static_only,
    "add_mutation": add_mutation,
    "deep_debt": deep_debt,
    "trend_report": trend_report,
}
JUDGED_FILES, MUTANTS_EACH, COMMITS_BACK = 6, 2, 50
_REPORTED = 10

STATE = StateSchema(
    name="quality-analyzer",
    fields=(
        Number(name="maintainability", low=0, high=100, edges=(20, 65, 85), unit="radon's index, mean of files"),
        Number(name="debt_ratio", low=0, high=100, edges=(1, 5, 15), unit="smells for each 100 lines"),
        Number(name="trend", low=-100, high=100, edges=(-1, 1), unit="change of the index over 50 commits"),
        Number(name="untested", low=0, high=1, edges=(0.1, 0.4), unit="share of files that no test runs"),
        Number(name="files", low=0, high=100_000),
        Number(name="lines", low=0, high=100_000_000),
        Number(name="has_ruff", low=0, high=1),
        Number(name="has_radon", low=0, high=1),
        Number(name="has_vulture", low=0, high=1),
        Number(name="has_history", low=0, high=1),
    ),
)
ACTIONS = ActionSpace.flat(*ANALYSES)


def baseline(state: StateValues) -> str:
    """Linters and radon alone, as most projects have them; mutants where these are missing."""
    return "static_only" if state["has_ruff"] and state["has_radon"] else "add_mutation"


def _confirmed(m: Measurements) -> float:
    """Return 100·F1 of the flags, over the files that were judged; 100 where there was nothing to flag and nothing was."""
    wrong = (m["flagged"] - m["confirmed"]) + m["missed"]
    both = 2.0 * m["confirmed"]
    return 100.0 * both / (both + wrong) if both + wrong > 0.0 else 100.0


REWARD = Reward(
    measurements=(
        Measurement(name="judged", unit="files", low=0.0),
        Measurement(name="flagged", unit="files", low=0.0),
        Measurement(name="confirmed", unit="files", low=0.0),
        Measurement(name="missed", unit="files", low=0.0),
        Measurement(name="cpu_s", unit="s", low=0.0),
        Measurement(name="expected_cpu_s", unit="s", low=0.0),
    ),
    components=(
        Component(name="confirmed", low=0.0, high=100.0, weight=0.75, value=_confirmed),
        Component(
            name="cost",
            low=-50.0,
            high=0.0,
            weight=0.25,
            value=lambda m: -10.0 * m["cpu_s"] / max(m["expected_cpu_s"], 1e-3),
        ),
    ),
    low=-50.0,
    high=100.0,
)


def _missing_tools(state: StateValues) -> Iterable[Refusal]:
    needs = {"static_only": ("ruff", "radon"), "deep_debt": ("ruff", "radon", "vulture"), "trend_report": ("radon",)}
    for choice, tools in needs.items():
        missing = [each for each in tools if not state[f"has_{each}"]]
        if missing:
            yield Refusal(where={"action": choice}, reason=f"{choice} needs {', '.join(missing)}: pip install it")


def _no_history(state: StateValues) -> Iterable[Refusal]:
    if not state["has_history"]:
        reason = "trend_report needs two commits that changed Python files; choose another action"
        yield Refusal(where={"action": "trend_report"}, reason=reason)


PROBE = lowest(STATE)

agent = AgentSpec(
    name="qe/quality-analyzer",
    description="Decides how deep to look for the files of a project in which faults would stay unseen.",
    state=STATE,
    actions=ACTIONS,
    reward=REWARD,
    baseline=baseline,
    safe_action="static_only",
    guards=(
        rule("tools", _missing_tools, PROBE),
        rule("history", _no_history, PROBE),
    ),
    settings=single_step(),
    kinship=Kinship(
        category="core-testing",
        project=lambda state: {
            "size": min(float(state["files"]) / 1000.0, 1.0),
            "risk": 1.0 - float(state["maintainability"]) / 100.0,
        },
        roles={
            "action=static_only": "quick",
            "action=add_mutation": "deep",
            "action=deep_debt": "everything",
            "action=trend_report": "narrow",
        },
    ),
    cost="cpu_s",
)


class QualityAnalyzer:
    """Flags files, and then sees by fresh mutants which of the flags were right."""

    needs_tests = True

    def __init__(self) -> None:
        self._state: dict[str, float] = {}
        self._possible: dict[str, list[Fault]] = {}
        self._expected_cpu_s = 0.0
        self._told: set[tuple[str, str, int]] = set()

    def look(self, site: Site) -> dict[str, float]:
        """Return how maintainable the project is, measured once."""
        if not self._state:
            self._possible = possible(site)
            self._state = self._measure(site)
        return dict(self._state)

    def work(self, site: Site, action: Action) -> Worked:
        """Analyse, then judge the flags by mutants that the analysis has not seen."""
        risk = ANALYSES[str(action["action"])](site)
        unsafe = self._judge(site, risk)
        flagged = risk.flagged & set(unsafe)
        survived = {file for file, found in unsafe.items() if found}
        measured = {
            "judged": float(len(unsafe)),
            "flagged": float(len(flagged)),
            "confirmed": float(len(flagged & survived)),
            "missed": float(len(survived - flagged)),
            "cpu_s": risk.cpu_s,
            "expected_cpu_s": self._expected_cpu_s,
        }
        note = (
            f"{len(flagged)} of {len(unsafe)} judged files flagged; mutants survive in {len(survived)}, "
            f"{len(flagged & survived)} of them flagged"
        )
        return Worked(measurements=measured, findings=self._new(risk), notes=(note,))

    def _measure(self, site: Site) -> dict[str, float]:
        sources, coverage = site.project.sources, site.reference.coverage
        lines = sum(site.sandbox.read(each).count("\n") for each in sources)
        able = has("ruff") and has("radon")
        static = static_only(site) if able else Risk(scores={}, reasons={})
        self._expected_cpu_s = static.cpu_s + site.reference.cpu_s
        past = past_commit(site.project.root, COMMITS_BACK, site.timeout_s)
        untested = sum(not coverage.tests_of_file(each) for each in sources) if coverage.available else 0
        return {
            "maintainability": static.maintainability,
            "debt_ratio": min(100.0 * static.smells / max(lines, 1), 100.0),
            "trend": trend_report(site).change if past and has("radon") else 0.0,
            "untested": untested / max(len(sources), 1),
            "files": float(len(sources)),
            "lines": float(lines),
            "has_ruff": float(has("ruff")),
            "has_radon": float(has("radon")),
            "has_vulture": float(has("vulture")),
            "has_history": float(bool(past)),
        }

    def _judge(self, site: Site, risk: Risk) -> dict[str, int]:
        """Return some files, drawn at random, with how many of their fresh mutants survive."""
        fresh = {file: [each for each in faults if each not in risk.tried] for file, faults in self._possible.items()}
        files = sorted(file for file, faults in fresh.items() if faults)
        drawn = site.generator.permutation(len(files))[:JUDGED_FILES]
        faults = [each for at in drawn for each in draw(site, fresh[files[int(at)]], MUTANTS_EACH)]
        made = survey(site, faults)
        survived = Counter(each.file for each in made.survivors)
        return {file: survived[file] for file in {each.file for each in made.fates}}

    def _new(self, risk: Risk) -> tuple[Finding, ...]:
        """Return what is to be told of the project and was not told before."""
        flags = [
            Finding(
                tool="quality-analyzer",
                rule="risky file",
                severity="low",
                file=file,
                line=0,
                message=risk.reasons.get(file, ""),
            )
            for file in sorted(risk.flagged, key=lambda each: -risk.scores[each])[:_REPORTED]
        ]
        fresh = [each for each in (*flags, *risk.findings) if (each.rule, each.file, each.line) not in self._told]
        self._told |= {(each.rule, each.file, each.line) for each in fresh}
        return tuple(fresh)


skill = QualityAnalyzer

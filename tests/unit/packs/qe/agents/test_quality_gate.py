"""The quality gate judges planted candidates by a part of the suite that really ran; what was planted is the truth."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from steersman.packs.qe.agents.quality_gate import REWARD, QualityGate, agent
from steersman.packs.qe.fleet.findings import Finding
from steersman.packs.qe.fleet.site import Site, open_site
from steersman.packs.qe.plants.releases import Release
from steersman.packs.qe.project.discovery import discover
from steersman.packs.qe.tools import evidence
from steersman.testing.pack_checker import check_agent
from tests.unit.packs.qe.agents.conftest import Work
from tests.unit.packs.qe.conftest import Lines, write

FILES = {
    "rebate.py": (
        "def rebate(total):\n    if total > 100:\n        return total - 10\n    return total\n\n\n"
        "def idle():\n    return 7\n"
    ),
    "tests/test_rebate.py": (
        "from rebate import rebate\n\n\ndef test_much():\n    assert rebate(200) == 190\n\n\n"
        "def test_more():\n    assert rebate(300) == 290\n"
    ),
}


class Held(QualityGate):
    """The gate before a candidate that was chosen by hand; nothing has run on it, if the test does not say otherwise."""

    def hold(self, site: Site, change: str) -> None:
        if not self._begun:
            self.look(site)
        self._release = self.candidate(change)
        self._is_release = 1.0
        self._evidence = replace(self._evidence, left=site.reference.collected, failures=frozenset())

    def candidate(self, change: str) -> Release:
        if change == "comment":
            return self._releases.harmless(self._releases.places[0])
        wanted = {"seen fault": ("arithmetic", 3), "missed fault": ("return value", 8)}[change]
        return self._releases.release(next(e for e in self._releases.places if (e.operator, e.line) == wanted))


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A copy of a project in which one function is tested and one is not; each test leaves it as it was."""
    project = discover(write(tmp_path_factory.mktemp("gate"), FILES))
    with open_site(project, seed=1, timeout_s=60.0, progress=Lines()) as opened:
        yield opened


@pytest.fixture(scope="module")
def gate(site: Site) -> Held:
    return Held()


def judged(gate: Held, site: Site, change: str, verdict: str) -> dict[str, float]:
    gate.hold(site, change)
    return dict(gate.work(site, {"action": verdict}).measurements or {})


def test_it_keeps_what_every_agent_keeps() -> None:
    assert [each.problem for each in check_agent(agent) if each.problem] == []


def test_escapes_and_false_blocks_are_what_it_pays_for(site: Site, gate: Held) -> None:
    faulty, clean = (
        {verdict: REWARD.score(judged(gate, site, change, verdict)).reward for verdict in ("go", "conditional", "no-go")}
        for change in ("seen fault", "comment")
    )
    assert faulty["no-go"] > faulty["conditional"] > faulty["go"]
    assert clean["go"] > clean["conditional"] > clean["no-go"]
    assert clean["go"] == faulty["no-go"] == 100.0


def test_a_fault_costs_more_in_a_release_than_in_an_ordinary_candidate(site: Site, gate: Held) -> None:
    measured = judged(gate, site, "missed fault", "go")
    assert REWARD.score(measured).reward < REWARD.score({**measured, "release": 0.0}).reward


def test_a_block_is_false_where_nothing_was_planted_and_only_blocks_are_judged(site: Site, gate: Held) -> None:
    assert judged(gate, site, "comment", "no-go")["false_block"] == 1.0
    assert judged(gate, site, "missed fault", "no-go")["false_block"] == 0.0
    assert "false_block" not in judged(gate, site, "comment", "go")


def test_more_tests_find_what_a_test_can_find_and_cost_time(site: Site, gate: Held) -> None:
    found = judged(gate, site, "seen fault", "more tests")
    missed = judged(gate, site, "missed fault", "more tests")
    clean = judged(gate, site, "comment", "more tests")
    assert (found["escaped"], missed["escaped"], clean["held_up"]) == (0.0, 1.0, 0.0)
    assert found["cpu_s"] > 0.0 == judged(gate, site, "comment", "go")["cpu_s"]


def test_evidence_comes_from_tests_that_ran(site: Site, gate: Held, monkeypatch: pytest.MonkeyPatch) -> None:
    gate.look(site)
    monkeypatch.setattr(evidence, "SHARES", (1.0,))
    faulty, missed, clean = (
        gate._examiner.examine(gate.candidate(each)) for each in ("seen fault", "missed fault", "comment")
    )
    assert (faulty.pass_rate, len(faulty.failures), faulty.seen, faulty.reaching) == (0.0, 2, 1.0, 2)
    assert (missed.pass_rate, len(missed.failures), missed.seen, missed.reaching) == (1.0, 0, 0.0, 0)
    assert (clean.pass_rate, clean.lint, clean.left) == (1.0, 0, ())
    monkeypatch.setattr(evidence, "SHARES", (0.5,))
    half = gate._examiner.examine(gate.candidate("seen fault"))
    assert (half.share, half.seen, len(half.left), len(half.failures)) == (0.5, 0.5, 1, 1)


def test_what_the_linter_sees_in_a_change_is_evidence_too(site: Site, gate: Held) -> None:
    gate.look(site)
    text = "def rebate(total):\n    return totel\n\n\ndef idle():\n    return 7\n"
    release = Release(file="rebate.py", line=2, function="rebate", text=text, fault=None)
    assert gate._examiner.examine(release).lint == 1
    assert gate._examiner.coverage == 0.5, "one function of two is run by tests"


def test_a_scan_of_its_own_counts_only_until_a_scanner_has_worked(tmp_path: Path) -> None:
    weak = "import subprocess\n\n\ndef run(text):\n    return subprocess.call(text, shell=True)\n"
    project = discover(write(tmp_path, FILES | {"rebate.py": FILES["rebate.py"] + weak}))
    with open_site(project, seed=1, timeout_s=60.0, progress=Lines()) as site:
        skill = QualityGate()
        alone = skill.look(site)["security"]
        assert alone < 100.0
        assert not site.findings, "what the scanner is for is left to it"
        site.findings.append(Finding(tool="bandit", rule="r", severity="low", file="a.py", line=1, message="m"))
        assert 100.0 > skill.look(site)["security"] > alone


def test_failing_tests_and_confirmed_critical_findings_forbid_go(site: Site, gate: Held) -> None:
    shown = Finding(tool="t", rule="r", severity="critical", file="a.py", line=1, message="m", confirmed=True)
    site.findings.extend((shown, replace(shown, confirmed=False)))
    state = gate.look(site)
    del site.findings[-2:]
    assert state["critical"] == 1.0, "what is only suspected forbids nothing"
    rules = agent.guards[0].refuse
    assert [each.where for each in rules({**state, "blockers": 0.0})] == [{"action": "go"}]
    assert [each.where for each in rules({**state, "critical": 0.0, "blockers": 2.0})] == [{"action": "go"}]
    assert not list(rules({**state, "critical": 0.0, "blockers": 0.0}))


def test_it_works_through_the_loop_and_leaves_the_tree_alone(work: Work, shop_project: Path) -> None:
    before = {file: file.read_bytes() for file in shop_project.rglob("*") if file.is_file()}
    (done,) = work(agent, QualityGate(), shop_project).rounds
    assert done.reward is not None
    assert {file: file.read_bytes() for file in shop_project.rglob("*") if file.is_file()} == before

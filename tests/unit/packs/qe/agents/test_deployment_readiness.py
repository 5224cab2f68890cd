"""Deployment readiness weighs incidents against delay for planted candidates; a canary really runs tests."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from steersman.packs.qe.agents.deployment_readiness import REWARD, TERMS, DeploymentReadiness, agent
from steersman.packs.qe.fleet.findings import Finding
from steersman.packs.qe.fleet.site import Site, open_site
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
    "tests/test_rebate.py": "from rebate import rebate\n\n\ndef test_much():\n    assert rebate(200) == 190\n",
}


class Held(DeploymentReadiness):
    """The agent before a candidate that was chosen by hand, of which no test has run."""

    def hold(self, site: Site, change: str) -> None:
        if not self._begun:
            self.look(site)
        places = self._releases.places
        wanted = {"seen fault": ("arithmetic", 3), "missed fault": ("return value", 8), "comment": ("arithmetic", 3)}[change]
        place = next(each for each in places if (each.operator, each.line) == wanted)
        self._release = self._releases.harmless(place) if change == "comment" else self._releases.release(place)
        self._is_release = 1.0
        self._evidence = replace(self._evidence, left=site.reference.collected)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A copy of a project in which one function is tested and one is not; each test leaves it as it was."""
    project = discover(write(tmp_path_factory.mktemp("readiness"), FILES))
    with open_site(project, seed=1, timeout_s=60.0, progress=Lines()) as opened:
        yield opened


@pytest.fixture(scope="module")
def held(site: Site) -> Held:
    return Held()


def decided(held: Held, site: Site, change: str, action: str) -> dict[str, float]:
    held.hold(site, change)
    return dict(held.work(site, {"action": action}).measurements or {})


def test_it_keeps_what_every_agent_keeps() -> None:
    assert [each.problem for each in check_agent(agent) if each.problem] == []


def test_incidents_and_delay_are_what_it_pays_for(site: Site, held: Held) -> None:
    faulty, clean = (
        {action: REWARD.score(decided(held, site, change, action)).reward for action in TERMS}
        for change in ("missed fault", "comment")
    )
    assert faulty["no-go"] > faulty["hold"] > faulty["go + monitor"] > faulty["go"]
    assert clean["go"] > clean["go + monitor"] > clean["canary"] > clean["hold"] > clean["no-go"]
    assert clean["go"] == faulty["no-go"] == 100.0


def test_a_canary_stops_what_its_tests_see_and_no_more(site: Site, held: Held) -> None:
    found, missed, clean = (decided(held, site, change, "canary") for change in ("seen fault", "missed fault", "comment"))
    assert (found["incident"], missed["incident"], clean["incident"]) == (0.1, 1.0, 0.0)
    assert (found["false_block"], clean["delay"]) == (0.0, TERMS["canary"].delay)
    assert "false_block" not in clean, "it was let through in the end"
    assert found["cpu_s"] > 0.0
    assert REWARD.score(found).reward > REWARD.score(missed).reward


def test_the_risk_rises_with_failures_and_with_what_was_not_seen(
    site: Site, held: Held, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evidence, "SHARES", (1.0,))
    states = {}
    for change in ("seen fault", "missed fault", "comment"):
        held.hold(site, change)
        candidate = held._release
        monkeypatch.setattr(held._releases, "draw", lambda candidate=candidate: candidate)
        states[change] = held.look(site)
    assert states["seen fault"]["failures"] == 1.0 > states["missed fault"]["failures"]
    assert states["comment"]["seen"] == 1.0 > states["missed fault"]["seen"]
    assert states["seen fault"]["risk"] > states["missed fault"]["risk"] > states["comment"]["risk"]


def test_nothing_goes_out_with_a_confirmed_critical_finding(site: Site, held: Held) -> None:
    shown = Finding(tool="t", rule="r", severity="critical", file="a.py", line=1, message="m", confirmed=True)
    site.findings.append(shown)
    state = held.look(site)
    site.findings.remove(shown)
    refused = {each.where["action"] for each in agent.guards[0].refuse(state)}
    assert refused == {"go", "go + monitor", "canary"}
    assert agent.baseline(state) == "no-go"
    assert not list(agent.guards[0].refuse({**state, "critical": 0.0}))


@pytest.mark.parametrize(("risk", "action"), [(5, "go"), (30, "go + monitor"), (50, "hold"), (90, "no-go")])
def test_the_rule_follows_the_bands(risk: float, action: str) -> None:
    assert agent.baseline({"risk": risk, "critical": 0.0}) == action


def test_past_releases_with_faults_raise_the_risk_of_the_next(site: Site) -> None:
    held = Held()
    for change in ("missed fault", "missed fault", "comment"):
        decided(held, site, change, "no-go")
    assert held.look(site)["history"] == pytest.approx(3.0 / 5.0)


def test_it_works_through_the_loop_and_leaves_the_tree_alone(work: Work, shop_project: Path) -> None:
    before = {file: file.read_bytes() for file in shop_project.rglob("*") if file.is_file()}
    (done,) = work(agent, DeploymentReadiness(), shop_project).rounds
    assert done.reward is not None
    assert {file: file.read_bytes() for file in shop_project.rglob("*") if file.is_file()} == before

"""The regression-risk analyzer runs the tests that it chose on a planted change; the whole suite says what escaped."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from steersman.packs.qe.agents.regression_risk_analyzer import REWARD, RegressionRiskAnalyzer, agent
from steersman.packs.qe.fleet.memory import Memory
from steersman.packs.qe.fleet.site import Site, open_site
from steersman.packs.qe.ordering.saved import words
from steersman.packs.qe.plants.releases import Releases
from steersman.packs.qe.project.coverage_map import CoverageMap
from steersman.packs.qe.project.discovery import discover
from steersman.testing.pack_checker import check_agent
from tests.unit.packs.qe.agents.conftest import Work
from tests.unit.packs.qe.conftest import CART, SHOP, TEST_CART, TEST_SHOP, Lines, write


class Held(RegressionRiskAnalyzer):
    """The analyzer before one change that was chosen by hand: the first fault, or comment, in a file."""

    def hold(self, site: Site, file: str, *, fault: bool = True) -> None:
        self.look(site)
        place = next(each for each in self._releases.places if each.file == file)
        self._release = self._releases.release(place) if fault else self._releases.harmless(place)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A copy of a project in which cart imports shop, and both have tests."""
    files = {"shop.py": SHOP, "cart.py": CART, "tests/test_shop.py": TEST_SHOP, "tests/test_cart.py": TEST_CART}
    project = discover(write(tmp_path_factory.mktemp("regression"), files))
    with open_site(project, seed=3, timeout_s=60.0, progress=Lines()) as opened:
        yield opened


@pytest.fixture
def site(shared: Site) -> Site:
    """The copy, which each test leaves as it was, with nothing kept from other tests."""
    shared.memory = Memory()
    return shared


def test_it_keeps_what_every_agent_keeps() -> None:
    assert [each.problem for each in check_agent(agent) if each.problem] == []


def test_each_action_chooses_what_its_name_says(site: Site) -> None:
    skill = Held()
    skill.hold(site, "cart.py")
    everything = site.reference.collected
    covering = site.reference.coverage.tests_of("cart.py", [skill._release.line])
    assert skill.select(site, "coverage-selected") == tuple(each for each in everything if each in (covering or ()))
    assert {each.split("::")[0] for each in skill.select(site, "dependency-selected")} == {"tests/test_cart.py"}
    assert 0 < len(skill.select(site, "learned")) < len(everything)
    assert skill.select(site, "full") == everything
    skill.hold(site, "shop.py")
    assert set(skill.select(site, "dependency-selected")) == set(everything), "the tests of the cart use the shop too"
    assert len(skill.select(site, "minimal")) <= 3


def test_a_fault_that_escapes_costs_more_than_any_time_saves(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    skill = Held()
    skill.hold(site, "cart.py")
    found = skill.work(site, {"action": "coverage-selected"}).measurements or {}
    monkeypatch.setattr(skill, "select", lambda site, action: ("tests/test_shop.py::test_stock",))
    missed = skill.work(site, {"action": "minimal"}).measurements or {}
    assert (found["breaks"], found["escaped"]) == (1.0, 0.0)
    assert (missed["breaks"], missed["escaped"]) == (1.0, 1.0)
    assert REWARD.score(missed).reward == -100.0 < 0.0 <= REWARD.score(found).reward


def test_time_saved_is_paid_where_there_was_nothing_to_find(site: Site) -> None:
    skill = Held()
    skill.hold(site, "cart.py", fault=False)
    measured = skill.work(site, {"action": "minimal"}).measurements or {}
    assert (measured["breaks"], measured["escaped"]) == (0.0, 0.0)
    quick, slow = ({**measured, "cpu_s": share * measured["suite_cpu_s"]} for share in (0.25, 1.5))
    assert REWARD.score(quick).reward == pytest.approx(75.0)
    assert REWARD.score(slow).reward == 0.0, "what took longer than everything has saved nothing"


def test_the_whole_suite_runs_once_for_each_fault(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    releases = Releases(site)
    release = releases.release(releases.places[0])
    first = releases.killers(release)
    monkeypatch.setattr(releases, "run", lambda *_: pytest.fail("it is known already"))
    assert releases.killers(release) == first
    assert releases.killers(releases.harmless(releases.places[1])) == frozenset()


def test_what_breaks_is_remembered_and_raises_the_risk_of_its_file(site: Site) -> None:
    skill = Held()
    for fault in (False, True, True):
        skill.hold(site, "cart.py" if fault else "shop.py", fault=fault)
        skill.work(site, {"action": "coverage-selected"})
    assert skill._broken["cart.py"] == 2 > skill._broken["shop.py"] == 0
    state = skill.look(site)
    assert state["failure_rate"] == pytest.approx(2.0 / 3.0)
    assert not list(agent.guards[1].refuse(state)), "from now on there is a past to learn from"
    assert [each.where for each in agent.guards[1].refuse({**state, "known_breaks": 0.0})] == [{"action": "learned"}]


def test_the_next_run_knows_what_this_one_learned(site: Site, tmp_path: Path) -> None:
    site.memory, skill, again = Memory(tmp_path / "kept"), Held(), RegressionRiskAnalyzer()
    skill.hold(site, "cart.py")
    skill.work(site, {"action": "full"})
    site.memory = Memory(tmp_path / "kept")
    state = again.look(site)
    assert not list(agent.guards[1].refuse(state)), "the learned order is on offer from the first round on"
    assert (state["known_breaks"], state["failure_rate"]) == (1.0, 1.0)
    assert again._learner.say == skill._learner.say != {}
    kept = site.memory.kept("regression-risk-analyzer") or {}
    for damage in ({"counts": words([])}, {"counts": words({"changes": 1})}, {"learner.past.cycle": np.zeros(3)}):
        site.memory.keep("regression-risk-analyzer", kept | damage)
        assert RegressionRiskAnalyzer().look(site)["known_breaks"] == 0.0, "as if there had been no earlier run"


def test_before_anything_was_learned_what_runs_the_changed_line_leads(site: Site) -> None:
    skill = Held()
    for file in ("cart.py", "shop.py"):
        skill.hold(site, file)
        covering = site.reference.coverage.tests_of(file, [skill._release.line]) or frozenset()
        assert skill.select(site, "learned")[0] in covering


def test_without_a_coverage_map_its_selection_is_refused_with_the_way_out(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    blind = replace(site.reference, coverage=CoverageMap(reason="no coverage.py"))
    monkeypatch.setattr(site.evidence, "_reference", blind)
    state = RegressionRiskAnalyzer().look(site)
    (refusal,) = agent.guards[0].refuse(state)
    assert refusal.where == {"action": "coverage-selected"}
    assert "pip install coverage" in refusal.reason
    assert agent.baseline(state) == "full"


def test_it_works_through_the_loop_and_leaves_the_tree_alone(work: Work, shop_project: Path) -> None:
    before = {file: file.read_bytes() for file in shop_project.rglob("*") if file.is_file()}
    rounds = work(agent, RegressionRiskAnalyzer(), shop_project, 3).rounds
    assert all(each.reward is not None and -100.0 <= each.reward <= 100.0 for each in rounds)
    assert {file: file.read_bytes() for file in shop_project.rglob("*") if file.is_file()} == before

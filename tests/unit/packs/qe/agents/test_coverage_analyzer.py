"""The coverage analyzer orders real gaps, and is paid where mutants survive in what it put first and not elsewhere."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from steersman.core.actions import Choice
from steersman.packs.qe.agents import coverage_analyzer
from steersman.packs.qe.agents.coverage_analyzer import CoverageAnalyzer, agent
from steersman.packs.qe.fleet.site import Site, open_site
from steersman.packs.qe.fleet.skill import Worked
from steersman.packs.qe.project.discovery import discover
from tests.unit.packs.qe.agents.conftest import Work
from tests.unit.packs.qe.conftest import Lines, write

BANK = """def safe(amount):
    return amount + 1


def core(amount):
    if amount > 100:
        return amount * 2
    return amount - 3


def door(amount):
    return core(amount) + 1


def window(amount):
    return core(amount) + door(amount)
"""
TEST_BANK = """from bank import safe


def test_safe():
    assert [safe(each) for each in range(3)] == [1, 2, 3]
"""
NUMBERS = {"faults_found": 0.0, "critical_found": 0.0, "gaps_shown": 4.0, "wall_s": 1.0, "cpu_s": 1.0, "failed": 0.0} | {
    "expected_s": 1.0,
    "expected_cpu_s": 1.0,
}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A project in which one function is tested well and the one that others reach is not tested at all."""
    root = tmp_path_factory.mktemp("bank")
    write(root, {"bank.py": BANK, "tests/test_bank.py": TEST_BANK})
    with open_site(discover(root), seed=0, timeout_s=60.0, progress=Lines()) as opened:
        yield opened


def worked(site: Site, depth: str, method: str, report: str) -> Worked:
    skill = CoverageAnalyzer()
    skill.look(site)
    action: Mapping[str, Choice] = {"depth": depth, "method": method, "report": report}
    return skill.work(site, action)


def score(first: tuple[float, float], rest: tuple[float, float], **more: float) -> float:
    named = {"first_mutants": first[1], "first_survived": first[0], "rest_mutants": rest[1], "rest_survived": rest[0]}
    return agent.reward.score(agent.reward.check({**NUMBERS, **named, **more})).reward


def test_an_order_that_puts_survivors_first_pays_and_one_that_hides_them_loses() -> None:
    assert score((3, 3), (0, 3)) > score((2, 3), (1, 3)) > score((0, 3), (3, 3))
    assert score((0, 0), (3, 3)) < 0.0 < score((3, 3), (0, 0)), "nothing shown, and something there"
    assert score((3, 3), (0, 3), critical_found=1.0) > score((3, 3), (0, 3), faults_found=1.0)
    assert score((3, 3), (0, 3), gaps_closed=4.0) > score((3, 3), (0, 3), gaps_closed=0.0)
    assert score((3, 3), (0, 3), failed=1.0) == -50.0


def test_mutants_survive_in_the_gaps_and_not_in_what_is_tested(site: Site) -> None:
    done = worked(site, "quick", "graph", "summary")
    assert done.measurements is not None
    assert (done.measurements["first_survived"], done.measurements["first_mutants"]) == (3, 3)
    assert (done.measurements["rest_survived"], done.measurements["rest_mutants"]) == (0, 3)
    assert done.measurements["critical_found"] == 1, "core is reached by two others"
    assert agent.reward.score(agent.reward.check(done.measurements)).components["order"] == 100.0
    assert [each.message.partition(":")[0] for each in done.findings] == ["core", "door", "window"]
    assert [(each.severity, each.confirmed) for each in done.findings] == [("medium", True), ("low", True), ("low", True)]
    assert site.sandbox.read("bank.py") == BANK


def test_the_state_is_measured_and_branches_cost_a_run(site: Site) -> None:
    skill = CoverageAnalyzer()
    state = skill.look(site)
    assert (state["function_coverage"], state["branch_coverage"], state["critical_gaps"]) == (25.0, 0.0, 1.0)
    assert 0.0 < state["line_coverage"] < 90.0
    detailed = skill.work(site, {"depth": "detailed", "method": "linear", "report": "actionable"})
    again = skill.work(site, {"depth": "quick", "method": "linear", "report": "actionable"})
    assert detailed.measurements is not None
    assert again.measurements is not None
    assert detailed.measurements["cpu_s"] > again.measurements["cpu_s"]
    assert "2 ways never taken" in detailed.findings[0].message
    assert "Begin beside tests/test_bank.py::test_safe: call core" in detailed.findings[0].message
    assert not again.findings, "each gap is told once"


def test_without_coverage_py_nothing_is_chosen_and_the_way_out_is_told() -> None:
    state = {each.name: 0.0 for each in agent.state.fields}
    (refusal,) = [each for guard in agent.guards for each in guard.refuse(state)]
    assert refusal.where == {}
    assert "pip install coverage" in refusal.reason


def test_it_works_in_the_loop_on_a_small_project(work: Work, shop_project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(coverage_analyzer, "FIRST", 1)
    before = {file: file.read_bytes() for file in shop_project.rglob("*") if file.is_file()}
    report = work(agent, CoverageAnalyzer(), shop_project)
    assert report.rounds[0].reward is not None
    assert [each.file for each in report.findings] == ["rebate.py"]
    assert {file: file.read_bytes() for file in shop_project.rglob("*") if file.is_file()} == before

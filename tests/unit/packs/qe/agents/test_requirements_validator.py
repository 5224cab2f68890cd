"""The requirements validator asks by rules and a real parser, and is paid for the gaps that were planted."""

from collections import defaultdict
from pathlib import Path

import pytest

from steersman.core.errors import NotPermitted
from steersman.packs.qe.agents import requirements_validator
from steersman.packs.qe.agents.requirements_validator import DRAFT, RequirementsValidator, agent
from steersman.packs.qe.tools.scenarios import broken_scenarios
from steersman.testing.pack_checker import check_agent
from tests.unit.packs.qe.agents.conftest import Work

README = """# Shop

The basket total must be the sum of the prices.
Invoices must arrive in a timely fashion.

## Later

A basket must hold at most 20 items.
"""


def test_it_passes_the_checks_of_every_agent() -> None:
    assert not [each for each in check_agent(agent) if each.problem]


def test_each_question_finds_gaps_of_its_own_and_none_finds_all(work: Work, shop_project: Path) -> None:
    (shop_project / "README.md").write_text(README)
    shares: dict[str, list[float]] = defaultdict(list)
    for action in ("INVEST check", "BDD scenarios", "clarify", "edge cases"):
        for each in work(agent, RequirementsValidator(), shop_project, 20, action=action).rounds:
            if each.measurements["gap_worth"]:
                shares[action].append(each.measurements["found_worth"] / each.measurements["gap_worth"])
    for action, found in shares.items():
        assert max(found) == 1.0, f"{action} finds what it is for"
        assert min(found) == 0.0, f"{action} is blind for other gaps"
    assert any(0.0 < each < 1.0 for each in shares["clarify"]), "some vague words are in no list"


def test_an_approval_pays_only_where_nothing_is_open(work: Work, shop_project: Path) -> None:
    (shop_project / "README.md").write_text(README)
    rounds = work(agent, RequirementsValidator(), shop_project, 20, action="approve").rounds
    open_ones = [each.reward for each in rounds if each.measurements["gap_worth"]]
    clean = [each.reward for each in rounds if not each.measurements["gap_worth"]]
    assert open_ones
    assert clean
    assert all(reward is not None and reward < 0 for reward in open_ones)
    assert all(reward is not None and reward > 0 for reward in clean)


def test_a_name_that_sounds_vague_costs_who_asks_about_it(work: Work, shop_project: Path) -> None:
    rounds = work(agent, RequirementsValidator(), shop_project, 30, action="clarify").rounds
    alarmed = [each for each in rounds if each.measurements["false_alarms"]]
    assert alarmed
    assert all(each.components["rework"] < 0 for each in alarmed)


def test_the_project_s_own_gaps_are_told_once_and_its_tree_is_untouched(work: Work, shop_project: Path) -> None:
    (shop_project / "README.md").write_text(README)
    before = {file: file.read_bytes() for file in shop_project.rglob("*") if file.is_file()}
    report = work(agent, RequirementsValidator(), shop_project, 3, action="clarify")
    (vague,) = report.findings
    assert (vague.rule, vague.file, vague.line, vague.confirmed) == ("ambiguous", "README.md", 4, False)
    (limit,) = work(agent, RequirementsValidator(), shop_project, 2, action="edge cases").findings
    assert (limit.rule, limit.line) == ("open limit", 8)
    assert {file: file.read_bytes() for file in shop_project.rglob("*") if file.is_file()} == before


def test_what_no_test_speaks_of_gets_a_draft_that_the_parser_takes(work: Work, shop_project: Path) -> None:
    (shop_project / "README.md").write_text(README)
    report = work(agent, RequirementsValidator(), shop_project, action="BDD scenarios")
    draft = report.files[DRAFT]
    assert "Invoices must arrive" in draft
    assert not list(broken_scenarios({DRAFT: draft}))


def test_without_written_requirements_docstrings_are_read_and_nothing_can_be_approved(
    work: Work, shop_project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (shop_project / "cart.py").write_text('def total(prices):\n    """Return a better sum."""\n    return sum(prices)\n')
    report = work(agent, RequirementsValidator(), shop_project, action="clarify")
    assert "docstrings were read" in " ".join(report.rounds[0].notes)
    assert [(each.file, each.line) for each in report.findings] == [("cart.py", 2)]
    with pytest.raises(NotPermitted, match="nothing to approve: write a README"):
        work(agent, RequirementsValidator(), shop_project, action="approve")
    monkeypatch.setattr(requirements_validator, "has", lambda name: False)
    with pytest.raises(NotPermitted, match="scenarios need gherkin-official: pip install it"):
        work(agent, RequirementsValidator(), shop_project, action="BDD scenarios")

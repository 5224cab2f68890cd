"""Tests are written for incidents that really happened in a copy, and paid for the recurrences that they prevent."""

from pathlib import Path

import pytest

from steersman.core.errors import NotPermitted
from steersman.packs.qe.agents.production_intelligence import ProductionIntelligence, agent
from steersman.packs.qe.tools import incident_drill
from steersman.packs.qe.tools.incident_drill import KINDS
from steersman.testing.pack_checker import check_agent
from tests.unit.packs.qe.agents.conftest import Work


@pytest.fixture
def small(shop_project: Path) -> Path:
    """The shop's rebate alone, with one test."""
    (shop_project / "cart.py").unlink()
    text = "from rebate import rebate\n\n\ndef test_rebate():\n    assert rebate(200) == 190\n"
    (shop_project / "tests" / "test_shop.py").write_text(text)
    return shop_project


def _only(monkeypatch: pytest.MonkeyPatch, kind: str, told: str = "call") -> None:
    monkeypatch.setattr(incident_drill, "_ODDS", tuple(float(each == kind) for each in KINDS))
    monkeypatch.setattr(incident_drill, "_TOLD", (told,))


def test_it_passes_the_checks_of_every_agent() -> None:
    assert not [each for each in check_agent(agent) if each.problem]


def test_a_regression_test_fails_with_the_fault_and_passes_without(
    work: Work, small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _only(monkeypatch, "input")
    before = {file: file.read_bytes() for file in small.rglob("*") if file.is_file()}
    report = work(agent, ProductionIntelligence(), small, action="regression test")
    (done,) = report.rounds
    assert done.measurements["failed"] == 0.0
    assert done.measurements["prevented"] >= 1.0
    assert done.reward is not None
    assert done.reward > 0
    assert report.files == {}, "what was planted never happened to the project"
    assert {file: file.read_bytes() for file in small.rglob("*") if file.is_file()} == before


def test_what_happened_to_the_project_and_is_mended_gets_its_test(
    work: Work, small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _only(monkeypatch, "input")
    (small / "service.log").write_text(
        "2026-01-01 ERROR rebate.rebate(total=200) failed\n"
        'Traceback (most recent call last):\n  File "/srv/shop/rebate.py", line 3, in rebate\n'
        "    return total - 10\n           ^^^^^^^^^^\nTypeError: unsupported operand\n"
    )
    report = work(agent, ProductionIntelligence(), small, action="regression test")
    ((path, text),) = report.files.items()
    assert path == "tests/test_recurrence_rebate_rebate.py"
    assert "service.log:2" in text
    assert "rebate.rebate(**arguments) == answer" in text
    assert not [each for each in report.findings if each.confirmed], "it no longer happens"


def test_what_many_calls_bring_out_only_a_load_test_prevents(
    work: Work, small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _only(monkeypatch, "load")
    (load,) = work(agent, ProductionIntelligence(), small, action="load test").rounds
    (once,) = work(agent, ProductionIntelligence(), small, action="replay test").rounds
    assert load.measurements["prevented"] == load.measurements["recurrences"] == 2.0
    assert once.measurements["prevented"] == 0.0
    assert load.reward is not None
    assert once.reward is not None
    assert load.reward > 0 > once.reward


def test_a_caller_s_own_error_is_left_alone_for_a_gain_and_replayed_for_a_loss(
    work: Work, small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _only(monkeypatch, "misuse")
    (left,) = work(agent, ProductionIntelligence(), small, action="monitor only").rounds
    (replayed,) = work(agent, ProductionIntelligence(), small, action="replay test").rounds
    assert replayed.measurements["failed"] == 1.0, "the project as it is refuses that call too"
    assert replayed.reward == -50.0
    assert left.reward is not None
    assert left.reward > 0


def test_an_incident_outside_the_project_or_without_arguments_is_refused_with_the_reason(
    work: Work, small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _only(monkeypatch, "outside")
    (done,) = work(agent, ProductionIntelligence(), small).rounds
    assert done.action == {"action": "monitor only"}
    with pytest.raises(NotPermitted, match="no function of the project"):
        work(agent, ProductionIntelligence(), small, action="load test")
    _only(monkeypatch, "load", told="")
    with pytest.raises(NotPermitted, match="log the arguments, or choose a regression test"):
        work(agent, ProductionIntelligence(), small, action="replay test")


def test_the_project_s_own_incident_is_found_and_shown_to_happen_still(
    work: Work, small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _only(monkeypatch, "outside")
    (small / "service.log").write_text(
        "2026-01-01 INFO started\n2026-01-01 CRITICAL rebate.rebate(total='x') failed\n"
        'Traceback (most recent call last):\n  File "/srv/shop/rebate.py", line 2, in rebate\n'
        "    if total > 100:\n       ^^^^^^^^^^^\nTypeError: '>' not supported\n"
    )
    (found,) = work(agent, ProductionIntelligence(), small, action="monitor only").findings
    assert (found.rule, found.severity, found.file, found.line) == ("TypeError", "critical", "service.log", 3)
    assert found.confirmed
    assert "still happens" in found.message

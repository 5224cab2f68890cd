"""The chaos engineer injures a planted service on loopback, and is paid for the weaknesses that it shows in its budget."""

from pathlib import Path

import pytest

from steersman.core.errors import NotPermitted
from steersman.packs.qe.agents import chaos_engineer
from steersman.packs.qe.agents.chaos_engineer import ENVIRONMENTS, ChaosEngineer, agent, environment
from steersman.packs.qe.plants.fragility import Service, operation, service
from steersman.testing.pack_checker import check_agent
from tests.unit.packs.qe.agents.conftest import Work

ROBUST = service([operation(f"worker_{n}", "worker", "looked after") for n in range(4)], file="planted.py", criticality=1)
FRAGILE = service(
    [*ROBUST.operations[:3], operation("worker_3", "worker", "not looked after")], file="planted.py", criticality=1
)
SICK = service(ROBUST.operations, file="planted.py", sick=True)


def plant(monkeypatch: pytest.MonkeyPatch, planted: Service) -> None:
    monkeypatch.setattr(chaos_engineer, "plant_service", lambda generator: planted)


@pytest.fixture(autouse=True)
def development(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chaos_engineer, "environment", lambda variables: ENVIRONMENTS[0])


def test_a_fault_pays_where_something_cannot_take_it_and_costs_where_all_can(
    work: Work, shop_project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    earned = {}
    for name, planted in (("fragile", FRAGILE), ("robust", ROBUST)):
        plant(monkeypatch, planted)
        (earned[name],) = work(agent, ChaosEngineer(), shop_project, action="kill").rounds
    assert earned["fragile"].measurements["weaknesses"] == 1.0
    assert earned["robust"].measurements["weaknesses"] == 0.0
    assert earned["robust"].measurements["budget_used"] == 0.0
    assert (earned["fragile"].reward or 0.0) > 0.0 > (earned["robust"].reward or 0.0)


def test_another_fault_shows_nothing_and_none_costs_nothing(
    work: Work, shop_project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant(monkeypatch, FRAGILE)
    other = work(agent, ChaosEngineer(), shop_project, action="partition").rounds[0]
    assert other.measurements["weaknesses"] == 0.0
    nothing = work(agent, ChaosEngineer(), shop_project, action="no-op").rounds[0]
    assert (nothing.reward, other.measurements["false_alarms"]) == (0.0, 0.0)


def test_the_users_tree_is_untouched_and_calls_without_a_limit_are_reported(
    work: Work, shop_project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant(monkeypatch, FRAGILE)
    (shop_project / "cart.py").write_text("from urllib.request import urlopen\n\n\ndef get(url):\n    return urlopen(url)\n")
    before = {file: file.read_bytes() for file in shop_project.rglob("*") if file.is_file()}
    report = work(agent, ChaosEngineer(), shop_project, 2, action="kill")
    assert {file: file.read_bytes() for file in shop_project.rglob("*") if file.is_file()} == before
    (found,) = report.findings
    assert (found.file, found.line, found.confirmed) == ("cart.py", 5, False)


def test_nothing_is_injected_in_production(work: Work, shop_project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plant(monkeypatch, FRAGILE)
    monkeypatch.setattr(chaos_engineer, "environment", lambda variables: "production")
    assert work(agent, ChaosEngineer(), shop_project).rounds[0].action == {"action": "no-op"}
    with pytest.raises(NotPermitted, match="this is production"):
        work(agent, ChaosEngineer(), shop_project, action="kill")


def test_nothing_is_injected_into_what_is_ill_already(
    work: Work, shop_project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant(monkeypatch, SICK)
    assert work(agent, ChaosEngineer(), shop_project).rounds[0].action == {"action": "no-op"}


def test_the_error_budget_is_used_up_by_errors_and_comes_back_without_them(
    work: Work, shop_project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    critical = service(FRAGILE.operations, file="planted.py", criticality=2)
    plant(monkeypatch, critical)
    rounds = work(agent, ChaosEngineer(), shop_project, 1, action="kill").rounds
    assert rounds[0].measurements["budget_used"] == 2.0 * (1 / 40) / 0.05
    (limits,) = [each for each in agent.guards if each.name == "limits"]
    assert [*limits.refuse({**(limits.probe or {}), "services": 1.0, "error_budget": 0.05})]
    assert not [*limits.refuse({**(limits.probe or {}), "services": 1.0, "error_budget": 0.2})]


@pytest.mark.parametrize(
    ("field", "value"), [("services", 2.0), ("planned_s", 301.0), ("error_rate", 0.06), ("error_budget", 0.0)]
)
def test_each_limit_refuses_every_fault_and_says_why(field: str, value: float) -> None:
    (limits,) = [each for each in agent.guards if each.name == "limits"]
    refused = [*limits.refuse({**(limits.probe or {}), "services": 1.0, field: value})]
    assert {each.where["action"] for each in refused} == {"latency", "kill", "resource", "partition"}
    assert all(len(each.reason) > 20 for each in refused)


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({}, "development"),
        ({"APP_ENV": "Production"}, "production"),
        ({"APP_ENV": "staging"}, "staging"),
        ({"APP_ENV": "staging", "DJANGO_ENV": "prod"}, "production"),
        ({"HOME": "production"}, "development"),
    ],
)
def test_variables_say_what_a_machine_is_there_for(variables: dict[str, str], said: str) -> None:
    assert environment(variables) == said


def test_the_agent_passes_the_pack_checker() -> None:
    assert not [each for each in check_agent(agent) if each.problem]

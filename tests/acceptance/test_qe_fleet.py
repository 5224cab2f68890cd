"""`steersman qe work` and `qe run` from the outside: the agents of the fleet on a real small project, by its real tools."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from steersman.packs.qe.fleet.member import roster

SHOP = """def total(prices, discount=0):
    return sum(prices) - discount


def cheapest(prices):
    return min(prices) if prices else None
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    root = tmp_path / "project"
    (root / "tests").mkdir(parents=True)
    (root / "shop.py").write_text(SHOP)
    (root / "tests" / "test_shop.py").write_text(
        "from shop import total\n\n\ndef test_total():\n    assert total([5, 5], 3) == 7\n"
    )
    (root / "pyproject.toml").write_text('[tool.pytest.ini_options]\npythonpath = ["."]\n')
    return root


def test_an_agent_works_and_what_it_did_can_be_explained(cli: Callable[..., Any], project: Path) -> None:
    worked = ("qe", "work", "security-scanner", str(project), "--rounds", "2")
    done = cli(*worked, "--python", sys.executable, "--store", "f.db", "--json")
    assert done.code == 0, done.err
    assert [bool(each["action"]) for each in done.json["rounds"]] == [True, True]
    name = done.json["rounds"][-1]["decision_id"]
    assert cli("explain", name, "--store", "f.db").code == 0
    assert cli("replay", name, "--store", "f.db", "--json").json["identical"]


def test_the_report_for_people(cli: Callable[..., Any], project: Path) -> None:
    done = cli("qe", "work", "security-scanner", str(project), "--rounds", "1", "--python", sys.executable)
    assert done.code == 0, done.err
    for word in ("qe/security-scanner on shop", "planted weaknesses found", "next, it would", "because"):
        assert word in done.out
    assert "1/1" in done.err


def test_an_agent_that_is_not_there_is_told(command: Callable[..., Any], project: Path) -> None:
    done = command("qe", "work", "securty-scanner", str(project))
    assert (done.code, "Did you mean 'security-scanner'" in done.err) == (6, True), done.err


def test_the_whole_fleet_works_and_writes_its_report(cli: Callable[..., Any], project: Path, tmp_path: Path) -> None:
    """Every agent works, or says why it cannot here; the tree is untouched, and all that was learned is in the store."""
    before = {each: each.read_bytes() for each in project.rglob("*") if each.is_file()}
    options = (
        "--python",
        sys.executable,
        "--store",
        "f.db",
        "--report",
        "out",
        "--budget",
        "10m",
        "--rounds",
        "1",
        "--seed",
        "3",
    )
    done = cli("qe", "run", str(project), *options, "--json", timeout_s=280)
    assert done.code == 0, done.err
    report = done.json
    assert [each["agent"] for each in report["agents"]] == [*roster()]
    assert [each["left_out"] for each in report["agents"] if "fault of ours" in each["left_out"]] == []
    worked = [each for each in report["agents"] if each["rounds"]]
    assert all(len(each["rounds"]) == 1 for each in worked)
    assert len(worked) >= len(roster()) - 2, [each["left_out"] for each in report["agents"]]
    assert sorted(name for step in report["steps"] for name in step["agents"]) == sorted(roster())
    assert {each: each.read_bytes() for each in project.rglob("*") if each.is_file()} == before
    written = {each.name for each in (tmp_path / "out").iterdir()}
    assert {"fleet.md", "fleet.html", "fleet.junit.xml", "fleet.sarif"} <= written
    listed = {each["agent"]: each["outcomes"] for each in cli("agents", "--store", "f.db", "--json").json}
    assert listed["qe/fleet-commander"] == len(report["steps"])
    assert all(
        listed[f"qe/{each['agent']}"] == sum(made["reward"] is not None for made in each["rounds"])
        for each in worked
        if each["reward"] is not None
    )


def test_failing_tests_are_a_no_go_and_without_tests_there_is_still_a_report(cli: Callable[..., Any], project: Path) -> None:
    only = ("--agents", "security-scanner", "--python", sys.executable, "--report", "out", "--budget", "300")
    (project / "tests" / "test_shop.py").write_text("def test_no():\n    assert 0\n\n\ndef test_yes():\n    assert 1\n")
    done = cli("qe", "run", str(project), *only)
    assert done.code == 2, done.err
    assert "1 test fails: tests/test_shop.py::test_no" in done.out
    (project / "tests" / "test_shop.py").unlink()
    done = cli("qe", "run", str(project), *only)
    assert done.code == 2, done.err
    assert "nothing can be said of the tests: it has no tests" in done.out
    assert "security-scanner" in done.out
    assert "Of 24 planted faults it found" in done.out


def test_a_budget_that_is_none_is_told(command: Callable[..., Any], project: Path) -> None:
    for budget in ("soon", "-5", "0"):
        assert command("qe", "run", str(project), "--budget", budget).code == 3

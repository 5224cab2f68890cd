"""`steersman qe work` from the outside: each agent of the fleet on a real small project, by its real tools."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from steersman.packs.qe import pack

AGENTS = [each.removeprefix("qe/") for each, target in pack.agents.items() if ".agents." in target]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    root = tmp_path / "project"
    (root / "tests").mkdir(parents=True)
    (root / "shop.py").write_text("def total(prices, discount=0):\n    return sum(prices) - discount\n")
    (root / "tests" / "test_shop.py").write_text(
        "from shop import total\n\n\ndef test_total():\n    assert total([5, 5], 3) == 7\n"
    )
    (root / "pyproject.toml").write_text('[tool.pytest.ini_options]\npythonpath = ["."]\n')
    return root


@pytest.mark.parametrize("agent", AGENTS)
def test_an_agent_works_and_what_it_did_can_be_explained(cli: Callable[..., Any], project: Path, agent: str) -> None:
    before = {each: each.read_bytes() for each in project.rglob("*") if each.is_file()}
    done = cli("qe", "work", agent, str(project), "--rounds", "2", "--python", sys.executable, "--store", "f.db", "--json")
    assert done.code == 0, done.err
    assert [bool(each["action"]) for each in done.json["rounds"]] == [True, True]
    assert {each: each.read_bytes() for each in project.rglob("*") if each.is_file()} == before
    name = done.json["rounds"][-1]["decision_id"]
    assert cli("explain", name, "--store", "f.db").code == 0
    assert cli("replay", name, "--store", "f.db", "--json").json["identical"]


def test_the_report_for_people(cli: Callable[..., Any], project: Path) -> None:
    done = cli("qe", "work", "security-scanner", str(project), "--rounds", "1", "--python", sys.executable)
    assert done.code == 0, done.err
    for word in ("qe/security-scanner on shop", "planted weaknesses found", "next, it would", "because"):
        assert word in done.out
    assert "1/1" in done.err


def test_an_agent_that_is_not_there_is_told(cli: Callable[..., Any], project: Path) -> None:
    done = cli("qe", "work", "securty-scanner", str(project))
    assert (done.code, "Did you mean 'security-scanner'" in done.err) == (6, True), done.err

"""The security scanner runs real scanners on a copy, and is paid for what they find of what was planted."""

from pathlib import Path

import numpy as np
import pytest

from steersman.core.errors import NotPermitted
from steersman.packs.qe.agents import security_scanner
from steersman.packs.qe.agents.security_scanner import SecurityScanner, agent
from steersman.packs.qe.plants.vulnerabilities import plant_vulnerabilities
from tests.unit.packs.qe.agents.conftest import Work


def test_scanners_find_what_is_planted_and_the_tree_is_untouched(work: Work, shop_project: Path) -> None:
    before = {file: file.read_bytes() for file in shop_project.rglob("*") if file.is_file()}
    found = {}
    for action in ("sast", "secrets", "full"):
        (done,) = work(agent, SecurityScanner(), shop_project, action=action).rounds
        found[action] = done.measurements["found_worth"] / done.measurements["planted_worth"]
        assert done.reward is not None
    assert found["full"] == 1.0
    assert 0.2 < found["secrets"] < found["full"], "a scan for secrets sees no weak code"
    assert {file: file.read_bytes() for file in shop_project.rglob("*") if file.is_file()} == before


def test_the_reward_falls_with_look_alikes_that_were_taken_for_real(work: Work, shop_project: Path) -> None:
    rounds = work(agent, SecurityScanner(), shop_project, 6, action="secrets").rounds
    alarmed = [each for each in rounds if each.measurements["false_alarms"]]
    assert alarmed, "a commit's hash looks like a secret"
    for each in alarmed:
        assert each.components["false_alarms"] == max(-15.0 * each.measurements["false_alarms"], -50.0)


def test_what_is_in_the_project_itself_is_reported_and_not_paid_for(work: Work, shop_project: Path) -> None:
    (shop_project / "cart.py").write_text("import subprocess\n\n\ndef run(text):\n    subprocess.call(text, shell=True)\n")
    report = work(agent, SecurityScanner(), shop_project, 2, action="full")
    (found,) = [each for each in report.findings if each.rule == "B602"]
    assert (found.file, found.line, found.severity, found.confirmed) == ("cart.py", 5, "high", False)
    assert not [each for each in report.findings if "planted" in each.message]


def test_what_a_missing_tool_is_for_cannot_be_chosen(
    work: Work, shop_project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(security_scanner, "has", lambda name: name == "ruff")
    (done,) = work(agent, SecurityScanner(), shop_project).rounds
    assert done.action == {"action": "quick"}
    with pytest.raises(NotPermitted, match="full needs bandit, detect-secrets: pip install"):
        work(agent, SecurityScanner(), shop_project, action="full")


def test_a_project_without_tests_is_scanned_as_well(work: Work, shop_project: Path) -> None:
    (shop_project / "tests" / "test_shop.py").unlink()
    assert work(agent, SecurityScanner(), shop_project, action="quick").rounds[0].reward is not None


def test_plants_stand_where_they_say_and_one_seed_plants_the_same() -> None:
    sources = {"a.py": "x = 1\n", "b.py": "y = 2"}
    first, second = (
        plant_vulnerabilities(sources, np.random.default_rng(3), code=4, secrets=3, look_alikes=3) for _ in range(2)
    )
    assert first == second
    for each in first.plants:
        lines = first.texts[each.file].splitlines()
        assert "planted_" in lines[each.first - 1]
        assert each.last <= len(lines)
    for file, text in first.texts.items():
        assert text.startswith(sources[file])
        compile(text, file, "exec")

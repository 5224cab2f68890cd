"""The quality analyzer flags files by real tools, and is paid where fresh mutants survive in what it flagged."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from steersman.packs.qe.agents import quality_analyzer
from steersman.packs.qe.agents.quality_analyzer import QualityAnalyzer, agent
from steersman.packs.qe.fleet.site import Site, open_site
from steersman.packs.qe.project.discovery import discover
from steersman.packs.qe.tools.churn import past_commit
from steersman.packs.qe.tools.survey import draw, possible, survey
from tests.unit.packs.qe.agents.conftest import Work
from tests.unit.packs.qe.conftest import CART, TEST_CART, Lines, write

MESS = """import os


def messy(a, b, c, d, e, f, g=[]):
    if a == None:
        if b:
            for each in c:
                if each > d and each < e or each == f:
                    g.append(each + 1)
                else:
                    g.append(each - 1)
    return len(g) > 3
"""
SHOP = "def price(amount, rate):\n    return amount * rate\n"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A project of a file that is messy and untested, and of two that are clean and tested."""
    root = tmp_path_factory.mktemp("mess")
    write(root, {"mess.py": MESS, "shop.py": SHOP, "cart.py": CART, "tests/test_cart.py": TEST_CART})
    for command in (["init", "-q"], ["add", "."], ["-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qm", "first"]):
        subprocess.run(["git", *command], cwd=root, check=True)
    with open_site(discover(root), seed=0, timeout_s=60.0, progress=Lines()) as opened:
        yield opened


def score(flagged: float, confirmed: float, missed: float, cpu_s: float = 0.0) -> float:
    numbers = {"judged": 5.0, "flagged": flagged, "confirmed": confirmed, "missed": missed, "cpu_s": cpu_s}
    return agent.reward.score(agent.reward.check({**numbers, "expected_cpu_s": 1.0})).reward


def test_flags_that_are_right_pay_and_time_costs() -> None:
    assert score(2, 2, 0) == 75.0
    assert score(2, 1, 1) == 75.0 * 0.5
    assert score(5, 2, 0) < score(2, 2, 0), "to flag everything is not to know"
    assert score(0, 0, 2) == 0.0
    assert score(0, 0, 0) == 75.0, "nothing to flag, and nothing flagged"
    assert score(2, 2, 0, cpu_s=3.0) < score(2, 2, 0)


def test_the_messy_file_is_flagged_and_its_mutants_survive(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quality_analyzer, "MUTANTS_EACH", 1)
    skill = QualityAnalyzer()
    assert skill.look(site)["untested"] == pytest.approx(1 / 3)
    worked = skill.work(site, {"action": "static_only"})
    assert worked.measurements is not None
    assert worked.measurements["judged"] == 3
    assert worked.measurements["confirmed"] >= 1
    assert worked.measurements["cpu_s"] > 0.0
    assert site.sandbox.read("mess.py") == MESS


def test_what_it_says_of_the_project_is_told_once(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quality_analyzer, "JUDGED_FILES", 0)
    skill = QualityAnalyzer()
    skill.look(site)
    first, second = (skill.work(site, {"action": "deep_debt"}).findings for _ in range(2))
    said = {(each.tool, each.rule, each.file) for each in first}
    assert ("ruff", "F401", "mess.py") in said
    assert ("quality-analyzer", "risky file", "mess.py") in said
    assert ("vulture", "unused", "mess.py") in said
    assert not second
    survivors = [each for each in skill.work(site, {"action": "add_mutation"}).findings if each.rule == "survivor"]
    assert any(each.file == "mess.py" and each.confirmed for each in survivors), "what linters cannot see"


def test_a_survey_tells_killed_survived_and_uncovered_apart(site: Site) -> None:
    site.generator = np.random.default_rng(3)
    every = possible(site)
    made = survey(site, draw(site, every["mess.py"], 3) + draw(site, every["shop.py"], 1))
    fates = {(each.file, fate) for each, fate in made.fates.items()}
    assert ("mess.py", "uncovered") in fates
    assert ("shop.py", "killed") in fates
    assert {each.file for each in made.survivors} == {"mess.py"}
    assert made.cpu_s > 0.0
    assert site.sandbox.read("shop.py") == SHOP


def test_the_trend_compares_with_what_files_were(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quality_analyzer, "JUDGED_FILES", 0)
    root = site.project.root
    assert past_commit(root, 50, 30.0) == "", "one commit is no history"
    (root / "cart.py").write_text("TAX = 1\n\n\n" + CART)
    subprocess.run(["git", "-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qam", "x"], cwd=root, check=True)
    (root / "cart.py").write_text(CART)
    skill = QualityAnalyzer()
    state = skill.look(site)
    assert state["has_history"] == 1.0
    worked = skill.work(site, {"action": "trend_report"})
    assert worked.measurements is not None
    assert any(each.file == "cart.py" and "2 commits" in each.message for each in worked.findings)


def test_what_is_missing_is_refused_with_the_way_out(
    work: Work, shop_project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quality_analyzer, "has", lambda name: False)
    report = work(agent, QualityAnalyzer(), shop_project)
    assert report.rounds[0].action == {"action": "add_mutation"}
    assert report.rounds[0].reward is not None
    refused = {each.where["action"]: each.reason for guard in agent.guards for each in guard.refuse(report.next.state)}
    assert set(refused) == {"static_only", "deep_debt", "trend_report"}
    assert refused["static_only"] == "static_only needs ruff, radon: pip install it"

"""The agent's definition: its reward by hand, its guards with their reasons, its baseline rule."""

import itertools
import tempfile
import time
from pathlib import Path
from typing import Any

import pytest

from steersman.core.errors import DeadlineExceeded
from steersman.core.kinship import shared_key
from steersman.packs.qe.agents import test_executor
from steersman.packs.qe.agents.test_executor import ACTIONS, GUARDS, REWARD, SAFE, STATE, SuiteExecutor, agent, baseline
from steersman.packs.qe.fleet.memory import Memory
from steersman.packs.qe.fleet.site import Evidence, open_site
from steersman.packs.qe.project.discovery import discover
from tests.unit.packs.qe.agents.conftest import Work
from tests.unit.packs.qe.conftest import Lines

CLEAN = {
    "faults_active": 0.0,
    "faults_found": 0.0,
    "answer_s": 2.0,
    "expected_s": 2.0,
    "wall_s": 2.0,
    "cpu_s": 2.0,
    "expected_cpu_s": 2.0,
    "false_alarms": 0.0,
    "timed_out": 0.0,
}
ROOMY = {
    "tests": 100,
    "duration_s": 10.0,
    "cores": 4,
    "flaky_rate": 0.0,
    "previous_failures": 0,
    "changed_files": 1,
    "changed_lines": 3,
    "complexity": 2.0,
    "mean_test_s": 0.1,
    "memory_mb": 8000.0,
    "worker_mb": 100.0,
    "time_left_s": 1000.0,
    "ci": 0.0,
    "has_xdist": 1.0,
    "has_rerunfailures": 1.0,
    "has_coverage": 1.0,
}


@pytest.fixture(autouse=True)
def _few_faults(monkeypatch: pytest.MonkeyPatch) -> None:
    """Looking for faults runs the suite once for each."""
    monkeypatch.setattr(test_executor, "_FAULTS", 3)


def reward(**changed: float) -> float:
    return REWARD.score(REWARD.check(CLEAN | changed)).reward


@pytest.mark.parametrize(
    ("measured", "expected"),
    [
        ({}, 0.0),
        ({"answer_s": 1.0}, 0.15 * 50 / 0.35),
        ({"answer_s": 4.0, "cpu_s": 4.0}, (0.15 * -25 + 0.10 * -25) / 0.35),
        ({"answer_s": 0.0, "cpu_s": 0.0}, (0.15 * 50 + 0.10 * 50) / 0.35),
        ({"false_alarms": 1.0}, 0.10 * -25 / 0.35),
        ({"false_alarms": 9.0}, 0.10 * -50 / 0.35),
        ({"faults_active": 2.0, "faults_found": 2.0}, 0.25 * 100 / 0.60),
        ({"faults_active": 2.0, "faults_found": 1.0, "cpu_s": 1.0}, (0.25 * 50 + 0.10 * 50) / 0.60),
        ({"faults_active": 1.0, "faults_found": 0.0, "answer_s": 0.1}, -50.0),
        ({"timed_out": 1.0, "faults_active": 1.0, "faults_found": 1.0}, -50.0),
    ],
)
def test_reward_by_hand(measured: dict[str, float], expected: float) -> None:
    assert reward(**measured) == pytest.approx(expected)


def refused(**changed: Any) -> dict[str, str]:
    state, _ = STATE.check(ROOMY | changed)
    found: dict[str, str] = {}
    for guard in GUARDS:
        for refusal in guard.refuse(state):
            key = " ".join(f"{name}={choice}" for name, choice in refusal.where.items())
            found.setdefault(key, refusal.reason)
    return found


def test_enough_of_everything_refuses_only_too_many_workers() -> None:
    assert set(refused()) == {"workers=8", "workers=16"}
    assert refused(cores=1)["workers=2"] == "workers 2 is over the limit of 1 cores"


def test_memory_limits_the_workers() -> None:
    assert set(refused(memory_mb=250.0)) == {"workers=4", "workers=8", "workers=16"}
    assert "workers=1" not in refused(memory_mb=1.0)


def test_missing_tools_are_named() -> None:
    found = refused(has_xdist=0.0, has_rerunfailures=0.0, has_coverage=0.0)
    assert "pytest-xdist" in found["workers=2"]
    assert "pytest-rerunfailures" in found["retry=3"]
    assert "coverage" in found["selection=affected"]


def test_the_time_that_is_left_rules_out_what_cannot_fit() -> None:
    assert {"retry=1", "retry=3"} <= set(refused(time_left_s=15.0))
    found = refused(time_left_s=4.0)
    assert "selection=all workers=2" in found
    assert "selection=all workers=4" not in found


def test_the_baseline_rule() -> None:
    assert baseline(ROOMY) == {"workers": 4, "selection": "all", "order": "failed_first", "retry": 0}
    assert baseline(ROOMY | {"cores": 3})["workers"] == 2
    assert baseline(ROOMY | {"has_xdist": 0.0})["workers"] == 1


def test_the_definition_is_sound() -> None:
    assert agent.name == "qe/test-executor"
    assert len(ACTIONS) == 5 * 3 * 4 * 3
    assert ACTIONS.action(SAFE) == {"workers": 1, "selection": "all", "order": "file", "retry": 0}
    assert STATE.cells <= 2000


def test_every_table_state_has_a_name_among_kin() -> None:
    kinship = agent.kinship
    assert kinship is not None
    every = itertools.product(*(range(each.bins) for each in STATE.keyed))
    names = {shared_key(kinship, STATE, dict(zip([each.name for each in STATE.keyed], bins, strict=True))) for bins in every}
    assert "duration=low risk=low size=low" in names
    assert len(names) == 3 * 2 * 3


def test_it_runs_the_suite_for_real_and_leaves_the_copy_as_it_was(work: Work, shop_project: Path) -> None:
    report = work(agent, SuiteExecutor(), shop_project, 4, action=SAFE)
    faulty = [each for each in report.rounds if each.measurements["faults_active"]]
    clean = [each for each in report.rounds if not each.measurements["faults_active"]]
    assert faulty, "with a chance of 0.7 in each of four rounds"
    assert all(each.measurements["faults_found"] == 1.0 for each in faulty), "all tests run, and each fault is seen by one"
    assert all(each.measurements["false_alarms"] == 0.0 for each in clean), "a fault does not outlast its round"


def test_what_its_orders_are_made_from_survives_the_process(shop_project: Path, tmp_path: Path, progress: Lines) -> None:
    project, first, second = discover(shop_project), SuiteExecutor(), SuiteExecutor()
    for skill, rounds in ((first, 3), (second, 0)):
        memory = Memory(tmp_path / "kept")
        with open_site(project, "test-executor", seed=0, timeout_s=60.0, progress=progress, memory=memory) as site:
            skill.look(site)
            for _ in range(rounds):
                skill.work(site, SAFE)
                skill.look(site)
    learned, again = (skill._bench.orders.learner for skill in (first, second))
    assert again.say == learned.say
    assert sum(again.say.values()) == pytest.approx(1.0), "some of three changes broke a test"
    assert again.past.cycle == learned.past.cycle + 1, "the suite as it is has been seen once more"


def test_looking_for_faults_keeps_to_the_share_of_the_cores(
    shop_project: Path, tmp_path: Path, progress: Lines, monkeypatch: pytest.MonkeyPatch
) -> None:
    copies: list[int] = []
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(progress, "step", lambda text, amount=1: copies.append(len([*tmp_path.glob("steersman-qe-*")])))
    with open_site(discover(shop_project), seed=0, timeout_s=60.0, progress=progress, workers=1) as site:
        SuiteExecutor().look(site)
    assert max(copies) == 2, "the agent's own copy, and that of the one worker"


def test_no_fault_is_looked_for_when_the_budget_is_used_up(shop_project: Path, progress: Lines) -> None:
    project, evidence = discover(shop_project), Evidence()
    with open_site(project, seed=0, timeout_s=60.0, progress=progress, evidence=evidence) as site:
        assert site.reference.collected
    over = time.monotonic()
    late = open_site(project, seed=0, timeout_s=60.0, progress=progress, evidence=evidence, deadline=over)
    with late as site, pytest.raises(DeadlineExceeded, match="on a single fault"):
        SuiteExecutor().look(site)


def test_what_a_round_plants_follows_from_its_number(shop_project: Path, progress: Lines) -> None:
    skill, planted = SuiteExecutor(), []
    with open_site(discover(shop_project), seed=0, timeout_s=60.0, progress=progress) as site:
        skill.look(site)
        for number in (3, 4, 5, 3, 4, 5):
            site.begin(number)
            skill.look(site)
            planted.append([each.name for each in skill._change.faults])
    assert planted[:3] == planted[3:]
    assert any(planted)

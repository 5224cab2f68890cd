"""The flaky test hunter runs a real suite in many ways, and is paid for the planted flaky tests that it names."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from steersman.core.errors import InvalidInput, NotPermitted
from steersman.core.ports import Progress
from steersman.core.state import Scalar
from steersman.packs.qe.agents import flaky_test_hunter
from steersman.packs.qe.agents.flaky_test_hunter import REWARD, RUNS, FlakyTestHunter, agent, f1, shifts_of
from steersman.packs.qe.fleet.site import Site, open_site
from steersman.packs.qe.plants import flakiness
from steersman.packs.qe.plants.flakiness import plant_flaky_tests
from steersman.packs.qe.project.discovery import discover
from steersman.packs.qe.tools.hunting import clock_shifts, observe, runs_needed
from tests.unit.packs.qe.agents.conftest import Work

NOW = datetime(2026, 11, 28, 19, 30).astimezone()
OWN = (
    "_kept = []\n\n\ndef test_keeps():\n    _kept.append(1)\n\n\ndef test_has_kept():\n    assert _kept\n\n\n"
    "def test_never():\n    assert False\n"
)


@pytest.fixture
def site(shop_project: Path, progress: Progress) -> Iterator[Site]:
    with open_site(discover(shop_project), seed=0, timeout_s=200.0, progress=progress) as opened:
        yield opened


def files(root: Path) -> dict[Path, bytes]:
    return {file: file.read_bytes() for file in root.rglob("*") if file.is_file()}


def test_the_best_action_finds_nearly_all_that_is_planted_for_each_of_several_seeds(site: Site) -> None:
    """What was planted by all seeds stands in one copy, so that the runs of one hunt serve all of them.

    What fails under load alone is not counted: whether it does depends on how busy the machine is besides.
    """
    before = files(site.sandbox.root)
    made = [plant_flaky_tests(site.project.tests, np.random.default_rng(seed), flaky=10, stable=10) for seed in range(2)]
    shifts = shifts_of("statistical", 7, datetime.now().astimezone())
    with site.changed({file: text for each in made for file, text in each.texts.items()}):
        named = observe(site, shifts, budget_s=site.timeout_s).flaky()
    for each in made:
        planted = {test: kind for test, kind in each.flaky.items() if kind != "load"}
        found, alarms = named.keys() & planted.keys(), named.keys() & each.stable
        missed = [kind for test, kind in planted.items() if test not in found]
        assert f1(len(found), len(alarms), len(planted)) >= 0.9, (missed, alarms)
    assert not [test for test in named if "test_shop" in test], "the project's own tests are stable"
    assert files(site.sandbox.root) == before
    assert site.suite.extra_env == {}


def test_what_depends_on_order_is_seen_apart_and_not_by_reruns(
    progress: Progress, shop_project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (shop_project / "tests" / "test_own.py").write_text(OWN)
    before = files(shop_project)
    monkeypatch.setattr(flakiness, "FLAKY", {"order": flakiness.FLAKY["order"]})
    monkeypatch.setattr(flaky_test_hunter, "NOTHING_THERE", 0.0)
    with open_site(discover(shop_project), seed=0, timeout_s=60.0, progress=progress) as site:
        hunter = FlakyTestHunter()
        hunter.look(site)
        rerun, apart = (hunter.work(site, {"action": action}) for action in ("rerun_3", "isolate"))
    measured = [each.measurements or {} for each in (rerun, apart)]
    assert [each["planted"] for each in measured] == [8.0, 8.0]
    assert [each["found"] for each in measured] == [0.0, 8.0]
    assert [each["false_alarms"] for each in measured] == [0.0, 0.0]
    assert [REWARD.score(each).components["detection"] for each in measured] == [-20.0, 100.0]
    assert not rerun.findings
    (found,) = apart.findings
    assert (found.file, found.rule, found.confirmed) == ("tests/test_own.py", "flaky-environmental", True)
    assert "test_has_kept" in found.message, "a test that always fails is not flaky"
    assert files(shop_project) == before


def test_waiting_costs_nothing_and_earns_only_where_nothing_is_there() -> None:
    measured = {
        "planted": 8.0,
        "found": 0.0,
        "stable": 9.0,
        "false_alarms": 0.0,
        "wall_s": 0.0,
        "cpu_s": 0.0,
        "expected_s": 9.0,
    }
    waited = REWARD.score(REWARD.check(measured))
    found_half = REWARD.score(REWARD.check(measured | {"found": 4.0, "wall_s": 18.0}))
    assert waited.components["detection"] == -20.0
    assert found_half.reward > 40.0
    assert waited.reward < 0.0
    assert REWARD.score(REWARD.check(measured | {"planted": 0.0})).components["detection"] == 100.0


def test_a_false_alarm_costs_by_the_share_of_what_is_stable() -> None:
    measured = {
        "planted": 0.0,
        "found": 0.0,
        "stable": 10.0,
        "false_alarms": 2.0,
        "wall_s": 1.0,
        "cpu_s": 1.0,
        "expected_s": 1.0,
    }
    assert REWARD.score(REWARD.check(measured)).components["detection"] == pytest.approx(-1.0)
    named = measured | {"planted": 4.0, "found": 3.0}
    assert REWARD.score(REWARD.check(named)).components["detection"] == pytest.approx(100 * 6 / 9 - 20 / 4 - 5 * 0.2)


def test_enough_runs_for_chance_to_show() -> None:
    assert runs_needed(0.5, 0.05) == 5
    assert 0.7**RUNS <= 0.05 < 0.7 ** (RUNS - 1)
    shifts = shifts_of("statistical", 1, NOW)
    assert len(shifts) >= RUNS
    assert len({each.hash_seed for each in shifts}) == len(shifts)
    assert shifts_of("fix_wait", 1, NOW) == ()


@pytest.mark.parametrize("days", range(7))
@pytest.mark.parametrize("hour", [0, 7, 13, 23])
def test_the_clock_goes_to_other_hours_and_over_a_weekend(days: int, hour: int) -> None:
    now = NOW.replace(hour=hour) + timedelta(days=days)
    seen = [now, *(now + timedelta(seconds=each) for each in clock_shifts(now))]
    assert len({each.hour for each in seen}) == len(seen)
    assert {each.weekday() < 5 for each in seen} == {True, False}
    assert seen[-1] > now + timedelta(days=300)


def test_what_forks_is_refused_where_nothing_can(work: Work, shop_project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flaky_test_hunter, "can_fork", lambda: False)
    with pytest.raises(NotPermitted, match="isolate forks"):
        work(agent, FlakyTestHunter(), shop_project, action="isolate")


def test_what_takes_longer_than_allowed_is_refused_with_the_way_out() -> None:
    state: dict[str, Scalar] = {each.name: 0.0 for each in agent.state.fields}
    state |= {"pattern": "none", "suite_s": 10.0, "tests_s": 9.0, "budget_s": 35.0}
    refused = {str(each.where["action"]): each.reason for each in agent.guards[0].refuse(state)}
    assert refused.keys() == {"rerun_10", "isolate", "statistical"}
    assert "--timeout" in refused["statistical"]
    assert agent.baseline(state) == "rerun_3"
    assert agent.baseline(state | {"budget_s": 5.0}) == "fix_wait"


def test_a_project_that_collects_no_new_files_is_told_why(work: Work, shop_project: Path) -> None:
    (shop_project / "pytest.ini").write_text("[pytest]\npythonpath = .\npython_files = test_shop.py\n")
    with pytest.raises(InvalidInput, match="python_files"):
        work(agent, FlakyTestHunter(), shop_project, action="quarantine")

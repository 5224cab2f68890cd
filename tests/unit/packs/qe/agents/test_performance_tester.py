"""The performance tester really loads functions of a copy in two versions, and is paid for the slower ones that it finds.

Slow-downs here are tens of times what a function takes, so that no busy machine decides a test.
"""

import os
import statistics
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from steersman.core.errors import NotFound, NotPermitted
from steersman.core.ports import Progress
from steersman.packs.qe.agents import performance_tester
from steersman.packs.qe.agents.performance_tester import REWARD, PerformanceTester, agent
from steersman.packs.qe.fleet.site import Site, open_site
from steersman.packs.qe.plants import slowness
from steersman.packs.qe.plants.slowness import plant_slowness
from steersman.packs.qe.project.discovery import discover
from steersman.packs.qe.tools.timing import FORMS, Timed, hot_functions, time_versions
from tests.unit.packs.qe.agents.conftest import Work

Make = Callable[[Path, Mapping[str, str]], Path]
WORKING = """
import os


def digits(count, *more, base=10):
    found = []
    for each in range(count):
        found.append(each % base)
    return found + list(more)


def checksum(count):
    return sum(digits(count, 1, base=7))


def remember(values):
    values.append(1)
    for _ in range(100):
        pass
    return len(values)


def save(path):
    with open(path, "a") as stream:
        stream.write("saved")


def start():
    return os.system("true")
"""
TESTS = """
from working import checksum, digits, remember, save, start


def test_digits():
    assert digits(12)[-1] == 1
    assert checksum(20) > 0


def test_remember():
    assert remember([0]) == 2


def test_outside(tmp_path):
    save(str(tmp_path / "kept"))
    assert start() == 0
"""


@pytest.fixture
def working(tmp_path: Path, make: Make) -> Path:
    return make(tmp_path / "working", {"working.py": WORKING, "test_working.py": TESTS})


@pytest.fixture
def site(working: Path, progress: Progress) -> Iterator[Site]:
    with open_site(discover(working), seed=0, timeout_s=120.0, progress=progress) as opened:
        yield opened


def test_a_load_names_what_is_slower_and_nothing_else(work: Work, working: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = {file: file.read_bytes() for file in working.rglob("*") if file.is_file()}
    monkeypatch.setattr(slowness, "STRENGTH", (20.0, 30.0))
    monkeypatch.setattr(slowness, "KINDS", {"loop": slowness.KINDS["loop"]})
    done = {}
    for nothing in (0.0, 1.0):
        monkeypatch.setattr(performance_tester, "NOTHING_THERE", nothing)
        (done[nothing],) = work(agent, PerformanceTester(), working, action="load").rounds
    assert done[0.0].measurements["found"] == done[0.0].measurements["planted"] > 0
    assert [each.measurements["false_alarms"] for each in done.values()] == [0.0, 0.0]
    assert done[1.0].measurements["planted"] == 0.0
    assert "regressions" not in done[1.0].components
    assert {file: file.read_bytes() for file in working.rglob("*") if file.is_file()} == before


def test_what_is_slow_after_a_pause_is_far_slower_under_a_spike_than_under_a_load(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slowness, "STRENGTH", (20.0, 30.0))
    functions = [each for each in hot_functions(site) if each.name == "remember"]
    usual = time_versions(site, functions, {}, FORMS["load"])
    usual_s = {name: min(seconds) for name, seconds in usual.usual_s.items()}
    sources = {file: site.sandbox.read(file) for file in site.project.sources}
    made = plant_slowness(sources, functions, usual_s, usual.sizes, site.generator, count=1, kinds=("pause",))
    timed = {form: time_versions(site, functions, made.texts, FORMS[form]) for form in ("load", "spike")}
    longer = {form: statistics.median(each.ratios("working.py::remember")) for form, each in timed.items()}
    # To look at the clock at each call takes a fifth of what this function takes; the wait, 80 times a batch of calls.
    assert longer["load"] < 5 < longer["spike"]
    assert timed["spike"].slower() == {"working.py::remember"}
    assert site.sandbox.read("working.py") == WORKING


@pytest.mark.skipif(
    sys.platform != "linux" or os.cpu_count() == 1, reason="processes are held on one CPU where Linux has more"
)
def test_a_load_by_one_thread_has_one_cpu_and_one_by_several_has_all(tmp_path: Path, make: Make, progress: Progress) -> None:
    spread = "import os\n\n\ndef spread(cpus):\n    assert len(os.sched_getaffinity(0)) == cpus\n"
    called = f"from counted import spread\n\n\ndef test_spread():\n    spread({len(os.sched_getaffinity(0))})\n"
    counted = make(tmp_path / "counted", {"counted.py": spread, "test_counted.py": called})
    with open_site(discover(counted), seed=0, timeout_s=120.0, progress=progress) as site:
        functions = hot_functions(site)
        failed = {form: [*time_versions(site, functions, {}, FORMS[form]).failed] for form in ("load", "stress")}
    assert failed == {"load": ["counted.py::spread"], "stress": []}


def test_calls_are_those_of_the_tests_and_none_reaches_out_or_changes_the_copy(site: Site) -> None:
    functions = {each.name: each for each in hot_functions(site)}
    assert functions.keys() == {"digits", "checksum", "remember", "save", "start"}
    assert functions["digits"].count == 2
    assert functions["digits"].callers == {"working.py::checksum"}
    before = {file: file.read_bytes() for file in site.sandbox.root.rglob("*.*")}
    timed = time_versions(site, [*functions.values()], {}, FORMS["load"])
    assert timed.usual_s.keys() == {f"working.py::{name}" for name in ("digits", "checksum", "remember")}
    assert "os.system is not allowed" in timed.failed["working.py::start"]
    assert "open of" in timed.failed["working.py::save"]
    assert {file: file.read_bytes() for file in site.sandbox.root.rglob("*.*")} == before
    assert site.suite.extra_env == {}


def test_a_project_without_anything_to_call_is_told_why(work: Work, working: Path) -> None:
    (working / "test_working.py").write_text("from working import start\n\n\ndef test_start():\n    assert start() == 0\n")
    with pytest.raises(NotFound, match=r"os\.system is not allowed"):
        work(agent, PerformanceTester(), working, action="load")


def test_nothing_is_done_where_nothing_can_fork(work: Work, working: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(performance_tester, "can_load", lambda: False)
    with pytest.raises(NotPermitted, match="use Linux or macOS"):
        work(agent, PerformanceTester(), working)


def test_one_moment_of_another_program_makes_nothing_slower() -> None:
    usual = (1.0,) * 7
    seconds = {"calm": (1.0, 1.1, 0.9, 1.0, 1.05, 1.0, 0.95), "disturbed": (1.0, 9.0, 9.0, 1.0, 9.0, 9.0, 9.0)}
    seconds |= {"slower": (1.5, 1.6, 0.8, 1.5, 1.7, 1.5, 9.0), "short": (2.0,) * 7}
    timed = Timed(usual_s=dict.fromkeys(seconds, usual), second_s=seconds)
    assert timed.slower() == {"slower", "short"}
    assert Timed(usual_s={"few": (1.0,) * 4}, second_s={"few": (9.0,) * 4}).slower() == frozenset()


def test_the_reward_is_for_what_was_found_and_for_leaving_the_rest_alone() -> None:
    measured = {"planted": 4.0, "found": 2.0, "unchanged": 4.0, "false_alarms": 0.0, "wall_s": 2.0, "expected_s": 1.0}
    measured |= {"cpu_s": 1.0}
    score = REWARD.score(REWARD.check(measured))
    assert score.components == {"regressions": 30.0, "baseline_met": 30.0, "time": -20.0}
    assert score.reward == pytest.approx(0.5 * 30 + 0.4 * 30 - 0.1 * 20)
    for worse in ({"found": 1.0}, {"false_alarms": 1.0}, {"wall_s": 4.0}):
        assert REWARD.score(REWARD.check(measured | worse)).reward < score.reward

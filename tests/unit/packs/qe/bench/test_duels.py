"""`bench test-executor` end to end on small projects, with seeded faults and on real commits."""

import dataclasses
import hashlib
import json
import subprocess
import tempfile
from collections.abc import Callable, Mapping
from functools import partial
from itertools import count
from pathlib import Path
from types import SimpleNamespace

import pytest

from steersman.core.errors import DeadlineExceeded, InvalidInput
from steersman.core.ports import AgentHandle, Progress
from steersman.packs.qe.bench import duels as run_module
from steersman.packs.qe.bench.demo import build_project
from steersman.packs.qe.bench.duels import RunOptions, run
from steersman.packs.qe.faults.git_world import changed_lines
from steersman.packs.qe.project.discovery import discover
from steersman.packs.qe.project.process import Finished

Agent = Callable[[str], AgentHandle]
Make = Callable[[Path, Mapping[str, str]], Path]


def fingerprint(root: Path) -> dict[str, str]:
    return {str(each): hashlib.sha256(each.read_bytes()).hexdigest() for each in root.rglob("*") if each.is_file()}


@pytest.fixture(autouse=True)
def temp_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "temp"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


@pytest.mark.long
def test_some_cycles_end_to_end(shop: Path, small_handle: Agent, progress: Progress, temp_folder: Path) -> None:
    before = fingerprint(shop)
    options = RunOptions(path=str(shop), cycles=6, duel_every=2, final_duels=3, faults=2, flaky_tests=1, seed=3)
    report = run(small_handle, options, progress)
    assert fingerprint(shop) == before, "the user's tree is untouched"
    assert list(temp_folder.iterdir()) == [], "the sandboxes are gone"
    assert report.cycles == 6
    assert report.tests == 8, "the planted flaky one is not the project's"
    assert {row.pair for row in report.log if row.final} == {2, 3}, "at most a third of the cycles"
    assert report.rows[0].n == 2
    assert report.all_rows[0].n == 4
    assert report.verdict == "cannot tell yet"
    assert set(report.next.action) == {"workers", "selection", "order", "retry"}
    duels = [row for row in report.log if row.pair >= 0]
    assert [row.arm for row in duels[:4]] == ["learned", "baseline", "baseline", "learned"], "they alternate"
    assert all(a.change == b.change for a, b in zip(duels[::2], duels[1::2], strict=True))
    baseline = [row for row in duels if row.arm == "baseline" and row.measurements["faults_active"]]
    assert all(row.measurements["faults_found"] == row.measurements["faults_active"] for row in baseline)
    assert json.loads(json.dumps(dataclasses.asdict(report)))["project"] == report.project


def test_the_time_budget_ends_a_run(shop: Path, small_handle: Agent, progress: Progress) -> None:
    options = RunOptions(path=str(shop), cycles=500, budget_s=1.0, duel_every=0, final_duels=0, faults=1)
    report = run(small_handle, options, progress)
    assert "time budget" in report.stopped
    assert 0 < report.cycles < 500


def test_the_last_third_of_the_time_is_all_duels(
    shop: Path, small_handle: Agent, progress: Progress, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each look at the clock, one before each cycle, finds a second gone."""
    monkeypatch.setattr(run_module, "time", SimpleNamespace(monotonic=partial(next, count())))
    options = RunOptions(path=str(shop), cycles=500, budget_s=4.0, duel_every=0, faults=1)
    report = run(small_handle, options, progress)
    assert "time budget" in report.stopped
    assert [row.final for row in report.log] == [False] * 2 + [True] * 2
    assert {row.arm for row in report.log if row.final} == {"learned", "baseline"}


def test_a_bare_interpreter_narrows_the_choices(
    shop: Path, small_handle: Agent, progress: Progress, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = discover(shop)
    bare = dataclasses.replace(project, tools=dataclasses.replace(project.tools, xdist="", rerunfailures="", coverage=""))
    monkeypatch.setattr(run_module, "discover", lambda path, python: bare)
    report = run(small_handle, RunOptions(path=str(shop), cycles=3, duel_every=0, final_duels=0, faults=1), progress)
    assert {row.action["workers"] for row in report.log} == {1}
    assert {row.action["retry"] for row in report.log} == {0}
    assert "affected" not in {row.action["selection"] for row in report.log}
    assert len([note for note in report.notes if "missing" in note or "no coverage" in note]) == 3


def test_a_hanging_suite_says_so(shop: Path, small_handle: Agent, progress: Progress, temp_folder: Path) -> None:
    (shop / "tests" / "test_hang.py").write_text("import time\ndef test_a():\n    time.sleep(99)\n", encoding="utf-8")
    with pytest.raises(DeadlineExceeded, match="did not end within 2 s"):
        run(small_handle, RunOptions(path=str(shop), timeout_s=2), progress)
    assert list(temp_folder.iterdir()) == []


def test_an_interrupt_cleans_up(
    shop: Path, small_handle: Agent, progress: Progress, temp_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*arguments: object, **named: object) -> Finished:
        raise KeyboardInterrupt

    monkeypatch.setattr("steersman.packs.qe.project.suite.run_group", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run(small_handle, RunOptions(path=str(shop)), progress)
    assert list(temp_folder.iterdir()) == []


def test_a_suite_that_sees_no_fault(small_handle: Agent, progress: Progress, tmp_path: Path, make: Make) -> None:
    text = "import calc\ndef test_a():\n    calc.f(1)\n"
    root = make(tmp_path / "p", {"calc.py": "def f(a):\n    return a + 1\n", "test_calc.py": text})
    with pytest.raises(InvalidInput, match="--git"):
        run(small_handle, RunOptions(path=str(root), faults=2), progress)


def test_impossible_options_are_refused() -> None:
    with pytest.raises(InvalidInput, match="positive"):
        RunOptions(path=".", cycles=0)
    with pytest.raises(InvalidInput, match="flaky_rate"):
        RunOptions(path=".", flaky_rate=1.0)


def git(root: Path, *arguments: str) -> None:
    identity = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
    subprocess.run(["git", "-C", str(root), *identity, *arguments], check=True, capture_output=True)


@pytest.mark.long
def test_real_commits(shop: Path, small_handle: Agent, progress: Progress) -> None:
    text = (shop / "cart.py").read_text(encoding="utf-8")
    git(shop, "init", "-q")
    for version in (text, text.replace(">= 20", "> 20"), text.replace(">= 20", "> 20") + "\n# later\n", text):
        (shop / "cart.py").write_text(version, encoding="utf-8")
        git(shop, "add", "-A")
        git(shop, "commit", "-q", "-m", "change")
    before = fingerprint(shop)
    options = RunOptions(path=str(shop), git=True, cycles=10, duel_every=1, final_duels=0)
    report = run(small_handle, options, progress)
    assert fingerprint(shop) == before
    assert report.cycles == 3
    assert report.world["commits_with_new_failures"] == 1
    first, second, *_ = (row for row in report.log if row.arm == "baseline")
    assert first.measurements["faults_found"] == first.measurements["faults_active"] == 1
    assert second.measurements["faults_active"] == 0, "what failed at the parent already is no new fault"
    assert second.measurements["false_alarms"] == 0


def test_git_needs_a_repository(shop: Path, small_handle: Agent, progress: Progress) -> None:
    with pytest.raises(InvalidInput, match="git"):
        run(small_handle, RunOptions(path=str(shop), git=True), progress)


def test_changed_lines_of_a_diff() -> None:
    diff = "diff --git a/x.py b/x.py\n@@ -3,2 +3 @@\n@@ -10,0 +10,4 @@\ndiff --git a/y.py b/y.py\n@@ -7 +7 @@\n"
    assert changed_lines(diff) == {"x.py": {3, 4, 10, 11}, "y.py": {7}}


def test_the_demo_project_is_a_project(tmp_path: Path) -> None:
    build_project(tmp_path / "toolz")
    project = discover(tmp_path / "toolz")
    assert project.name == "toolz"
    assert "toolz/tests/test_itertoolz.py" in project.tests
    assert "toolz/itertoolz.py" in project.sources


def test_the_command_asks_for_its_agent_by_name() -> None:
    assert run_module.AGENT == "qe/test-executor"

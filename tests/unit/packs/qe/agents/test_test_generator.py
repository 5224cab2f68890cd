"""The test generator offers tests that pass, stay the same and add something, and is paid for what they add."""

import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from steersman.core.errors import NotFound
from steersman.core.state import StateValues
from steersman.packs.qe.agents.test_generator import PROBE, REWARD, TestGenerator, agent, baseline
from tests.unit.packs.qe.agents.conftest import Work

NEW = {"technique": "example-based", "focus": "branches", "depth": "simple", "pattern": "new"}
LEVEL = """
def level(points: int) -> str:
    if points < 0:
        raise ValueError("negative")
    if points == 0:
        return "none"
    return "gold" if points >= 250 else "silver"
"""
WEAK = "from level import level\n\n\ndef test_level():\n    for each in (0, 1, 300):\n        level(each)\n"
Make = Callable[[Path, Mapping[str, str]], Path]
MEASURED = {
    "coverage_before": 50.0,
    "coverage_after": 55.0,
    "faults_found": 2.0,
    "critical_found": 0.0,
    "wall_s": 1.0,
    "expected_s": 1.0,
    "cpu_s": 1.0,
    "expected_cpu_s": 1.0,
    "reused": 0.0,
    "tests": 8.0,
    "edge_cases": 3.0,
}


def test_offered_tests_pass_in_the_project_and_cover_what_the_suite_does_not(work: Work, tmp_path: Path, make: Make) -> None:
    project = make(
        tmp_path / "shop",
        {
            "level.py": LEVEL,
            "tests/test_level.py": "from level import level\n\n\ndef test_none():\n    assert level(0) == 'none'\n",
        },
    )
    before = {file: file.read_bytes() for file in project.rglob("*") if file.is_file()}
    report = work(agent, TestGenerator(faults=2), project, action=NEW)
    (done,) = report.rounds
    assert done.measurements["coverage_after"] > done.measurements["coverage_before"] + 30.0
    assert done.components["coverage"] == 100.0
    assert {file: file.read_bytes() for file in project.rglob("*") if file.is_file()} == before
    ((name, text),) = report.files.items()
    assert name == "tests/test_generated_level.py"
    assert "with pytest.raises(ValueError):\n        level(-" in text
    make(project, {name: text})
    run = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", name]
    subprocess.run(run, cwd=project, check=True, env={"PYTHONPATH": str(project), "PYTHONDONTWRITEBYTECODE": "1"})
    make(project, {"level.py": LEVEL.replace("ValueError", "KeyError")})
    assert subprocess.run(run, cwd=project, check=False, env={"PYTHONPATH": str(project)}).returncode == 1


def test_a_suite_that_asserts_nothing_is_helped_by_assertions_from_mutants(work: Work, tmp_path: Path, make: Make) -> None:
    project = make(tmp_path / "weak", {"level.py": LEVEL, "tests/test_level.py": WEAK})
    action = NEW | {"technique": "mutation", "focus": "edge cases"}
    (done,) = work(agent, TestGenerator(faults=3), project, action=action).rounds
    assert done.measurements["faults_found"] >= 1.0
    assert done.components["faults"] == 5.0 * done.measurements["faults_found"]


def test_properties_that_hold_are_kept_as_hypothesis_tests(work: Work, tmp_path: Path, make: Make) -> None:
    source = "def evens(items: list[int]) -> list[int]:\n    return sorted(each for each in items if each % 2 == 0)\n"
    project = make(tmp_path / "evens", {"evens.py": source})
    report = work(agent, TestGenerator(faults=2), project, action=NEW | {"technique": "property-based"})
    (text,) = report.files.values()
    assert "@given(x0=st.lists(st.integers(-1000, 1000), max_size=6))" in text
    assert report.rounds[0].measurements["coverage_before"] == 50.0, "only the import, which is no test's merit"


def test_what_differs_by_hash_seed_is_not_kept_and_costs(work: Work, tmp_path: Path, make: Make) -> None:
    source = "def pick(items: list[str]) -> str:\n    return ' '.join({*items, 'ab', 'cd', 'ef', 'gh', 'ij', 'kl'})\n"
    report = work(agent, TestGenerator(faults=2), make(tmp_path / "loose", {"loose.py": source}), action=NEW)
    assert report.rounds[0].reward == -50.0
    assert not report.files


def test_fuzzing_reports_a_crash_and_does_not_state_it_as_right(work: Work, tmp_path: Path, make: Make) -> None:
    source = "def ratio(a: int, b: int) -> float:\n    return a / b\n"
    action = NEW | {"technique": "fuzzing", "focus": "edge cases"}
    report = work(agent, TestGenerator(faults=1), make(tmp_path / "ratio", {"ratio.py": source}), action=action)
    (found,) = [each for each in report.findings if each.rule == "ZeroDivisionError"]
    assert (found.file, found.line, found.confirmed) == ("ratio.py", 2, True)
    assert "ZeroDivisionError" not in "".join(report.files.values())
    assert report.rounds[0].measurements["edge_cases"] >= 1.0


def test_a_project_without_a_function_to_call_is_refused(work: Work, tmp_path: Path, make: Make) -> None:
    project = make(tmp_path / "none", {"main.py": "def erase(name: str) -> None:\n    open(name, 'w').close()\n"})
    with pytest.raises(NotFound, match="no public function"):
        work(agent, TestGenerator(), project, action=NEW)


def test_edge_cases_are_added_and_far_too_few_or_many_tests_taken_off() -> None:
    base = (0.30 * 50.0 + 0.25 * 10.0) / 0.80
    assert REWARD.score(REWARD.check(MEASURED)).reward == pytest.approx(base + 5 * 3 - 2 * 2)
    assert REWARD.score(REWARD.check(MEASURED | {"tests": 12.0})).reward == pytest.approx(base + 5 * 3 - 2 * 2)
    assert REWARD.score(REWARD.check(MEASURED | {"tests": 0.0, "edge_cases": 0.0})).reward == -50.0
    assert REWARD.score(REWARD.check(MEASURED | {"edge_cases": 900.0, "tests": 900.0})).reward <= 100.0


@pytest.mark.parametrize(
    ("state", "refused", "reason"),
    [
        ({"has_hypothesis": 0.0}, {"technique": "property-based"}, "pip install hypothesis"),
        ({"has_coverage": 0.0}, {"focus": "branches"}, "pip install coverage"),
        ({"reusable": 0.0}, {"pattern": "reuse"}, "no test calls"),
        ({"linked": 0.0}, {"depth": "integration"}, "calls another"),
    ],
)
def test_what_is_missing_is_refused_with_its_reason(state: StateValues, refused: dict[str, str], reason: str) -> None:
    full: dict[str, object] = {**PROBE, "has_hypothesis": 1.0, "has_coverage": 1.0, "reusable": 3.0, "linked": 1.0}
    assert not [each for guard in agent.guards for each in guard.refuse(full)]  # type: ignore[arg-type]
    found = [each for guard in agent.guards for each in guard.refuse({**full, **state})]  # type: ignore[dict-item]
    assert refused in [dict(each.where) for each in found]
    assert all(reason in each.reason for each in found if dict(each.where) == refused)
    agent.actions.index(baseline({**full, **state}))  # type: ignore[dict-item]

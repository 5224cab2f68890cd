"""The test generator offers tests that pass, stay the same and add something, and is paid for what they add."""

import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from steersman.core.errors import NotFound, NotPermitted
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
    assert "@given(items=st.lists(st.integers(-1000, 1000), max_size=6))" in text
    assert report.rounds[0].measurements["coverage_before"] == 50.0, "only the import, which is no test's merit"


ACCOUNTS = """
import enum
from dataclasses import dataclass
from datetime import date

class Level(enum.Enum):
    BASIC = 1
    GOLD = 2

@dataclass(frozen=True)
class Money:
    cents: int

    @property
    def is_debt(self) -> bool:
        return self.cents < 0

class Account:
    def __init__(self, owner: str, level: Level = Level.BASIC) -> None:
        self.owner, self.level, self.balance = owner, level, 0

    def deposit(self, money: Money) -> None:
        if money.is_debt:
            raise ValueError("deposit something")
        self.balance += money.cents

def due(day: date, level: Level) -> date:
    return day.replace(year=day.year + (2 if level is Level.GOLD else 1), day=1)
"""


def test_objects_are_built_used_and_looked_at(work: Work, tmp_path: Path, make: Make) -> None:
    project = make(tmp_path / "accounts", {"accounts.py": ACCOUNTS})
    report = work(agent, TestGenerator(faults=2), project, action=NEW | {"depth": "comprehensive"})
    (text,) = report.files.values()
    assert report.rounds[0].measurements["coverage_after"] > 90.0
    for each in (
        "assert account.balance == ",
        "pytest.raises(ValueError)",
        "due(date(",
        "from datetime import date",
        "Level.GOLD",
    ):
        assert each in text


def test_what_tests_call_is_called_again_with_their_objects(work: Work, tmp_path: Path, make: Make) -> None:
    tests = "from accounts import Account, Level, Money\n\n\ndef test_it():\n    account = Account('Ada', Level.GOLD)\n"
    project = make(
        tmp_path / "again", {"accounts.py": ACCOUNTS, "tests/test_it.py": f"{tests}    account.deposit(Money(7))\n"}
    )
    report = work(agent, TestGenerator(faults=8), project, action=NEW | {"technique": "mutation", "pattern": "reuse"})
    (done,), (text,) = report.rounds, report.files.values()
    assert (done.measurements["reused"], done.components["reuse"]) == (1.0, 30.0)
    assert "Account('Ada', Level.GOLD)".replace("'", '"') in text
    assert "due(" not in text, "no test calls it"


def test_integration_tests_go_through_functions_that_call_others(work: Work, tmp_path: Path, make: Make) -> None:
    sources = {
        "prices.py": "def net(cents: int) -> int:\n    if cents > 5:\n        return cents * 9 // 10\n    return cents\n",
        "bills.py": (
            "from prices import net\n\n\ndef bill(cents: int) -> str:\n    return f'{net(cents)} cents'\n\n\n"
            "def alone(cents: int) -> int:\n    return cents + 1\n"
        ),
    }
    report = work(agent, TestGenerator(faults=2), make(tmp_path / "bills", sources), action=NEW | {"depth": "integration"})
    (done,), (text,) = report.rounds, report.files.values()
    assert "bill(" in text
    assert "alone" not in text, "it calls nothing of the project"
    assert done.measurements["coverage_after"] - done.measurements["coverage_before"] > 40.0, "both modules were gained"


def test_where_nothing_is_left_to_gain_it_says_so(work: Work, tmp_path: Path, make: Make) -> None:
    source = "def double(x: int) -> int:\n    return x + x\n"
    tests = "from double import double\n\n\ndef test_double():\n    assert double(3) == 6\n"
    project = make(tmp_path / "done", {"double.py": source, "tests/test_double.py": tests})
    with pytest.raises(NotPermitted, match="all of the functions it can call is covered and no seeded mutant survived"):
        work(agent, TestGenerator(), project)


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
    with pytest.raises(NotFound, match="has no public function"):
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
        ({"plain": 0.0}, {"technique": "property-based"}, "classes only"),
        ({"open": 0.0, "survivors": 0.0}, {"technique": "fuzzing"}, "nothing to add here"),
        ({"in_vain": 4.0}, {"technique": "mutation"}, "4 rounds in a row"),
    ],
)
def test_what_is_missing_is_refused_with_its_reason(state: StateValues, refused: dict[str, str], reason: str) -> None:
    full: dict[str, object] = {**PROBE, "has_hypothesis": 1.0, "has_coverage": 1.0, "reusable": 3.0, "linked": 1.0}
    full |= {"plain": 1.0, "open": 2.0}
    assert not [each for guard in agent.guards for each in guard.refuse(full)]  # type: ignore[arg-type]
    found = [each for guard in agent.guards for each in guard.refuse({**full, **state})]  # type: ignore[dict-item]
    assert refused in [dict(each.where) for each in found]
    assert all(reason in each.reason for each in found if dict(each.where) == refused)
    agent.actions.index(baseline({**full, **state}))  # type: ignore[dict-item]

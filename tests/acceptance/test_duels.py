"""`steersman bench test-executor` and `steersman demo` from the outside, on real projects with real runs of pytest."""

import hashlib
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from steersman.packs.qe.bench import duels
from steersman.packs.qe.faults.screening import Pool
from steersman.packs.qe.faults.seeded_world import build_pool

SHOP = """
def total(prices, discount=0):
    result = 0
    for price in prices:
        if price < 0:
            raise ValueError("negative")
        result += price
    return result - discount


def cheapest(prices):
    best = None
    for price in prices:
        if best is None or price < best:
            best = price
    return best
"""
TESTS = """
import pytest
from shop import cheapest, total


@pytest.mark.parametrize("prices", [[1, 2], [5], []])
def test_total(prices):
    assert total(prices) == sum(prices)


def test_discount():
    assert total([5, 5], 3) == 7


def test_negative():
    with pytest.raises(ValueError):
        total([-1])


def test_cheapest():
    assert cheapest([3, 1, 2]) == 1
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    root = tmp_path / "project"
    (root / "tests").mkdir(parents=True)
    (root / "shop.py").write_text(SHOP)
    (root / "tests" / "test_shop.py").write_text(TESTS)
    (root / "pyproject.toml").write_text('[tool.pytest.ini_options]\npythonpath = ["."]\n')
    return root


@pytest.fixture(autouse=True)
def _few_faults(monkeypatch: pytest.MonkeyPatch) -> None:
    """Looking for ten faults or more runs a suite that often; two are enough to draw from."""

    def few(*given: Any, **named: Any) -> Pool:
        return build_pool(*given, **{**named, "target": 2})

    monkeypatch.setattr(duels, "build_pool", few)


def _digest(root: Path) -> dict[str, str]:
    return {str(p.relative_to(root)): hashlib.sha256(p.read_bytes()).hexdigest() for p in root.rglob("*") if p.is_file()}


def test_a_run_on_a_small_project(command: Callable[..., Any], project: Path) -> None:
    before = _digest(project)
    done = command(
        "bench", "test-executor", str(project), "--cycles", "2", "--python", sys.executable, "--json", "--store", "run.db"
    )
    assert done.code == 0, done.err
    report = done.json
    assert report["tests"] >= 6
    assert {row["arm"] for row in report["log"]} >= {"learned", "baseline"}
    assert report["verdict"] in ("better", "worse", "cannot tell yet")
    assert all(row["measurements"]["wall_s"] > 0 for row in report["log"])
    assert _digest(project) == before
    name = report["log"][-1]["decision_id"]
    assert "workers" in command("explain", name, "--store", "run.db").out
    assert command("replay", name, "--store", "run.db", "--json").json["identical"]
    listed = {each["agent"]: each for each in command("agents", "--store", "run.db", "--json").json}
    assert listed["qe/test-executor"]["outcomes"] == len(report["log"])


def test_the_report_for_people(command: Callable[..., Any], project: Path) -> None:
    done = command("bench", "test-executor", str(project), "--cycles", "1", "--python", sys.executable)
    assert done.code == 0, done.err
    for word in ("Verdict", "Baseline: failed first", "next, it would", "because", "steersman explain"):
        assert word in done.out
    assert "1/1" in done.err, "plain progress lines where nobody watches"


def test_a_project_without_tests_is_told(command: Callable[..., Any], project: Path) -> None:
    (project / "tests" / "test_shop.py").unlink()
    done = command("bench", "test-executor", str(project), "--python", sys.executable)
    assert done.code in (3, 6)
    assert "test" in done.err


def test_a_suite_that_hangs_is_killed(command: Callable[..., Any], project: Path) -> None:
    (project / "tests" / "test_hang.py").write_text("import time\n\n\ndef test_hang():\n    time.sleep(600)\n")
    done = command("bench", "test-executor", str(project), "--python", sys.executable, "--timeout", "5")
    assert done.code == 4, done.err
    assert "5 s" in done.err


def test_a_budget_is_a_time_as_everywhere(command: Callable[..., Any], project: Path) -> None:
    done = command("bench", "test-executor", str(project), "--python", sys.executable, "--budget", "soon")
    assert (done.code, "'soon' is no time" in done.err) == (3, True), done.err


def test_an_interpreter_that_is_not_there_is_told(command: Callable[..., Any], project: Path) -> None:
    done = command("bench", "test-executor", str(project), "--python", "/no/such/python", "--budget", "10m")
    assert done.code in (3, 6)
    assert "/no/such/python" in done.err


@pytest.mark.long
def test_the_demo_in_short(command: Callable[..., Any]) -> None:
    done = command("demo", "--cycles", "1", "--json")
    assert done.code == 0, done.err
    assert done.json["project"] == "toolz"
    assert done.json["tests"] > 150
    assert done.json["store"] == "memory:"

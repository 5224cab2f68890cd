"""A plan takes each step by itself: what fails is told with what happens instead, and the next step goes on."""

import subprocess
from pathlib import Path

import pytest

from steersman.plugins import order, selection
from steersman.plugins.plan import Plan, Wishes, made, opened
from steersman.plugins.runs import FAILED, PASSED, RunFolder
from tests.unit.plugins.conftest import Keep

NAMES = [f"tests/test_{file}.py::test_{place}" for file in "ab" for place in range(3)]


@pytest.fixture
def project(tmp_path: Path, keep: Keep) -> Path:
    """A project in git in whose second run a test of b failed."""
    root = tmp_path / "project"
    for file, text in (("tests/test_a.py", "import a"), ("tests/test_b.py", ""), ("a.py", "")):
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        (root / file).write_text(text)
    for command in (
        ["init", "-q"],
        ["add", "."],
        ["-c", "user.name=A", "-c", "user.email=a@b.example", "commit", "-qm", "1"],
    ):
        subprocess.run(["git", *command], cwd=root, check=True)
    store = RunFolder(root / ".steersman" / "pytest")
    keep(NAMES, store=store)
    keep(dict.fromkeys(NAMES, PASSED) | {NAMES[4]: FAILED}, store=store)
    return root


def planned(root: Path, names: list[str] = NAMES, *, changed: str = "", budget: float = 1.0, store: str = "") -> Plan:
    plan = opened(Wishes(root=root, store=store or ".steersman/pytest", changed=changed, budget=budget))
    made(plan, names)
    return plan


def named(plan: Plan) -> list[str]:
    assert plan.order is not None, plan.troubles
    return [NAMES[place] for place in plan.order]


def test_all_tests_run_in_the_learned_order(project: Path) -> None:
    plan = planned(project)
    assert (named(plan)[0], len(named(plan)), plan.left_out, plan.troubles) == (NAMES[4], 6, 0, [])
    assert plan.lines == ["learned order, from 2 runs"]
    assert {"commit", "sources", "changed", "machine", "python", "started"} <= {*plan.about}


def test_a_change_calls_for_its_own_tests_and_for_what_failed_lately(project: Path) -> None:
    (project / "a.py").write_text("A = 1\n")
    plan = planned(project, changed="HEAD")
    assert (named(plan), plan.left_out) == ([NAMES[4], *NAMES[:3]], 2)
    assert plan.lines[0] == "since HEAD 1 file changed: 4 of 6 tests run (3 by imports, 1 failed lately), 2 left out"


def test_new_tests_always_run(project: Path) -> None:
    names = [*NAMES, "tests/test_b.py::test_new"]
    plan = planned(project, names, changed="HEAD")
    assert plan.order is not None
    assert {names[place] for place in plan.order} == {NAMES[4], names[6]}


def test_a_change_of_the_settings_calls_for_all(project: Path) -> None:
    (project / "pyproject.toml").write_text("")
    plan = planned(project, changed="HEAD")
    assert plan.left_out == 0
    assert "(6 pyproject.toml changed), 0 left out" in plan.lines[0]


def test_what_broke_with_a_file_before_is_called_for_by_it(project: Path, keep: Keep) -> None:
    store = RunFolder(project / ".steersman" / "pytest")
    for _ in range(12):
        keep(NAMES, store=store)
    keep(dict.fromkeys(NAMES, PASSED) | {NAMES[5]: FAILED}, store=store, changed=["a.py"])
    for _ in range(12):
        keep(NAMES, store=store)
    assert named(planned(project, changed="HEAD")) == []
    (project / "a.py").write_text("A = 1\n")
    assert set(named(planned(project, changed="HEAD"))) == {*NAMES[:3], NAMES[5]}


def test_a_budget_leaves_out_what_does_not_fit_and_says_so(project: Path) -> None:
    plan = planned(project, budget=0.5)
    assert (named(plan)[0], len(named(plan)), plan.left_out) == (NAMES[4], 3, 3)
    assert plan.lines[1] == "budget of 50 %: 3 of 6 tests run, 3.00 s of 6.00 s expected; 3 left out"


def test_without_a_past_a_budget_leaves_nothing_out(project: Path) -> None:
    plan = planned(project, budget=0.5, store="elsewhere")
    assert (plan.order, plan.left_out) == ([0, 1, 2, 3, 4, 5], 0)
    assert "does not hold yet" in plan.lines[1]


def test_without_git_tests_are_ordered_and_none_is_left_out(tmp_path: Path, keep: Keep) -> None:
    keep(dict.fromkeys(NAMES, PASSED) | {NAMES[4]: FAILED}, store=RunFolder(tmp_path / "s"))
    plan = planned(tmp_path, changed="HEAD", store="s")
    assert (named(plan)[0], plan.left_out) == (NAMES[4], 0)
    assert [each.split(":")[0] for each in plan.troubles] == ["no test is left out for the change"]
    assert "no_sources" in plan.about


@pytest.mark.parametrize("store", ["mysql://there/runs", "sqlite:////proc/no/runs.db"])
def test_a_store_that_cannot_be_used_is_told(tmp_path: Path, store: str) -> None:
    plan = planned(tmp_path, store=store, budget=0.5)
    assert plan.order is None
    assert "nothing is learned or recorded, and the order is the usual one" in plan.troubles[0]
    assert "no test is left out" in plan.troubles[1]


def test_a_step_that_breaks_is_told_and_the_next_goes_on(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError("on purpose")

    monkeypatch.setattr(selection, "chosen", broken)
    plan = planned(project, changed="HEAD")
    assert (named(plan)[0], plan.troubles) == (
        NAMES[4],
        ["no test is left out for the change: ZeroDivisionError: on purpose"],
    )
    monkeypatch.setattr(order, "arranged", broken)
    plan = planned(project)
    assert (plan.order, plan.troubles) == (None, ["the order is the usual one: ZeroDivisionError: on purpose"])

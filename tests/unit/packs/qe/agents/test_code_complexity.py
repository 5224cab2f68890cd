"""The complexity agent rewrites functions on the copy, runs their tests, and is paid for what is easier and still works."""

import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from steersman.packs.qe.agents import code_complexity
from steersman.packs.qe.agents.code_complexity import CodeComplexity, agent
from steersman.packs.qe.fleet.site import Site, open_site
from steersman.packs.qe.project.discovery import discover
from steersman.packs.qe.tools.churn import churn
from steersman.packs.qe.tools.complexity import functions
from steersman.packs.qe.tools.refactoring import Refactored
from tests.unit.packs.qe.agents.conftest import Work
from tests.unit.packs.qe.conftest import Lines, write

ORDERS = """class Orders:
    def __init__(self):
        self.open = []
        self.seen = 0

    def ship(self, orders, stock):
        shipped = []
        for order in orders:
            if order in stock:
                if stock[order] > 0:
                    for item in range(stock[order]):
                        if item % 2 == 0:
                            if order != "x" or item > 2:
                                shipped.append((order, item))
                        else:
                            shipped.append((order, None))
        return shipped

    def look(self):
        self.seen += 1


def is_free(price):
    if price == 0:
        return True
    else:
        return False


def unused(a):
    if a:
        for each in a:
            if each:
                print(each)
"""
TESTS = """from orders import Orders, is_free


def test_ship():
    assert Orders().ship(["a", "x", "b"], {"a": 3, "x": 2}) == [("a", 0), ("a", None), ("a", 2), ("x", None)]


def test_free():
    assert is_free(0) and not is_free(1)
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A project with one hard function that is tested, one easy one, and one that no test runs."""
    root = tmp_path_factory.mktemp("orders")
    write(root, {"orders.py": ORDERS, "tests/test_orders.py": TESTS})
    with open_site(discover(root), seed=0, timeout_s=60.0, progress=Lines()) as opened:
        yield opened


def paid(measurements: Mapping[str, float] | None) -> float:
    assert measurements is not None
    return agent.reward.score(agent.reward.check(measurements)).reward


def test_a_rewriting_that_holds_is_paid_and_offered_and_the_tree_is_untouched(site: Site) -> None:
    skill = CodeComplexity()
    state = skill.look(site)
    worked = skill.work(site, {"action": "reduce_nesting"})
    assert worked.measurements is not None
    assert worked.measurements["broken_tests"] == 0
    assert worked.measurements["cognitive_after"] < worked.measurements["cognitive_before"] == state["max_cognitive"]
    assert paid(worked.measurements) > 0.0
    offered = worked.files["orders.py"]
    before, after = ({each.name: each.cognitive for each in functions("a.py", text)} for text in (ORDERS, offered))
    assert after.pop("Orders.ship") < before.pop("Orders.ship")
    assert after == before, "other functions stay as they were"
    assert (site.project.root / "orders.py").read_text() == site.sandbox.read("orders.py") == ORDERS


def test_a_rewriting_that_breaks_a_test_loses_and_is_not_offered(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = "if order not in stock:\n                continue"
    rewrite = code_complexity.REWRITES["reduce_nesting"]

    def wrong(text: str, function: str) -> Refactored:
        made = rewrite(text, function)
        assert broken in made.text
        return Refactored(text=made.text.replace(broken, broken.replace("not in", "in")), steps=made.steps)

    monkeypatch.setattr(code_complexity, "REWRITES", {"reduce_nesting": wrong})
    skill = CodeComplexity()
    skill.look(site)
    worked = skill.work(site, {"action": "reduce_nesting"})
    assert worked.measurements is not None
    assert worked.measurements["broken_tests"] == 1
    assert paid(worked.measurements) == -50.0
    assert not worked.files


def test_each_round_takes_another_function_and_keeps_what_was_accepted(site: Site) -> None:
    skill = CodeComplexity()
    files: dict[str, str] = {}
    for _ in range(3):
        if skill.look(site)["is_tested"]:
            files |= skill.work(site, {"action": "simplify_conditionals"}).files
        else:
            skill.work(site, {"action": "report"})
    assert "if order in stock and stock[order] > 0:" in files["orders.py"]
    assert "return bool(price == 0)" in files["orders.py"]


def test_a_part_that_can_be_taken_out_safely_is_and_the_hardest_function_left_is_what_counts(site: Site) -> None:
    skill = CodeComplexity()
    skill.look(site)
    worked = skill.work(site, {"action": "extract_method"})
    assert worked.measurements is not None
    after = {each.name: each.cognitive for each in functions("a.py", worked.files["orders.py"])}
    left = max(after["Orders.ship"], after["_ship_part"])
    assert worked.measurements["cognitive_after"] == left < worked.measurements["cognitive_before"]
    assert worked.measurements["broken_tests"] == 0
    assert paid(worked.measurements) > 0.0
    said: list[str] = []
    for _ in range(4):
        assert skill.look(site)["is_tested"] in {0.0, 1.0}
        said += skill.work(site, {"action": "report"}).notes
    assert any("_ship_part" in each for each in said), "the part is a function like any other in later rounds"


def test_where_a_person_has_to_decide_it_advises_and_the_outcome_comes_later(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(code_complexity.REWRITES, "extract_method", lambda text, function: Refactored(text=text))
    notes = []
    for action in ("extract_method", "extract_class"):
        skill = CodeComplexity()
        skill.look(site)
        worked = skill.work(site, {"action": action})
        assert worked.measurements is None
        notes.append(worked.notes)
    assert "it takes orders, shipped, stock" in notes[0][0]
    assert "steersman report" in notes[0][1]
    assert "Orders is 2 classes in one" in notes[1][0]


def test_a_report_earns_nothing_and_hard_functions_are_found(site: Site) -> None:
    site.findings.clear()
    skill = CodeComplexity()
    for _ in range(2):
        skill.look(site)
        assert paid(skill.work(site, {"action": "report"}).measurements) == 0.0
    (found,) = site.findings
    assert (found.rule, found.file, found.line) == ("hard", "orders.py", 6)


def test_what_cannot_be_checked_is_refused(site: Site) -> None:
    state = CodeComplexity().look(site)
    refused = {
        each.where["action"]: each.reason for guard in agent.guards for each in guard.refuse({**state, "is_tested": 0.0})
    }
    assert set(refused) == {"reduce_nesting", "simplify_conditionals"}
    assert "test it" in refused["reduce_nesting"]


def test_without_radon_it_only_reports(work: Work, shop_project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(code_complexity, "has", lambda name: False)
    report = work(agent, CodeComplexity(), shop_project)
    assert report.rounds[0].action == {"action": "report"}
    reasons = [each.reason for guard in agent.guards for each in guard.refuse(report.next.state)]
    assert any("pip install radon" in each for each in reasons)


def test_changes_in_git_are_counted(tmp_path: Path) -> None:
    write(tmp_path / "a", {"b.py": "c = 1\n"})
    for command in (["init", "-q"], ["add", "."], ["-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qm", "first"]):
        subprocess.run(["git", *command], cwd=tmp_path / "a", check=True)
    assert churn(tmp_path / "a", 30.0) == {"b.py": 1}
    assert churn(tmp_path, 30.0) == {}

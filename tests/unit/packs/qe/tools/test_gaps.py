"""Gaps are what the coverage map leaves open, and each method puts them in the order that it promises."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from steersman.packs.qe.fleet.site import Site, open_site
from steersman.packs.qe.project.coverage_map import CoverageMap
from steersman.packs.qe.project.discovery import discover
from steersman.packs.qe.tools.branches import line_percent_before, measure_branches
from steersman.packs.qe.tools.gaps import (
    Gap,
    bisect,
    by_branches,
    by_lines,
    by_priority,
    graph,
    linear,
    survey_functions,
)
from tests.unit.packs.qe.conftest import Lines, write

BANK = '''def fee(amount):
    """Say what it costs."""
    if amount > 100:
        return 1
    return 2


def pay(amount):
    return amount + fee(amount)


def pay_twice(amount):
    return pay(amount) + pay(amount)


def close():
    print(
        "closed",
    )
    try:
        return 1
    finally:
        print("done")
'''
TEST_BANK = (
    "from bank import close, pay\n\n\ndef test_pay():\n    assert pay(200) == 201\n\n\ndef test_close():\n    close()\n"
)


def gap(name: str, unrun: int, callers: int = 0, tests: int = 1, cognitive: int = 0) -> Gap:
    lines = tuple(range(1, unrun + 1))
    return Gap(
        file="a.py",
        name=name,
        first=1,
        last=9,
        lines=9,
        unrun=lines,
        untaken=0,
        tests=tests,
        cognitive=cognitive,
        callers=callers,
    )


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    root = tmp_path_factory.mktemp("bank")
    write(root, {"bank.py": BANK, "tests/test_bank.py": TEST_BANK})
    with open_site(discover(root), seed=0, timeout_s=60.0, progress=Lines()) as opened:
        yield opened


def test_what_is_open_in_a_real_run(site: Site) -> None:
    branches = measure_branches(site)
    found = {each.name: each for each in survey_functions({"bank.py": BANK}, site.reference.coverage, branches.missing)}
    assert found["fee"].unrun == (5,)
    assert found["fee"].untaken == 1
    assert (found["fee"].callers, found["pay"].callers, found["pay_twice"].callers) == (2, 1, 0)
    assert found["pay_twice"].unrun == (13,)
    assert found["close"].unrun == (), "statements over several lines, and a try, count as run"
    assert (found["close"].tests, found["pay"].tests) == (1, 1)
    assert branches.branch_percent == 50.0
    assert 70.0 < branches.line_percent < 95.0
    assert branches.cpu_s > 0.0


def test_depths_see_more_and_more() -> None:
    tested = gap("a", 0, tests=1, cognitive=10)
    assert by_lines(tested) == by_branches(tested) == 0.0
    assert by_priority(tested) == pytest.approx(1.5 * 3.0)
    assert by_priority(gap("b", 0, tests=9, cognitive=10)) < by_priority(tested)
    assert by_branches(gap("c", 2)) == 2.0


def test_methods_order_as_they_promise() -> None:
    found = [gap("a", 1), gap("b", 2, callers=3), gap("c", 0), gap("d", 4), gap("e", 3), gap("f", 1, callers=3)]
    assert [each.name for each in linear(found, by_lines)] == ["a", "b", "d", "e", "f"]
    assert [each.name for each in bisect(found, by_lines)] == ["d", "e", "f", "b", "a"]
    assert [each.name for each in graph(found, by_lines)] == ["b", "f", "d", "e", "a"]
    for method in (linear, bisect, graph):
        assert method([], by_lines) == method([gap("c", 0)], by_lines) == []


def test_without_a_map_everything_is_open_and_what_does_not_parse_has_nothing() -> None:
    found = survey_functions({"bank.py": BANK, "b.py": "def f(:\n"}, CoverageMap(reason="none"), {})
    assert [each.name for each in found] == ["fee", "pay", "pay_twice", "close"]
    assert all(len(each.unrun) == each.lines for each in found)


def test_an_earlier_report_is_read(tmp_path: Path) -> None:
    assert line_percent_before(tmp_path) is None
    (tmp_path / "coverage.xml").write_text(
        '<?xml version="1.0" ?>\n<coverage version="7" line-rate="0.825" branch-rate="0">\n'
    )
    assert line_percent_before(tmp_path) == 82.5

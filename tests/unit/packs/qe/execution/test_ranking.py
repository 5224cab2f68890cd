"""Ranking uses what earlier cycles showed, never the present one or a later one, and learns which tests fail."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from steersman.core.errors import Conflict
from steersman.packs.qe.execution.history import History, Seen, TestRecord, recency
from steersman.packs.qe.execution.ranking import ORDERS, Experts, LearnedRanker
from steersman.packs.qe.execution.selection import Selector, imported_modules
from steersman.packs.qe.faults.change import ActiveFault, Change
from steersman.packs.qe.faults.git_world import function_lines
from steersman.packs.qe.project.coverage_map import CoverageMap
from steersman.packs.qe.project.discovery import discover
from steersman.packs.qe.project.sandbox import open_sandbox

CART = ("tests/test_cart.py::test_member", "tests/test_cart.py::test_guest")
SHOP = ("tests/test_shop.py::test_price", "tests/test_shop.py::test_stock")
TESTS = (*CART, *SHOP)
LINES = {"shop.py": {1: frozenset[str](), 3: frozenset({SHOP[0], *CART}), 10: frozenset({SHOP[1]})}}


def change(cycle: int, *lines: int) -> Change:
    return Change(
        cycle=cycle,
        text="",
        lines={"shop.py": frozenset(lines)},
        faults=(ActiveFault(name="", killers=frozenset()),),
        expected_s=1.0,
        expected_cpu_s=1.0,
    )


def seen(test: str, *, failed: bool = False, duration_s: float = 0.1) -> Seen:
    return Seen(test=test, failed=failed, flaky=False, duration_s=duration_s)


@pytest.fixture
def selector(shop: Path) -> Iterator[Selector]:
    with open_sandbox(discover(shop)) as sandbox:
        yield Selector(sandbox, CoverageMap(lines=LINES))


def test_history_refuses_to_look_back_from_what_it_has_seen() -> None:
    history = History()
    history.at(3)
    history.observe(3, [[seen("a", failed=True)]])
    with pytest.raises(Conflict, match="cannot rank for cycle 3"):
        history.at(3)
    with pytest.raises(Conflict, match="in order"):
        history.observe(2, [])
    assert history.at(4)["a"].last_failure == 3


@pytest.mark.parametrize("order", ORDERS)
def test_no_ranking_uses_its_own_cycle(selector: Selector, order: str) -> None:
    experts = Experts(TESTS, History(), selector)
    before = experts.rank(order, change(0, 3), TESTS)
    experts.prepare(change(0, 3))
    experts.learn(change(0, 3), {test: test == SHOP[1] for test in TESTS})
    experts.history.observe(0, [[seen(test, failed=test == SHOP[1]) for test in TESTS]])
    with pytest.raises(Conflict):
        experts.rank(order, change(0, 3), TESTS)
    assert set(experts.rank(order, change(1, 3), TESTS).order) == set(before.order)


def test_what_happens_later_does_not_change_an_earlier_ranking(selector: Selector) -> None:
    def ranks(last: int) -> list[tuple[str, ...]]:
        experts = Experts(TESTS, History(), selector)
        found = []
        for cycle in range(last):
            experts.prepare(change(cycle, 3))
            found.append(experts.rank("learned", change(cycle, 3), TESTS).order)
            failing = TESTS[cycle % len(TESTS)]
            experts.learn(change(cycle, 3), {test: test == failing for test in TESTS})
            experts.history.observe(cycle, [[seen(test, failed=test == failing) for test in TESTS]])
        return found

    assert ranks(8)[:4] == ranks(4)


def test_each_expert_by_hand(selector: Selector) -> None:
    history = History({test: 0.1 * (index + 1) for index, test in enumerate(reversed(TESTS))})
    experts = Experts(TESTS, history, selector)
    history.observe(0, [[seen(SHOP[1], failed=True), seen(CART[1], failed=False, duration_s=0.3)]])
    assert experts.rank("file", change(1, 10), TESTS).order == TESTS
    assert experts.rank("failed_first", change(1, 10), TESTS).order == (SHOP[1], *CART, SHOP[0])
    assert experts.rank("fast_first", change(1, 10), TESTS).order[0] == SHOP[1]
    learned = experts.rank("learned", change(1, 10), TESTS)
    assert learned.order[0] == SHOP[1], "it covers the changed line, failed last and is fast"
    assert max(learned.scores, key=lambda name: learned.scores[name]) == SHOP[1]


def test_the_learned_expert_finds_the_feature_that_tells() -> None:
    generator = np.random.default_rng(0)
    ranker = LearnedRanker()
    ranker.weights[:] = 0.0
    for _ in range(60):
        features = np.hstack([np.ones((50, 1)), generator.random((50, 6))])
        ranker.learn(features, features[:, 2] > 0.9)
    assert int(np.argmax(ranker.weights[1:])) == 1
    assert ranker.weights[2] > 3 * np.abs(np.delete(ranker.weights[1:], 1)).max()


def test_nothing_is_learned_without_a_failure() -> None:
    ranker = LearnedRanker()
    before = ranker.weights.copy()
    ranker.learn(np.ones((3, 7)), np.zeros(3, dtype=bool))
    assert (ranker.weights == before).all()


def test_recency_halves_every_three_cycles() -> None:
    assert recency(TestRecord(last_failure=4), 4) == 1.0
    assert recency(TestRecord(last_failure=4), 7) == 0.5
    assert recency(TestRecord(), 7) == 0.0


def test_selections_by_hand(selector: Selector) -> None:
    nothing = frozenset[str]()
    assert selector.select("all", change(0, 3), TESTS, nothing).everything
    changed = selector.select("changed", change(0, 3), TESTS, nothing)
    assert changed.tests == set(SHOP), "test_shop imports shop; test_cart imports cart only"
    assert selector.select("affected", change(0, 3), TESTS, nothing).tests == {SHOP[0], *CART}
    assert selector.select("affected", change(0, 10), TESTS, frozenset({CART[0]})).tests == {SHOP[1], CART[0]}
    assert selector.select("affected", change(0, 1), TESTS, nothing).everything, "the line runs at import"
    assert selector.select("affected", change(0, 99), TESTS, nothing).tests == nothing


def test_imports_and_functions_around_lines() -> None:
    assert imported_modules("import a.b\nfrom c import d\nfrom . import e\n") == {"a.b", "c", "c.d"}
    assert imported_modules("def f(:") == frozenset()
    assert function_lines("x = 1\ndef f():\n    a = 1\n    return a\n", [3]) == {3, 4}
    assert function_lines("x = 1\n", [1]) == {1}

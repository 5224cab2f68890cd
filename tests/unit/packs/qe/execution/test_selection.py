"""What a change calls for, and how near each test is to it."""

from steersman.packs.qe.execution.selection import Selector, imported_modules
from steersman.packs.qe.faults.git_world import function_lines
from steersman.packs.qe.project.coverage_map import CoverageMap
from tests.unit.packs.qe.execution.conftest import CART, SHOP, TESTS, change


def test_selections_by_hand(selector: Selector) -> None:
    nothing = frozenset[str]()
    assert selector.select("all", change(0, 3), TESTS, nothing).everything
    changed = selector.select("changed", change(0, 3), TESTS, nothing)
    assert changed.tests == set(SHOP), "test_shop imports shop; test_cart imports cart only"
    assert selector.select("affected", change(0, 3), TESTS, nothing).tests == {SHOP[0], *CART}
    assert selector.select("affected", change(0, 10), TESTS, frozenset({CART[0]})).tests == {SHOP[1], CART[0]}
    assert selector.select("affected", change(0, 1), TESTS, nothing).everything, "the line runs at import"
    assert selector.select("affected", change(0, 99), TESTS, nothing).tests == nothing


def test_how_much_of_a_change_each_test_touches(selector: Selector) -> None:
    assert selector.touched(change(0), TESTS).tolist() == [0.0] * 4
    assert selector.touched(change(0, 3), TESTS).tolist() == [1.0, 1.0, 1.0, 0.0]
    assert selector.touched(change(0, 3, 10), TESTS).tolist() == [0.5, 0.5, 0.5, 0.5], "each runs one of the two"
    assert selector.touched(change(0, 1), TESTS).tolist() == [1.0] * 4, "at import: whatever runs something of the file"
    assert selector.touched(change(0, 3, 4), TESTS).tolist() == [1.0, 1.0, 1.0, 0.0], "line 4 is no code"
    assert selector.touched(change(0, whole=("tests/test_cart.py",)), TESTS).tolist() == [1.0, 1.0, 0.0, 0.0]


def test_without_a_map_tests_touch_what_they_import(selector: Selector) -> None:
    selector.coverage = CoverageMap(reason="no coverage.py")
    assert selector.touched(change(0, 3), TESTS).tolist() == [0.0, 0.0, 1.0, 1.0]
    assert selector.touched(change(0, 3, file="cart.py"), TESTS).tolist() == [1.0, 1.0, 0.0, 0.0]


def test_imports_and_functions_around_lines() -> None:
    assert imported_modules("import a.b\nfrom c import d\nfrom . import e\n") == {"a.b", "c", "c.d"}
    assert imported_modules("def f(:") == frozenset()
    assert function_lines("x = 1\ndef f():\n    a = 1\n    return a\n", [3]) == {3, 4}
    assert function_lines("x = 1\n", [1]) == {1}

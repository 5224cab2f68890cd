"""Orders are made from what earlier cycles showed, never the present one or a later one, and the learned one learns."""

import numpy as np
import pytest

from steersman.core.errors import Conflict
from steersman.packs.qe.execution.history import Seen
from steersman.packs.qe.execution.ranking import ORDERS, Orders
from steersman.packs.qe.execution.selection import Selector
from steersman.packs.qe.project.coverage_map import CoverageMap
from steersman.packs.qe.project.reference import Reference
from tests.unit.packs.qe.execution.conftest import CART, LINES, SHOP, TESTS, change

REFERENCE = Reference(
    collected=TESTS,
    at_s={},
    durations_s=dict(zip(TESTS, (0.4, 0.3, 0.2, 0.1), strict=True)),
    wall_s=1.0,
    cpu_s=1.0,
    peak_mb=1.0,
    coverage=CoverageMap(lines=LINES),
    failing=frozenset(),
    flaky=frozenset(),
)


def orders(selector: Selector, **named: object) -> Orders:
    return Orders(REFERENCE, selector, **({"seed": 0} | named))  # type: ignore[arg-type]


def run(failing: str, *, flaky: str = "") -> list[Seen]:
    return [Seen(test=test, failed=test in (failing, flaky), flaky=test == flaky, duration_s=0.1) for test in TESTS]


@pytest.mark.parametrize("order", ORDERS)
def test_no_order_uses_its_own_cycle(selector: Selector, order: str) -> None:
    made = orders(selector)
    before = made.ordered(order, change(0, 3), TESTS)
    made.observe(change(0, 3), run(SHOP[1]))
    with pytest.raises(Conflict):
        made.ordered(order, change(0, 3), TESTS)
    assert set(made.ordered(order, change(1, 3), TESTS)) == set(before) == set(TESTS)
    assert made.ordered(order, change(1, 3), ()) == ()


def test_what_happens_later_does_not_change_an_earlier_order(selector: Selector) -> None:
    def found(last: int) -> list[tuple[str, ...]]:
        made, ordered = orders(selector), []
        for cycle in range(last):
            ordered.append(made.ordered("learned", change(cycle, 3), TESTS))
            made.observe(change(cycle, 3), run(TESTS[cycle % len(TESTS)]))
        return ordered

    assert found(8)[:4] == found(4)


def test_the_rules_by_hand(selector: Selector) -> None:
    made = orders(selector)
    assert made.ordered("fast_first", change(0, 10), TESTS) == TESTS[::-1], "the reference run says how long each takes"
    assert made.ordered("failed_first", change(0, 10), TESTS) == TESTS
    made.observe(change(0, 3), [Seen(test=SHOP[1], failed=True, flaky=True, duration_s=9.0)])
    assert made.ordered("file", change(1, 10), TESTS) == TESTS
    assert made.ordered("failed_first", change(1, 10), TESTS) == (SHOP[1], *CART, SHOP[0])
    assert made.ordered("fast_first", change(1, 10), TESTS)[-1] == SHOP[1]


def test_before_it_has_learned_anything_what_is_touched_leads(selector: Selector) -> None:
    made = orders(selector)
    assert set(made.ordered("learned", change(0, 3), TESTS)[:3]) == {SHOP[0], *CART}
    assert made.ordered("learned", change(0, 10), TESTS)[0] == SHOP[1]


def test_what_fails_again_and_again_comes_first_and_what_is_flaky_does_not(selector: Selector) -> None:
    made = orders(selector)
    for cycle in range(12):
        made.observe(change(cycle, 3), run(CART[1], flaky=SHOP[1]))
    assert made.ordered("learned", change(12, 3), TESTS)[0] == CART[1]
    assert made.ordered("learned", change(12, 3), TESTS)[-1] == SHOP[1]
    assert made.ordered("failed_first", change(12, 3), TESTS)[:2] == (CART[1], SHOP[1]), "a rule cannot tell"


def test_an_order_survives_the_process_and_damage_costs_no_more_than_what_was_learned(selector: Selector) -> None:
    made = orders(selector)
    for cycle in range(12):
        made.observe(change(cycle, 3), run(CART[1]))
    state = made.state()
    again = orders(selector, kept=state, seed=9)
    assert again.learner.say == made.learner.say
    assert again.ordered("learned", change(0, 3), TESTS)[0] == CART[1]
    assert again.history.failing(TESTS) == frozenset(), "the reference run has shown since that it passes"
    damaged = orders(selector, kept=state | {"learner.past.cycle": np.zeros(2)})
    assert (damaged.learner.say, damaged.history.failing(TESTS)) == ({}, frozenset())
    assert damaged.ordered("failed_first", change(0, 3), TESTS) == TESTS, "nothing of what is damaged is used"

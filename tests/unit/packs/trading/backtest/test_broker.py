"""Orders are filled at a price that costs; worked cases."""

import pytest

from steersman.core.errors import InvalidInput
from steersman.packs.trading.backtest.broker import Account, Costs

FREE = Costs(commission_bps=0.0, spread_bps=0.0, slippage_bps=0.0, borrow_pct=0.0)


def test_a_round_trip_costs_twice_half_the_spread_slippage_and_commission() -> None:
    account = Account(costs=Costs(commission_bps=10.0, spread_bps=20.0, slippage_bps=10.0, borrow_pct=0.0))
    account.open("A", 1, 0.5, 0.5, bar=0, price=100.0)
    assert account.holdings["A"].entry == pytest.approx(100.2)
    gone = account.close("A", bar=3, price=100.0, why="time")
    assert gone.exit == pytest.approx(99.8)
    units = 0.5 / 100.2
    assert gone.pnl == pytest.approx(units * (99.8 - 100.2) - 0.001 * 0.5 - 0.001 * units * 99.8)
    assert account.worth({}) == pytest.approx(1.0 + gone.pnl)
    assert account.paid == pytest.approx(-gone.pnl)
    assert account.traded == pytest.approx(0.5 + units * 99.8)
    assert gone.move_pct == pytest.approx(0.0)
    assert gone.return_pct == pytest.approx(100.0 * gone.pnl / 0.5)


def test_a_short_position_earns_when_the_price_falls() -> None:
    account = Account(costs=FREE)
    account.open("A", -1, 1.0, 0.5, bar=0, price=100.0)
    account.holdings["A"].mark(90.0)
    account.holdings["A"].mark(99.0)
    gone = account.close("A", bar=1, price=95.0, why="time")
    assert gone.pnl == pytest.approx(0.05)
    assert gone.move_pct == pytest.approx(5.0)
    assert gone.leverage == pytest.approx(2.0)
    assert gone.max_drawdown_pct == pytest.approx(9.0)  # from 10 % to 1 %


@pytest.mark.parametrize(
    ("side", "limit"), [(1, 100.0 * (1.0 - 0.2) / (1.0 - 0.05)), (-1, 100.0 * (1.0 + 0.2) / (1.0 + 0.05))]
)
def test_a_position_is_liquidated_where_its_margin_is_worth_the_maintenance(side: int, limit: float) -> None:
    account = Account(costs=FREE)
    held = account.open("A", side, 1.0, 0.2, bar=0, price=100.0)
    assert held.liquidation_price(0.05) == pytest.approx(limit)
    left = held.margin + held.gain(limit)
    assert left == pytest.approx(0.05 * held.units * limit)
    near, beyond = limit + side * 0.01, limit - side * 0.01
    assert account.liquidated("A", bar=1, prices=(100.0, min(near, 100.0), max(near, 100.0))) is None
    gone = account.liquidated("A", bar=1, prices=(100.0, min(beyond, 100.0), max(beyond, 100.0)))
    assert gone is not None
    assert gone.exit == pytest.approx(limit)
    assert gone.why == "liquidated"


def test_a_gap_beyond_the_limit_is_filled_at_the_open() -> None:
    account = Account(costs=FREE)
    account.open("A", 1, 1.0, 0.2, bar=0, price=100.0)
    gone = account.liquidated("A", bar=1, prices=(70.0, 65.0, 75.0))
    assert gone is not None
    assert gone.exit == pytest.approx(70.0)
    assert account.worth({}) == pytest.approx(0.7)


def test_without_credit_nothing_is_liquidated() -> None:
    account = Account(costs=FREE)
    account.open("A", 1, 1.0, 1.0, bar=0, price=100.0)
    assert account.liquidated("A", bar=1, prices=(1.0, 0.01, 1.0)) is None


def test_interest_is_paid_on_what_is_borrowed_and_on_all_that_is_sold_short() -> None:
    costs = Costs(commission_bps=0.0, spread_bps=0.0, slippage_bps=0.0, borrow_pct=10.0)
    account = Account(costs=costs)
    account.open("cash", 1, 0.5, 0.5, bar=0, price=100.0)
    account.open("credit", 1, 0.5, 0.1, bar=0, price=100.0)
    account.open("short", -1, 0.5, 0.5, bar=0, price=100.0)
    for symbol, paid in (("cash", 0.0), ("credit", 0.04), ("short", 0.055)):
        before = account.cash
        account.charge(symbol, 110.0, 1.0)
        assert before - account.cash == pytest.approx(paid)


def test_costs_that_no_market_has_are_named_and_impossible_ones_refused() -> None:
    assert FREE.free == ["commission_bps", "spread_bps", "slippage_bps", "borrow_pct"]
    assert Costs().free == []
    for wrong, said in (
        ({"commission_bps": -1.0}, "^--commission must lie in 0 to 1,000 basis points, got -1"),
        ({"slippage_bps": float("nan")}, "^--slippage must lie in 0 to 1,000 basis points, got nan"),
        ({"borrow_pct": 101.0}, "^--borrow must lie in 0 to 100 % a year, got 101"),
        ({"maintenance": 0.2}, "^maintenance must lie in 0 to 0.14, got 0.2"),
    ):
        with pytest.raises(InvalidInput, match=said):
            Costs(**wrong)


def test_a_symbol_is_held_once() -> None:
    account = Account(costs=FREE)
    account.open("A", 1, 0.1, 0.1, bar=0, price=1.0)
    with pytest.raises(InvalidInput, match="needs no open position"):
        account.open("A", 1, 0.1, 0.1, bar=0, price=1.0)

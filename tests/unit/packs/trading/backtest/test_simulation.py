"""Bars pass one by one: orders are filled at the next open, positions end for a stated reason, and limits hold."""

import re
from collections.abc import Mapping
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from steersman.core.errors import InvalidInput
from steersman.core.state import StateValues
from steersman.packs.trading.backtest.arms import META, Chosen
from steersman.packs.trading.backtest.broker import Costs
from steersman.packs.trading.backtest.data import Market
from steersman.packs.trading.backtest.played import Played, bought_and_held, left_alone
from steersman.packs.trading.backtest.seen import Seen
from steersman.packs.trading.backtest.signals import Signals
from steersman.packs.trading.backtest.simulation import Simulation, Terms
from steersman.packs.trading.backtest.synthetic import random_walk

Floats = NDArray[np.float64]

FREE = Costs(commission_bps=0.0, spread_bps=0.0, slippage_bps=0.0, borrow_pct=0.0)
BARS = 80
LATER = np.concatenate([np.zeros(30), np.ones(BARS - 30)])
"""Nothing is said before the pack can measure the range of prices."""


class Always:
    """Follows the trend with one size, and remembers what came of it."""

    learns = True

    def __init__(self, size: float = 1.0, leverage: int = 1) -> None:
        self.sizing: dict[str, Any] = {"size": size, "leverage": leverage}
        self.settled: list[tuple[str, Mapping[str, float]]] = []

    def choose(self, agent: str, state: StateValues) -> Chosen | None:
        """Return the same always."""
        action = {"strategy": "trend", "model": "xgb", "weight": "down"} if agent == META else self.sizing
        return Chosen(agent=agent, action=action)

    def settle(self, chosen: Chosen, measurements: Mapping[str, float]) -> None:
        """Remember."""
        self.settled.append((chosen.agent, measurements))


def line(close: Floats, open_: Floats | None = None) -> Market:
    """Return one symbol with a range of 1 % round its closes."""
    opens = np.concatenate([close[:1], close[:-1]]) if open_ is None else open_
    at = 1_577_836_800.0 + 86_400.0 * np.arange(float(len(close)))
    high, low = np.maximum(opens, close) * 1.005, np.minimum(opens, close) * 0.995
    return Market(symbols=("A",), at=at, open=opens[:, None], high=high[:, None], low=low[:, None], close=close[:, None])


def played(market: Market, sides: Floats, arm: Any, terms: Terms) -> Played:
    """Let all bars pass, with one strategy that says `sides`."""
    shape = (len(market), 1)
    said = Signals(
        sides={"trend": sides.astype(np.int8)[:, None]},
        forecasts={"xgb": np.full(shape, np.nan)},
        confidence=np.full(shape, 0.6),
    )
    return Simulation(market, said, Seen(market), arm, terms).run(0, len(market)).played


def test_an_order_is_filled_at_the_next_open_and_ended_at_the_one_after_its_signal() -> None:
    close = np.full(BARS, 100.0)
    opens = np.full(BARS, 100.0)
    opens[31], opens[36] = 101.0, 103.0
    sides = np.zeros(BARS)
    sides[30:35] = 1
    run = played(line(close, opens), sides, Always(), Terms(costs=FREE))
    assert [(fill.bar, fill.price, fill.why) for fill in run.fills] == [(31, 101.0, "open"), (36, 103.0, "signal over")]
    (trade,) = run.trades
    assert trade.exit.return_pct == pytest.approx(100.0 * (103.0 / 101.0 - 1.0))
    assert run.equity[-1] == pytest.approx(1.0 + 0.1 * (103.0 / 101.0 - 1.0))  # size 1 is a tenth of the equity
    assert trade.pnl_pct == pytest.approx(100.0 * (run.equity[-1] - 1.0))


def test_costs_are_paid_and_lower_what_is_earned() -> None:
    sides = np.zeros(BARS)
    sides[30:35] = 1
    market = line(100.0 * 1.002 ** np.arange(float(BARS)))
    free, paid = (played(market, sides, Always(), Terms(costs=each)) for each in (FREE, Costs()))
    assert free.paid == 0.0
    assert paid.equity[-1] < free.equity[-1]
    assert free.equity[-1] - paid.equity[-1] == pytest.approx(paid.paid, rel=0.01)


def test_a_position_ends_after_so_many_bars_and_the_next_begins_a_bar_later() -> None:
    run = played(line(np.full(BARS, 100.0)), LATER, Always(), Terms(costs=FREE, hold_bars=4))
    assert {trade.exit.why for trade in run.trades} == {"time"}
    assert {trade.exit.closed - trade.exit.opened for trade in run.trades} == {4}
    gaps = {after.exit.opened - before.exit.closed for before, after in pairwise(run.trades)}
    assert gaps == {1}


def test_a_loss_beyond_two_ranges_is_stopped_at_the_next_open() -> None:
    close = np.full(BARS, 100.0)
    close[35:] = 96.0
    sides = np.zeros(BARS)
    sides[30:] = 1
    run = played(line(close), sides, Always(), Terms(costs=FREE, hold_bars=50))
    first = run.trades[0].exit
    assert (first.why, first.opened, first.closed) == ("stop", 31, 36)


def test_a_margin_that_is_used_up_is_liquidated_inside_the_bar() -> None:
    close = np.full(BARS, 100.0)
    close[35:] = 80.0
    sides = np.zeros(BARS)
    sides[30:] = 1
    run = played(line(close), sides, Always(leverage=7), Terms(costs=FREE))
    first = run.trades[0].exit
    assert (first.why, first.closed) == ("liquidated", 35)
    assert first.exit == pytest.approx(100.0 * (1.0 - 1.0 / 7.0) / 0.95)
    assert run.trades[0].pnl_pct > -10.0  # no more than the margin


def test_a_signal_that_nothing_is_opened_for_is_settled_as_nothing() -> None:
    market, arm = line(np.full(BARS, 100.0)), Always()
    shape = (BARS, 1)
    said = Signals(
        sides={"trend": np.zeros(shape, dtype=np.int8), "range": np.ones(shape, dtype=np.int8)},
        forecasts={"xgb": np.full(shape, np.nan)},
        confidence=np.full(shape, 0.6),
    )
    run = Simulation(market, said, Seen(market), arm, Terms()).run(0, BARS).played
    assert not run.fills
    assert len(run.decided) == BARS
    assert arm.settled == [(META, {"pnl_pct": 0.0, "max_drawdown_pct": 0.0, "sharpe": 0.0, "alignment": 0.0})] * BARS


def test_both_agents_hear_of_each_position_once() -> None:
    arm = Always()
    run = played(line(np.full(BARS, 100.0)), LATER, arm, Terms(hold_bars=5))
    assert len(arm.settled) == 2 * len(run.trades) > 10


def test_a_drawdown_shuts_the_account_for_a_time() -> None:
    close = np.full(160, 100.0)
    close[35:] = 60.0
    run = played(line(close), np.ones(160), _Guarded(), Terms(costs=FREE, hold_bars=3, resume_bars=20))
    assert run.stops == 1
    bars = [fill.bar for fill in run.fills if fill.why == "open"]
    silent = max(after - before for before, after in pairwise(bars))
    assert silent >= 20
    for_good = played(line(close), np.ones(160), _Guarded(), Terms(costs=FREE, hold_bars=3, resume_bars=0))
    assert max(fill.bar for fill in for_good.fills) < 45


class _Guarded(Always):
    """As `Always`, and opens nothing while the account is below its limit, as the guards have it."""

    def __init__(self) -> None:
        super().__init__(size=1.8)

    def choose(self, agent: str, state: StateValues) -> Chosen | None:
        return super().choose(agent, state) if float(state.get("drawdown", 0.0)) < 0.05 else None


def test_a_symbol_without_a_bar_waits_for_its_next_open() -> None:
    market = random_walk(2, BARS)
    holes = {name: getattr(market, name).copy() for name in ("open", "high", "low", "close")}
    for each in holes.values():
        each[31:33, 1] = np.nan
    market = replace(market, **holes)
    sides = np.zeros((BARS, 2), dtype=np.int8)
    sides[30:, 1] = 1
    said = Signals(sides={"trend": sides}, forecasts={"xgb": np.full((BARS, 2), np.nan)}, confidence=np.full((BARS, 2), 0.5))
    run = Simulation(market, said, Seen(market), Always(), Terms(costs=FREE)).run(0, BARS).played
    assert (run.fills[0].bar, run.fills[0].price) == (33, market.open[33, 1])


def test_interest_runs_while_a_symbol_has_no_bar() -> None:
    market = line(np.full(BARS, 100.0))
    sides = np.zeros(BARS)
    sides[30:35] = -1
    costs = Costs(commission_bps=0.0, spread_bps=0.0, slippage_bps=0.0, borrow_pct=36.52425)  # 0.1 % a day
    run = played(market, sides, Always(), Terms(costs=costs))
    assert run.paid == pytest.approx(5 * 0.001 * 0.1)
    other = random_walk(1, BARS)
    holes: dict[str, Any] = {
        name: np.column_stack([getattr(market, name), getattr(other, name)]) for name in ("open", "high", "low", "close")
    }
    for each in holes.values():
        each[32:34, 0] = np.nan
    said = Signals(
        sides={"trend": np.column_stack([sides, np.zeros(BARS)]).astype(np.int8)},
        forecasts={"xgb": np.full((BARS, 2), np.nan)},
        confidence=np.full((BARS, 2), 0.5),
    )
    both = Market(symbols=("A", "B"), at=market.at, **holes)
    again = Simulation(both, said, Seen(both), Always(), Terms(costs=costs)).run(0, BARS).played
    assert again.paid == pytest.approx(run.paid)


def test_returns_multiply_to_the_equity() -> None:
    run = played(random_walk(1, BARS), np.ones(BARS), Always(leverage=5), Terms())
    assert np.prod(1.0 + run.returns) == pytest.approx(run.equity[-1])
    assert len(run.returns) == BARS


def test_holding_buys_equal_parts_at_the_next_open_and_nothing_does_nothing() -> None:
    market = random_walk(2, BARS)
    run = bought_and_held(market, FREE, 10)
    assert [(fill.bar, fill.price) for fill in run.fills] == [(11, market.open[11, 0]), (11, market.open[11, 1])]
    wanted = sum(0.5 * market.close[-1, column] / market.open[11, column] for column in (0, 1))
    assert run.equity[-1] == pytest.approx(wanted)
    assert (run.equity[0], len(run.equity)) == (1.0, BARS - 10)
    assert left_alone(market, 10).returns.tolist() == [0.0] * (BARS - 10)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"mode": "bold"}, "--account 'bold' is none. Known: aggressive-small, defensive, normal"),
        ({"mode": "norml"}, "--account 'norml' is none. Did you mean 'normal'?"),
        ({"hold_bars": 0}, "--hold needs at least 1 bar, got 0."),
        ({"resume_bars": -1}, "--resume needs at least 0 bars, got -1."),
    ],
)
def test_terms_that_make_no_sense_are_refused_by_the_name_of_the_option(wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidInput, match=f"^{re.escape(said)}"):
        Terms(**wrong)

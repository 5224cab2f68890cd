"""What an arm did: its account from bar to bar, and what was decided and traded on the way."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from steersman.core.actions import Action
from steersman.core.state import StateValues
from steersman.packs.trading.backtest.broker import Account, Costs, Exit, Fill
from steersman.packs.trading.backtest.data import Market

Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Decided:
    """One signal and what was made of it. side: 0 where no position was wanted; sizing: None where none was allowed."""

    bar: int
    symbol: str
    meta_state: StateValues
    meta: Action
    side: int
    sizing_state: StateValues | None = None
    sizing: Action | None = None


@dataclass(frozen=True, kw_only=True)
class Trade:
    """A position that is over, with the decision that opened it, and its profit in % of the equity at that time."""

    decided: Decided
    exit: Exit
    pnl_pct: float


@dataclass(frozen=True, kw_only=True, eq=False)
class Played:
    """An account that began with 1. equity and exposure (value held over equity) are those after each bar, (n,).

    traded and paid: the value of all fills, and all costs. stops: how often its drawdown shut the account.
    """

    equity: Floats = field(repr=False)
    exposure: Floats = field(repr=False)
    fills: Sequence[Fill] = ()
    trades: Sequence[Trade] = ()
    decided: Sequence[Decided] = ()
    traded: float = 0.0
    paid: float = 0.0
    stops: int = 0

    @property
    def returns(self) -> Floats:
        """What the account earned in each bar, as a share of what it was worth before; 0 once nothing is left."""
        worth = np.concatenate([[1.0], self.equity])
        moved = np.diff(worth)
        found = np.zeros(len(moved))
        np.divide(moved, worth[:-1], out=found, where=worth[:-1] > 0.0)
        return found


def left_alone(market: Market, first: int) -> Played:
    """Return an account that does nothing from a bar on."""
    count = len(market) - first
    return Played(equity=np.ones(count), exposure=np.zeros(count))


def bought_and_held(market: Market, costs: Costs, first: int) -> Played:
    """Return an account that orders all symbols for equal parts at the first close, and holds what it was filled.

    A symbol that comes later is bought at its first open; what ends sooner stays at its last close.
    """
    account, prices, part = Account(costs=costs), {}, 1.0 / len(market.symbols)
    equity, exposure = [], []
    for bar in range(first, len(market)):
        for column, symbol in enumerate(market.symbols):
            close = float(market.close[bar, column])
            if np.isnan(close):
                continue
            if bar > first and symbol not in account.holdings:
                account.open(symbol, 1, part, part, bar=bar, price=float(market.open[bar, column]))
            prices[symbol] = close
        equity.append(account.worth(prices))
        exposure.append(sum(held.units * prices[symbol] for symbol, held in account.holdings.items()) / equity[-1])
    return Played(
        equity=np.array(equity),
        exposure=np.array(exposure),
        fills=account.fills,
        traded=account.traded,
        paid=account.paid,
    )

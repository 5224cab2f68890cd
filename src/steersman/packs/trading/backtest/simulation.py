"""A simulation: bars pass, an arm decides at their closes, and orders are filled at the next open; liquidation is sooner.

A signal comes where a symbol is not held and any strategy has something to say. The arm then chooses which strategy and
model to follow, and how large a position is to be; it is asked nothing twice. A position ends when its strategy says so no
longer, at its stop, or after so many bars.
"""

from dataclasses import dataclass, field

import numpy as np

from steersman.core.actions import Action
from steersman.core.errors import InvalidInput, nearest
from steersman.core.state import StateValues
from steersman.packs.trading.account import MODES, UNIT_SHARE
from steersman.packs.trading.backtest.arms import META, SIZING, Arm, Chosen
from steersman.packs.trading.backtest.broker import Account, Costs, Exit
from steersman.packs.trading.backtest.data import Market
from steersman.packs.trading.backtest.played import Decided, Played, Trade
from steersman.packs.trading.backtest.seen import Seen, SeenBook
from steersman.packs.trading.backtest.signals import Signals
from steersman.packs.trading.book import MAIN, Closed, Opened
from steersman.packs.trading.limits import STOP_RANGES
from steersman.packs.trading.rewards import sharpe

_YEAR_S = 365.2425 * 86_400.0


@dataclass(frozen=True, kw_only=True)
class Terms:
    """How positions are held. hold_bars: the longest. resume_bars: how long an account stays shut after its drawdown limit.

    Then its peak is counted anew, as if a person had opened it again; 0 leaves it shut.
    """

    costs: Costs = field(default_factory=Costs)
    mode: str = "normal"
    hold_bars: int = 10
    resume_bars: int = 20

    def __post_init__(self) -> None:
        if self.mode not in MODES:
            raise InvalidInput(f"--account {self.mode!r} is none.{nearest(self.mode, MODES)}")
        if self.hold_bars < 1:
            raise InvalidInput(f"--hold needs at least 1 bar, got {self.hold_bars}.")
        if self.resume_bars < 0:
            raise InvalidInput(f"--resume needs at least 0 bars, got {self.resume_bars}.")


@dataclass(frozen=True, kw_only=True)
class _Order:
    """What is filled at the next open; what was known when it was made goes with it."""

    decided: Decided
    choices: tuple[Chosen, Chosen]
    value: float
    margin: float
    stop: float
    volatility: float
    confidence: float


@dataclass(frozen=True, kw_only=True)
class _Open:
    order: _Order
    equity: float


class Simulation:
    """One account in a market, from bar to bar."""

    def __init__(self, market: Market, signals: Signals, seen: Seen, arm: Arm, terms: Terms) -> None:
        self._equity: list[float] = []
        self._exposure: list[float] = []
        self._trades: list[Trade] = []
        self._decided: list[Decided] = []
        self._stops = 0
        self._account = Account(costs=terms.costs)
        self._market, self._signals, self._arm, self._terms = market, signals, arm, terms
        self._book = SeenBook(seen, mode=terms.mode, equity=1.0)
        self._orders: dict[str, _Order] = {}
        self._exits: dict[str, str] = {}
        self._open: dict[str, _Open] = {}
        self._asked = signals.any_side
        self._prices: dict[str, float] = {}
        self._shut = 0

    def run(self, first: int, last: int) -> "Simulation":
        """Let the bars from `first` to before `last` pass."""
        for bar in range(first, last):
            here = np.flatnonzero(np.isfinite(self._market.close[bar])).tolist()
            for column in here:
                self._fill(bar, column)
            self._charge(bar)
            for column in here:
                self._pass(bar, column)
            self._mark()
            for column in here:
                self._look(bar, column)
        return self

    @property
    def equity(self) -> float:
        """What the account is worth by now."""
        return self._equity[-1] if self._equity else 1.0

    @property
    def played(self) -> Played:
        """What has passed so far."""
        return Played(
            equity=np.array(self._equity),
            exposure=np.array(self._exposure),
            fills=self._account.fills,
            trades=self._trades,
            decided=self._decided,
            traded=self._account.traded,
            paid=self._account.paid,
            stops=self._stops,
        )

    def _fill(self, bar: int, column: int) -> None:
        """Fill what was ordered at the last close of the symbol."""
        symbol, price = self._market.symbols[column], float(self._market.open[bar, column])
        why = self._exits.pop(symbol, "")
        if why:
            self._settle(self._account.close(symbol, bar=bar, price=price, why=why))
        order = self._orders.pop(symbol, None)
        if order is not None:
            self._account.open(symbol, order.decided.side, order.value, order.margin, bar=bar, price=price)
            self._enter(symbol, order)

    def _enter(self, symbol: str, order: _Order) -> None:
        sizing = order.choices[1].action
        self._open[symbol] = _Open(order=order, equity=self._book.accounts[MAIN].equity)
        self._book.opened(
            Opened(
                id=_name(order.decided),
                symbol=symbol,
                confidence=order.confidence,
                size=float(sizing["size"]),
                leverage=float(sizing["leverage"]),
                volatility=order.volatility,
            )
        )

    def _charge(self, bar: int) -> None:
        """Pay interest on all that is held for the time since the last bar, whether a symbol has one now or not."""
        share = float(self._market.at[bar] - self._market.at[bar - 1]) / _YEAR_S if bar else 0.0
        for symbol, held in self._account.holdings.items():
            self._account.charge(symbol, self._prices.get(symbol, held.entry), share)

    def _pass(self, bar: int, column: int) -> None:
        """Let a bar pass over what is held: it is liquidated where its margin is used up inside the bar."""
        market, symbol = self._market, self._market.symbols[column]
        close = self._prices[symbol] = float(market.close[bar, column])
        if symbol not in self._account.holdings:
            return
        prices = (float(market.open[bar, column]), float(market.low[bar, column]), float(market.high[bar, column]))
        gone = self._account.liquidated(symbol, bar=bar, prices=prices)
        if gone is not None:
            self._settle(gone)
        else:
            self._account.holdings[symbol].mark(close)

    def _mark(self) -> None:
        worth = max(self._account.worth(self._prices), 0.0)
        self._equity.append(worth)
        value = sum(held.units * self._prices[symbol] for symbol, held in self._account.holdings.items())
        self._exposure.append(value / worth if worth > 0.0 else 0.0)
        self._book.mark(worth)
        self._reopen()

    def _reopen(self) -> None:
        """Count how long the account has been shut by its drawdown, and open it again when that was long enough."""
        account, terms = self._book.accounts[MAIN], self._terms
        if account.drawdown < MODES[terms.mode].drawdown:
            self._shut = 0
            return
        self._stops += self._shut == 0
        self._shut += 1
        if terms.resume_bars and self._shut > terms.resume_bars:
            account.peak, self._shut = account.equity, 0

    def _look(self, bar: int, column: int) -> None:
        """Decide at a close: whether what is held is to be closed, or what a signal is worth."""
        symbol = self._market.symbols[column]
        if symbol in self._account.holdings:
            why = self._why_close(bar, column, self._open[symbol].order)
            if why:
                self._exits[symbol] = why
        elif self._asked[bar, column] and self.equity > 0.0:
            self._consider(bar, column)

    def _why_close(self, bar: int, column: int, order: _Order) -> str:
        held, decided = self._account.holdings[self._market.symbols[column]], order.decided
        if held.side * (self._market.close[bar, column] / held.entry - 1.0) <= -order.stop:
            return "stop"
        if self._signals.sides[str(decided.meta["strategy"])][bar, column] != held.side:
            return "signal over"
        return "time" if bar - held.opened + 1 >= self._terms.hold_bars else ""

    def _consider(self, bar: int, column: int) -> None:
        """Ask the arm about a signal, and order what it wants."""
        symbol, at = self._market.symbols[column], float(self._market.at[bar])
        confidence = float(self._signals.confidence[bar, column])
        state = self._book.meta_state(symbol, confidence, at)
        meta = self._arm.choose(META, state)
        if meta is None:
            return
        side = self._signals.side(bar, column, meta.action)
        if not side:
            self._note(bar, symbol, state, meta.action, 0)
            if self._arm.learns:
                self._arm.settle(meta, self._nothing(symbol))
            return
        sizing_state = self._book.sizing_state(symbol, confidence, at)
        sizing = self._arm.choose(SIZING, sizing_state)
        decided = self._note(bar, symbol, state, meta.action, side, sizing_state, sizing)
        if sizing is not None:
            self._orders[symbol] = self._order(decided, (meta, sizing), confidence, at)

    def _order(self, decided: Decided, choices: tuple[Chosen, Chosen], confidence: float, at: float) -> _Order:
        seen, sizing = self._book.features(decided.symbol, at), choices[1].action
        margin = float(sizing["size"]) * UNIT_SHARE * self._equity[-1]
        return _Order(
            decided=decided,
            choices=choices,
            value=margin * float(sizing["leverage"]),
            margin=margin,
            stop=STOP_RANGES * seen.atr,
            volatility=seen.volatility,
            confidence=confidence,
        )

    def _note(
        self,
        bar: int,
        symbol: str,
        state: StateValues,
        meta: Action,
        side: int,
        sizing_state: StateValues | None = None,
        sizing: Chosen | None = None,
    ) -> Decided:
        decided = Decided(
            bar=bar,
            symbol=symbol,
            meta_state=state,
            meta=meta,
            side=side,
            sizing_state=sizing_state,
            sizing=None if sizing is None else sizing.action,
        )
        self._decided.append(decided)
        return decided

    def _nothing(self, symbol: str) -> dict[str, float]:
        """Return what a signal came to that no position was opened for."""
        past = sharpe(self._book.returns(symbol))
        return {"pnl_pct": 0.0, "max_drawdown_pct": 0.0, "sharpe": past, "alignment": 0.0}

    def _settle(self, gone: Exit) -> None:
        """Take a closed position off the book, and tell the arm what it came to."""
        entered = self._open.pop(gone.symbol)
        self._exits.pop(gone.symbol, None)
        pnl_pct = 100.0 * gone.pnl / entered.equity
        measured = self._book.closed(
            Closed(
                id=_name(entered.order.decided),
                move_pct=gone.move_pct,
                return_pct=gone.return_pct,
                pnl_pct=pnl_pct,
                max_drawdown_pct=gone.max_drawdown_pct,
            )
        )
        meta, sizing = entered.order.choices
        self._arm.settle(meta, measured.meta)
        self._arm.settle(sizing, measured.sizing)
        self._trades.append(Trade(decided=entered.order.decided, exit=gone, pnl_pct=pnl_pct))


def _name(decided: Decided) -> str:
    return f"{decided.symbol}@{decided.bar}"

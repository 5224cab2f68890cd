"""Messages: what a paper market says of signals, orders, trades and positions, as the events of the pack.

Their ids follow from the account, the symbol and the bar alone. So a series that is replayed again under the same account
says the same events again: they are answered as they were, and nothing counts twice.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal, cast

import msgspec
import numpy as np

from steersman.core.actions import Action
from steersman.core.events import Event, made
from steersman.packs.trading.backtest.broker import Exit
from steersman.packs.trading.backtest.data import Market
from steersman.packs.trading.backtest.signals import prices_of
from steersman.packs.trading.events import (
    AccountMode,
    Bars,
    Carried,
    OrderProposed,
    PositionClosed,
    SignalGenerated,
    Sized,
    TradeExecuted,
)
from steersman.packs.trading.market import WINDOW

SOURCE = "steersman trade paper"


class Tape:
    """The bars of each symbol as events bring them: the last 96 up to a time."""

    def __init__(self, market: Market) -> None:
        self._bars = {}
        for column, symbol in enumerate(market.symbols):
            rows, prices = prices_of(market, column)
            high, low = np.maximum(prices.high, prices.close), np.minimum(prices.low, prices.close)
            self._bars[symbol] = market.at[rows], np.column_stack([market.at[rows], high, low, prices.close])

    def bars(self, symbol: str, at: float) -> Bars:
        """Return closing time, high, low and close of the bars up to a time (unix s), that time included."""
        times, rows = self._bars[symbol]
        end = int(np.searchsorted(times, at, side="right"))
        return cast(Bars, rows[max(end - WINDOW, 0) : end].tolist())


@dataclass(frozen=True, kw_only=True)
class Asked:
    """A signal: on which bar of which symbol, and how sure it is. account: who follows it; mode: what that may risk."""

    account: str
    mode: str
    symbol: str
    bar: int
    column: int
    at: float
    confidence: float
    direction: int

    @property
    def position(self) -> str:
        """The name of the position, from its signal to its close."""
        return f"{self.account}/{self.symbol}/{datetime.fromtimestamp(self.at, UTC):%Y-%m-%dT%H:%M:%S}"

    @property
    def signal(self) -> str:
        """The id of the signal's event."""
        return f"{self.position}:signal"

    @property
    def order(self) -> str:
        """The id of the order's event."""
        return f"{self.position}:order"


class Messages:
    """Makes the events of a market. clock: when they happen is now, whatever the bars say: the series is live again."""

    def __init__(self, market: Market, clock: Callable[[], float] = time.time) -> None:
        self._tape = Tape(market)
        self._clock = clock

    def signal(self, asked: Asked) -> Event:
        """Return the event of a signal."""
        said = SignalGenerated(
            position=asked.position,
            direction=_direction(asked.direction),
            confidence=asked.confidence,
            bars=self._tape.bars(asked.symbol, asked.at),
            account_mode=cast(AccountMode, asked.mode),
        )
        return self._event("signal.generated", said, asked.signal, asked.symbol)

    def order(self, asked: Asked, side: int, *, exposure: float, drawdown: float) -> Event:
        """Return the event of an order whose size is to be decided."""
        said = OrderProposed(
            position=asked.position,
            signal=asked.signal,
            direction=_direction(side),
            confidence=asked.confidence,
            bars=self._tape.bars(asked.symbol, asked.at),
            account_mode=cast(AccountMode, asked.mode),
            exposure=exposure,
            drawdown=drawdown,
        )
        return self._event("order.proposed", said, asked.order, asked.symbol)

    def executed(self, asked: Asked, sizing: Action, price: float) -> Event:
        """Return the event of a trade: what was chosen was executed."""
        size = Sized(size=float(sizing["size"]), leverage=float(sizing["leverage"]))
        said = TradeExecuted(position=asked.position, order=asked.order, price=price, chosen=size, executed=size)
        return self._event("trade.executed", said, f"{asked.position}:executed", asked.symbol)

    def closed(self, asked: Asked, meta: Action, sizing: Action, gone: Exit, pnl_pct: float) -> Event:
        """Return the event of a position that is over."""
        said = PositionClosed(
            position=asked.position,
            signal=asked.signal,
            order=asked.order,
            move_pct=gone.move_pct,
            return_pct=gone.return_pct,
            pnl_pct=pnl_pct,
            max_drawdown_pct=gone.max_drawdown_pct,
            executed=Carried(
                strategy=str(meta["strategy"]),
                model=str(meta["model"]),
                weight=str(meta["weight"]),
                size=float(sizing["size"]),
                leverage=float(sizing["leverage"]),
            ),
            reason=gone.why,
        )
        return self._event("position.closed", said, f"{asked.position}:closed", asked.symbol)

    def _event(self, name: str, said: msgspec.Struct, id: str, symbol: str) -> Event:
        return made(name, said, id=id, at=self._clock(), source=SOURCE, subject=symbol)


def _direction(side: int) -> Literal[1, -1]:
    return 1 if side >= 0 else -1

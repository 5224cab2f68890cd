"""The book: what is known of symbols and accounts, from which the agents' states and measurements are made.

It is one place for backtests, paper trading and the bus. It knows what was added up to now, and nothing else. All of it but
the bars is relative (per cent, shares), so it can be told again from the log of decisions and outcomes.
"""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeVar

from steersman.core.errors import Conflict, InvalidInput, NotFound, nearest
from steersman.core.state import finite
from steersman.packs.trading.account import UNIT_SHARE, Account, check_mode, health, slope
from steersman.packs.trading.limits import DRAWDOWN_END
from steersman.packs.trading.market import Bar, Features, History
from steersman.packs.trading.rewards import TRADES, alignment, sharpe, win_rate

T = TypeVar("T")
MAIN = "main"
"""The account of whoever names none."""
KEPT = 10_000
"""Closed positions that are remembered, so that one that is told again is not counted again."""


@dataclass(frozen=True, kw_only=True)
class Opened:
    """A position as it was opened. What was executed counts, not what was proposed.

    exposure: margin in use over the equity, this position included; None: as the book has it. volatility: per bar.
    """

    id: str
    symbol: str
    confidence: float
    size: float
    leverage: float
    volatility: float
    account: str = MAIN
    exposure: float | None = None


@dataclass(frozen=True, kw_only=True)
class Closed:
    """A position as it was closed, in per cent.

    move_pct: of the price, in the direction of the position, without costs. return_pct: of the position after costs, without
    leverage. pnl_pct: of the account's equity when it was opened, after costs. max_drawdown_pct: the largest fall from the
    position's own peak while it was open, in the unit of return_pct.
    """

    id: str
    move_pct: float
    return_pct: float
    pnl_pct: float
    max_drawdown_pct: float

    def __post_init__(self) -> None:
        for name in ("move_pct", "return_pct", "pnl_pct", "max_drawdown_pct"):
            finite(getattr(self, name), name=name)


@dataclass(frozen=True, kw_only=True)
class Measured:
    """The measurements of a closed position, for each agent."""

    meta: dict[str, float]
    sizing: dict[str, float]


@dataclass(frozen=True, kw_only=True)
class _Entered:
    position: Opened
    exposure: float
    equity: float


class Book:
    """Symbols, accounts and open positions. Not safe to use from several threads at once."""

    def __init__(self, *, mode: str = "normal", equity: float = 100_000.0, risk_free_pct: float = 0.0) -> None:
        """Open a book with the account "main". risk_free_pct: what money earns without risk, in % for one trade."""
        self.accounts = {MAIN: Account(mode=mode, equity=equity)}
        self._risk_free_pct = risk_free_pct
        self._histories: dict[str, History] = {}
        self._trades: dict[str, deque[tuple[str, float]]] = {}
        self._open: dict[str, _Entered] = {}
        self._closed: dict[str, _Entered] = {}
        self._earned: dict[str, float] = {}

    def account(self, name: str, *, mode: str, equity: float = 100_000.0) -> Account:
        """Return an account in a mode; one that is new begins with an equity."""
        if name not in self.accounts:
            self.accounts[name] = Account(mode=mode, equity=equity)
        self.accounts[name].mode = check_mode(mode)
        return self.accounts[name]

    def add_bars(self, symbol: str, bars: Iterable[Bar]) -> None:
        """Add what a symbol did; bars that are known are passed over."""
        self._histories.setdefault(symbol, History()).add(bars)

    def mark(self, equity: float, account: str = MAIN) -> None:
        """Say what an account is worth now, open positions included. From then on closings add nothing to it."""
        self._account(account).mark(equity)

    def features(self, symbol: str, at: float) -> Features:
        """Return what the bars say up to a time (unix seconds)."""
        return self._histories.get(symbol, History()).features(at)

    def meta_state(
        self, symbol: str, confidence: float, at: float, *, account: str = MAIN, seen: Features | None = None
    ) -> dict[str, str | float]:
        """Return the state of trading/meta-strategy for a signal at a time (unix seconds).

        seen: what its market looks like; None: what the bars in the book say.
        """
        seen = seen or self.features(symbol, at)
        return {
            "regime": seen.regime,
            "volatility": seen.volatility,
            "pressure": seen.pressure,
            "confidence": confidence,
            "win_rate": win_rate(self.returns(symbol)),
            "account_health": health(self._account(account).drawdown),
        }

    def sizing_state(
        self,
        symbol: str,
        confidence: float,
        at: float,
        *,
        exposure: float | None = None,
        drawdown: float = 0.0,
        account: str = MAIN,
        seen: Features | None = None,
    ) -> dict[str, str | float]:
        """Return the state of trading/position-sizing for an order at a time.

        exposure: margin in use over the equity, before this position; None: as the book has it. drawdown: as somebody else
        has it; the larger one counts. seen: as above.
        """
        held, seen = self._account(account), seen or self.features(symbol, at)
        return {
            "confidence": confidence,
            "exposure": min(self.exposure(account) if exposure is None else exposure, 1.0),
            "win_rate": win_rate(self.returns(symbol)),
            "volatility": seen.volatility,
            "equity_slope": slope(held.curve),
            "account_mode": held.mode,
            "drawdown": min(max(held.drawdown, finite(drawdown, name="drawdown")), DRAWDOWN_END),
            "atr": min(seen.atr, 0.1),
        }

    def returns(self, symbol: str, before: str = "") -> list[float]:
        """Return the last 20 trades of a symbol, in % of the position, oldest first; those before a position, if named."""
        found: list[float] = []
        for name, earned in self._trades.get(symbol, ()):
            if name == before:
                break
            found.append(earned)
        return found[-TRADES:]

    def exposure(self, account: str = MAIN, *, without: str = "") -> float:
        """Return the margin of an account's open positions, as a share of its equity; `without` one of them, if named."""
        held = [each.position for name, each in self._open.items() if name != without]
        return UNIT_SHARE * sum(each.size for each in held if each.account == account)

    def opened(self, position: Opened) -> None:
        """Enter a position; while it is open, the last word counts. Raises Conflict for one that was closed."""
        if position.id in self._closed:
            raise Conflict(f"position {position.id!r} was closed. Give each position a name of its own.")
        exposure = position.exposure
        if exposure is None:
            exposure = self.exposure(position.account, without=position.id) + position.size * UNIT_SHARE
        before = self._open.get(position.id)
        equity = self._account(position.account).equity if before is None else before.equity
        self._open[position.id] = _Entered(position=position, exposure=exposure, equity=equity)

    def closed(self, position: Closed) -> Measured:
        """Take a position off, and return what the agents earn by it: the same when it is told again, and counted once.

        The Sharpe ratio is that of the trades before this one. Raises NotFound for a position that was never opened.
        """
        entered = self._entered(position.id)
        self.traded(position.id, entered.position.symbol, position.return_pct)
        self.earned(position.id, position.pnl_pct)
        self.released(position.id)
        return self._measured(entered, position)

    def traded(self, name: str, symbol: str, return_pct: float) -> None:
        """Count what a position made of itself among the trades of its symbol; told again, the last word counts."""
        trades = self._trades.setdefault(symbol, deque(maxlen=2 * TRADES))
        place = next((index for index, (each, _) in enumerate(trades) if each == name), None)
        if place is None:
            trades.append((name, return_pct))
        else:
            trades[place] = (name, return_pct)

    def earned(self, name: str, pnl_pct: float) -> None:
        """Add to its account what a position made of the equity that was there when it was opened; told again, as above."""
        entered, before = self._entered(name), self._earned.get(name, 0.0)
        if name not in self._earned or pnl_pct != before:
            self._account(entered.position.account).book(entered.equity * (pnl_pct - before) / 100.0)
            keep(self._earned, name, pnl_pct)

    def released(self, name: str) -> None:
        """Take a position off the open ones, whatever came of it."""
        if name in self._open:
            keep(self._closed, name, self._open.pop(name))

    def __contains__(self, name: str) -> bool:
        return name in self._open or name in self._closed

    def was_closed(self, name: str) -> bool:
        """Return whether a position was closed, as far back as is remembered."""
        return name in self._closed

    def _entered(self, name: str) -> _Entered:
        found = self._open.get(name) or self._closed.get(name)
        if found is None:
            raise NotFound(f"no position {name!r} is in the book.{nearest(name, self._open)}")
        return found

    def _measured(self, entered: _Entered, closed: Closed) -> Measured:
        opened = entered.position
        return Measured(
            meta={
                "pnl_pct": closed.return_pct,
                "max_drawdown_pct": closed.max_drawdown_pct,
                "sharpe": sharpe(self.returns(opened.symbol, closed.id), self._risk_free_pct),
                "alignment": alignment(opened.confidence, closed.move_pct > 0.0),
            },
            sizing={
                "pnl_pct": closed.pnl_pct,
                "leverage": opened.leverage,
                "exposure": entered.exposure,
                "volatility": opened.volatility,
            },
        )

    def _account(self, name: str) -> Account:
        if name not in self.accounts:
            raise InvalidInput(f"no account {name!r}.{nearest(name, self.accounts)}")
        return self.accounts[name]


def keep(kept: dict[str, T], name: str, value: T) -> None:
    """Remember a value, and forget the oldest one where there are too many."""
    kept[name] = value
    if len(kept) > KEPT:
        del kept[next(iter(kept))]

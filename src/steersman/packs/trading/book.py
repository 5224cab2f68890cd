"""The book: what is known of symbols and accounts, from which the agents' states and measurements are made.

It is one place for backtests, paper trading and the bus. It knows what was added up to now, and nothing else.
"""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

from steersman.core.errors import Conflict, InvalidInput, NotFound, nearest
from steersman.core.state import finite
from steersman.packs.trading.account import UNIT_SHARE, Account, health, slope
from steersman.packs.trading.limits import DRAWDOWN_END
from steersman.packs.trading.market import Bar, Features, History
from steersman.packs.trading.rewards import TRADES, alignment, sharpe, win_rate

MAIN = "main"
"""The account of whoever names none."""
_SETTLED = 10_000
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
class _Open:
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
        self._returns: dict[str, deque[float]] = {}
        self._open: dict[str, _Open] = {}
        self._settled: dict[str, Measured] = {}

    def add_account(self, name: str, *, mode: str, equity: float) -> None:
        """Add an account. Raises Conflict where it is there."""
        if name in self.accounts:
            raise Conflict(f"account {name!r} is there already.")
        self.accounts[name] = Account(mode=mode, equity=equity)

    def add_bars(self, symbol: str, bars: Iterable[Bar]) -> None:
        """Add what a symbol did; bars that are known are passed over."""
        self._histories.setdefault(symbol, History()).add(bars)

    def mark(self, equity: float, account: str = MAIN) -> None:
        """Say what an account is worth now, open positions included. From then on closings add nothing to it."""
        self._account(account).mark(equity)

    def features(self, symbol: str, at: float) -> Features:
        """Return what the bars say up to a time (unix seconds). Raises InvalidInput where a later one is there."""
        return self._histories.get(symbol, History()).features(at)

    def meta_state(self, symbol: str, confidence: float, at: float, *, account: str = MAIN) -> dict[str, str | float]:
        """Return the state of trading/meta-strategy for a signal at a time (unix seconds)."""
        seen = self.features(symbol, at)
        return {
            "regime": seen.regime,
            "volatility": seen.volatility,
            "pressure": seen.pressure,
            "confidence": confidence,
            "win_rate": win_rate(self.returns(symbol)),
            "account_health": health(self._account(account).drawdown),
        }

    def sizing_state(
        self, symbol: str, confidence: float, at: float, *, exposure: float | None = None, account: str = MAIN
    ) -> dict[str, str | float]:
        """Return the state of trading/position-sizing for an order at a time.

        exposure: margin in use over the equity, before this position; None: as the book has it.
        """
        held, seen = self._account(account), self.features(symbol, at)
        return {
            "confidence": confidence,
            "exposure": min(self.exposure(account) if exposure is None else exposure, 1.0),
            "win_rate": win_rate(self.returns(symbol)),
            "volatility": seen.volatility,
            "equity_slope": slope(held.curve),
            "account_mode": held.mode,
            "drawdown": min(held.drawdown, DRAWDOWN_END),
            "atr": min(seen.atr, 0.1),
        }

    def returns(self, symbol: str) -> list[float]:
        """Return the last 20 trades of a symbol, in % of the position, oldest first."""
        return list(self._returns.get(symbol, ()))

    def exposure(self, account: str = MAIN) -> float:
        """Return the margin of an account's open positions, as a share of its equity."""
        sizes = sum(each.position.size for each in self._open.values() if each.position.account == account)
        return sizes * UNIT_SHARE

    def opened(self, position: Opened) -> None:
        """Enter a position. Raises Conflict where one of that id is, or was, there."""
        if position.id in self._open or position.id in self._settled:
            raise Conflict(f"position {position.id!r} is in the book already.")
        held = self._account(position.account)
        exposure = self.exposure(position.account) + position.size * UNIT_SHARE
        if position.exposure is not None:
            exposure = position.exposure
        self._open[position.id] = _Open(position=position, exposure=exposure, equity=held.equity)

    def closed(self, position: Closed) -> Measured:
        """Take a position off, and return what the agents earn by it: once, and the same when it is told again.

        The Sharpe ratio is that of the trades before this one. Raises NotFound for a position that was never opened.
        """
        if position.id in self._settled:
            return self._settled[position.id]
        if position.id not in self._open:
            raise NotFound(f"no position {position.id!r} is open.{nearest(position.id, self._open)}")
        found = self._open.pop(position.id)
        measured = self._measured(found, position)
        self._returns.setdefault(found.position.symbol, deque(maxlen=TRADES)).append(position.return_pct)
        self._account(found.position.account).book(found.equity * position.pnl_pct / 100.0)
        self._settle(position.id, measured)
        return measured

    def _measured(self, found: _Open, closed: Closed) -> Measured:
        entered = found.position
        return Measured(
            meta={
                "pnl_pct": closed.return_pct,
                "max_drawdown_pct": closed.max_drawdown_pct,
                "sharpe": sharpe(self.returns(entered.symbol), self._risk_free_pct),
                "alignment": alignment(entered.confidence, closed.move_pct > 0.0),
            },
            sizing={
                "pnl_pct": closed.pnl_pct,
                "leverage": entered.leverage,
                "exposure": found.exposure,
                "volatility": entered.volatility,
            },
        )

    def _settle(self, name: str, measured: Measured) -> None:
        self._settled[name] = measured
        if len(self._settled) > _SETTLED:
            del self._settled[next(iter(self._settled))]

    def _account(self, name: str) -> Account:
        if name not in self.accounts:
            raise InvalidInput(f"no account {name!r}.{nearest(name, self.accounts)}")
        return self.accounts[name]

"""The desk: from events on a bus to the agents' states and measurements, by a book that the log can tell again."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

import msgspec

from steersman.core.errors import InvalidInput, NotFound
from steersman.core.events import Event
from steersman.core.values import Decision, Outcome
from steersman.packs.trading.account import UNIT_SHARE
from steersman.packs.trading.book import Book, Closed, Opened, keep
from steersman.packs.trading.events import (
    Bars,
    OrderProposed,
    PositionClosed,
    SignalGenerated,
    TradeExecuted,
    mismatch,
)
from steersman.packs.trading.market import WINDOW, Bar, Features, History

META, SIZING = "trading/meta-strategy", "trading/position-sizing"


class Desk:
    """The `Prepare` of the trading pack's routes.

    Signals and orders bring the bars that they rest on, and so mean the same before and after a restart. Trades, win rates,
    equity and drawdown come from positions that were closed, and are told again by the log.
    """

    def __init__(self) -> None:
        self._book = Book(equity=1.0)
        self._asked: dict[str, Opened] = {}

    def __call__(self, event: Event, agent: str) -> Mapping[str, Any]:
        """Return a state or measurements, or, of an executed trade, the data of a mismatch. Raises InvalidInput."""
        try:
            return _DO[event.type](self, event)[agent]
        except KeyError as error:
            raise InvalidInput(f"event {event.id!r}: {event.type} means nothing to {agent or 'the book'}.") from error
        except (NotFound, msgspec.ValidationError) as error:
            raise InvalidInput(f"event {event.id!r} ({event.type}): {error}") from error

    def restore(self, rows: Iterable[Decision | Outcome]) -> None:
        """Tell the book what the log holds, in log order.

        A position that was sized and has no outcome counts as open, whether its trade was executed or not.
        """
        made: dict[str, tuple[str, str]] = {}
        for row in rows:
            if isinstance(row, Decision):
                made[row.id] = (row.episode, row.subject)
                self._decided(row)
            elif row.decision_id in made:
                self._came_out(row, *made[row.decision_id])

    def _decided(self, row: Decision) -> None:
        """Enter a position as it was sized."""
        if row.agent == SIZING and row.arm != "safe":
            self._account(row.episode, str(row.state["account_mode"]))
            self._ask(row.episode, row.subject, row.state)
            self._open(row.episode, float(row.executed["size"]), float(row.executed["leverage"]))

    def _came_out(self, row: Outcome, position: str, symbol: str) -> None:
        """Count an outcome, and of its revisions the last one; one that expired or was withdrawn counts as nothing."""
        pnl_pct = row.measurements.get("pnl_pct")
        if row.agent == META and pnl_pct is not None:
            self._book.traded(position, symbol, pnl_pct)
        elif row.agent == SIZING and position in self._book:
            self._book.earned(position, pnl_pct or 0.0)
            self._book.released(position)

    def _signal(self, event: Event) -> dict[str, dict[str, Any]]:
        said = msgspec.convert(event.data, SignalGenerated)
        account = self._account(said.position, said.account_mode)
        state = self._book.meta_state(
            event.subject, said.confidence, event.at, account=account, seen=_features(said.bars, event.at)
        )
        return {META: state}

    def _order(self, event: Event) -> dict[str, dict[str, Any]]:
        said = msgspec.convert(event.data, OrderProposed)
        account = self._account(said.position, said.account_mode)
        state = self._book.sizing_state(
            event.subject,
            said.confidence,
            event.at,
            exposure=said.exposure,
            drawdown=said.drawdown,
            account=account,
            seen=_features(said.bars, event.at),
        )
        self._ask(said.position, event.subject, state)
        return {SIZING: state}

    def _executed(self, event: Event) -> dict[str, dict[str, Any]]:
        said = msgspec.convert(event.data, TradeExecuted)
        self._open(said.position, said.executed.size, said.executed.leverage)
        return {"": mismatch(said)}

    def _closed(self, event: Event) -> dict[str, dict[str, Any]]:
        said = msgspec.convert(event.data, PositionClosed)
        self._open(said.position, said.executed.size, said.executed.leverage)
        measured = self._book.closed(
            Closed(
                id=said.position,
                move_pct=said.move_pct,
                return_pct=said.return_pct,
                pnl_pct=said.pnl_pct,
                max_drawdown_pct=said.max_drawdown_pct,
            )
        )
        return {META: measured.meta, SIZING: measured.sizing}

    def _account(self, position: str, mode: str) -> str:
        name = position.partition("/")[0]
        self._book.account(name, mode=mode, equity=1.0)
        return name

    def _ask(self, position: str, symbol: str, state: Mapping[str, Any]) -> None:
        """Keep what an order was asked with, until its trade is executed."""
        asked = Opened(
            id=position,
            symbol=symbol,
            account=position.partition("/")[0],
            confidence=state["confidence"],
            size=0.0,
            leverage=1.0,
            volatility=state["volatility"],
            exposure=state["exposure"],
        )
        keep(self._asked, position, asked)

    def _open(self, position: str, size: float, leverage: float) -> None:
        """Enter a position as it was executed. What was closed stays closed."""
        asked = self._asked.get(position)
        if asked is not None and not self._book.was_closed(position):
            exposure = (asked.exposure or 0.0) + size * UNIT_SHARE
            self._book.opened(replace(asked, size=size, leverage=leverage, exposure=exposure))


def _features(bars: Bars, at: float) -> Features:
    """Return what the bars of an event say, of those up to its own time."""
    history = History()
    history.add(Bar(at=closed_at, high=high, low=low, close=close) for closed_at, high, low, close in bars[-WINDOW:])
    return history.features(at)


_DO: Mapping[str, Callable[[Desk, Event], Mapping[str, Mapping[str, Any]]]] = {
    "signal.generated": Desk._signal,
    "order.proposed": Desk._order,
    "trade.executed": Desk._executed,
    "position.closed": Desk._closed,
}

"""The events of the trading pack: what signals, orders and positions look like on a bus.

The subject of each is the symbol. One position has one name from its signal to its close, such as "main/AAPL/2026-01-05":
what stands before the first "/" is the account.
"""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

Share = Annotated[float, Meta(ge=0.0, le=1.0)]
Position = Annotated[str, Meta(pattern=r"^[^/]+/.+$", max_length=300)]
Bars = Annotated[list[tuple[float, float, float, float]], Meta(max_length=500)]
"""Closing time (unix seconds), high, low and close of each bar, oldest first; 96 are looked at, and 21 needed."""
AccountMode = Literal["aggressive-small", "normal", "defensive"]


class SignalGenerated(msgspec.Struct, frozen=True, kw_only=True):
    """Something says that a symbol will rise (direction 1) or fall (-1). bars: of the symbol, up to now."""

    position: Position
    direction: Literal[1, -1]
    confidence: Share
    bars: Bars
    account_mode: AccountMode = "normal"


class StrategyChosen(msgspec.Struct, frozen=True, kw_only=True):
    """How the signal is followed. Nothing is opened where the arm is "safe". reason: as the decision has it."""

    decision_id: str
    position: str
    signal: str
    strategy: str
    model: str
    weight: str
    arm: str
    mode: str
    reason: str = ""


class OrderProposed(msgspec.Struct, frozen=True, kw_only=True):
    """A position is to be opened; its size is not decided yet. signal: id of the event that it follows.

    exposure: margin in use over the equity, before this position; None: of the open positions that the bus told of.
    drawdown: of the account, open positions included; what the closed ones say counts where it is more.
    """

    position: Position
    signal: str
    direction: Literal[1, -1]
    confidence: Share
    bars: Bars
    account_mode: AccountMode = "normal"
    exposure: Annotated[float, Meta(ge=0.0)] | None = None
    drawdown: Share = 0.0


class SizeChosen(msgspec.Struct, frozen=True, kw_only=True):
    """How large the position is. Nothing is opened where the arm is "safe". reason: as the decision has it."""

    decision_id: str
    position: str
    order: str
    size: float
    leverage: float
    arm: str
    mode: str
    reason: str = ""


class Sized(msgspec.Struct, frozen=True, kw_only=True):
    """A size and a leverage."""

    size: float
    leverage: float


class Carried(msgspec.Struct, frozen=True, kw_only=True):
    """What was carried out, whatever was proposed: one choice for each dimension of both agents."""

    strategy: str
    model: str
    weight: str
    size: float
    leverage: float


class TradeExecuted(msgspec.Struct, frozen=True, kw_only=True):
    """A position was opened: what was chosen, and what was executed."""

    position: Position
    order: str
    price: Annotated[float, Meta(gt=0.0)]
    chosen: Sized
    executed: Sized


class ExecutionMismatch(msgspec.Struct, frozen=True, kw_only=True):
    """What was executed is not what was chosen; learning goes by what was executed."""

    position: str
    chosen: Sized
    executed: Sized


class PositionClosed(msgspec.Struct, frozen=True, kw_only=True):
    """A position is over. Per cent as in `book.Closed`; signal, order: ids of the events that its decisions were made on."""

    position: Position
    signal: str
    order: str
    move_pct: float
    return_pct: float
    pnl_pct: float
    max_drawdown_pct: Annotated[float, Meta(ge=0.0)]
    executed: Carried
    reason: str = ""


def mismatch(executed: TradeExecuted) -> dict[str, Any]:
    """Return the data of an execution mismatch; nothing where what was chosen was executed."""
    if executed.chosen == executed.executed:
        return {}
    found = ExecutionMismatch(position=executed.position, chosen=executed.chosen, executed=executed.executed)
    data: dict[str, Any] = msgspec.to_builtins(found)
    return data

"""An account on paper: its equity and peak, what it has lost of that, and how much its mode lets it risk."""

from collections import deque
from dataclasses import dataclass, field

import numpy as np

from steersman.core.errors import InvalidInput, nearest
from steersman.core.state import finite

POINTS = 30
"""Points of the equity curve that its slope looks back on."""
UNIT_SHARE = 0.1
"""Margin of a position of size 1, as a share of the equity."""


@dataclass(frozen=True, kw_only=True)
class Mode:
    """How much an account may risk.

    risk: share of the equity lost at a stop. drawdown: share of the peak, from which on nothing is opened.
    """

    leverage: float
    risk: float
    drawdown: float


MODES = {
    "aggressive-small": Mode(leverage=7.0, risk=0.03, drawdown=0.06),
    "normal": Mode(leverage=5.0, risk=0.015, drawdown=0.05),
    "defensive": Mode(leverage=3.0, risk=0.0075, drawdown=0.03),
}


def check_mode(name: str) -> str:
    """Return the name of a mode. Raises InvalidInput for an unknown one."""
    if name not in MODES:
        raise InvalidInput(f"account mode {name!r} is none.{nearest(name, MODES)}")
    return name


def health(drawdown: float) -> float:
    """Return 1.0 below a drawdown of 5 %, 0.8 below 10 %, 0.6 below 20 %, else 0.4."""
    return next((value for limit, value in ((0.05, 1.0), (0.10, 0.8), (0.20, 0.6)) if drawdown < limit), 0.4)


def slope(points: np.typing.ArrayLike) -> float:
    """Return the least-squares slope of the last 30 points over their mean, per point; 0 where there are fewer."""
    last = np.asarray(points, dtype=np.float64)[-POINTS:]
    if len(last) < POINTS or last.mean() <= 0.0:
        return 0.0
    steps = np.arange(POINTS) - (POINTS - 1) / 2.0
    return float(steps @ last / (steps @ steps) / last.mean())


@dataclass(kw_only=True)
class Account:
    """Equity as it moves.

    marked: somebody values the account, open positions included; closings then add nothing.
    """

    mode: str
    equity: float
    marked: bool = False
    peak: float = 0.0
    curve: deque[float] = field(default_factory=lambda: deque(maxlen=POINTS))

    def __post_init__(self) -> None:
        check_mode(self.mode)
        if finite(self.equity, name="equity") <= 0.0:
            raise InvalidInput(f"equity {self.equity}: an account begins with more than nothing.")
        self._note(self.equity)

    @property
    def drawdown(self) -> float:
        """What is lost of the peak, as a share in [0, 1]."""
        return min((self.peak - self.equity) / self.peak, 1.0)

    def mark(self, equity: float) -> None:
        """Set the equity to what the account is worth now."""
        self._note(finite(equity, name="equity"))
        self.marked = True

    def book(self, profit: float) -> None:
        """Add the profit of a closed position, unless somebody marks the account."""
        if not self.marked:
            self._note(self.equity + finite(profit, name="profit"))

    def _note(self, equity: float) -> None:
        self.equity, self.peak = equity, max(self.peak, equity)
        self.curve.append(equity)

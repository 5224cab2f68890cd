"""What is seen of a market: bars up to now, and the features that the agents decide by, computed in this one place."""

import math
from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np

from steersman.core.errors import InvalidInput
from steersman.core.state import finite
from steersman.packs.trading.regime import SPAN, Floats, regimes

WINDOW = 96
"""Bars that are looked back on; what was before does not count, so that a restart sees what everybody saw."""
LEAST = SPAN + 1
"""Bars below which nothing can be said."""
_RETURNS = 14
_PRESSURE = 5


@dataclass(frozen=True, kw_only=True, slots=True)
class Bar:
    """One bar of a symbol. at: when it closed, unix seconds."""

    at: float
    high: float
    low: float
    close: float

    def __post_init__(self) -> None:
        if not (0.0 < self.low <= self.close <= self.high < math.inf and math.isfinite(self.at)):
            raise InvalidInput(f"{self}: a bar needs finite prices with 0 < low ≤ close ≤ high.")


@dataclass(frozen=True, kw_only=True)
class Features:
    """What the last 96 bars say. With fewer than 21 the regime is unknown and the range is 0: not measured.

    volatility: σ of the last 14 returns, per bar. pressure: tanh(20·r) with r the return over the last four bars. atr: mean
    of the last 14 true ranges over the last close.
    """

    regime: str = "unknown"
    volatility: float = 0.0
    pressure: float = 0.0
    atr: float = 0.0


def features(bars: Floats) -> Features:
    """Return the features of bars, shape (bars, 3): high, low and close, oldest first. It sees nothing but them."""
    if len(bars) < LEAST:
        return Features()
    high, low, close = bars[-WINDOW:].T
    returns = np.diff(close[-_RETURNS - 1 :]) / close[-_RETURNS - 1 : -1]
    return Features(
        regime=regimes(high, low, close)[-1],
        volatility=float(returns.std(ddof=1)),
        pressure=math.tanh(20.0 * float(close[-1] - close[-_PRESSURE]) / float(close[-_PRESSURE])),
        atr=float(_true_ranges(high, low, close).mean() / close[-1]),
    )


def _true_ranges(high: Floats, low: Floats, close: Floats) -> Floats:
    """Return the last 14 true ranges: from the lower of low and last close to the higher of high and last close."""
    before = close[-_RETURNS - 1 : -1]
    ranges: Floats = np.maximum(high[-_RETURNS:], before) - np.minimum(low[-_RETURNS:], before)
    return ranges


@dataclass(kw_only=True)
class History:
    """The last bars of one symbol."""

    bars: list[Bar] = field(default_factory=list)
    _last: tuple[Bar, Features] | None = field(default=None, repr=False)

    def add(self, bars: Iterable[Bar]) -> None:
        """Append the bars that are newer than what is there; others are known already. Raises InvalidInput out of order."""
        known = self.bars[-1].at if self.bars else -math.inf
        new = [each for each in bars if each.at > known]
        if any(later.at <= earlier.at for earlier, later in pairwise(new)):
            raise InvalidInput("bars must come in the order of their times.")
        self.bars.extend(new)
        if len(self.bars) > 2 * WINDOW:
            del self.bars[:-WINDOW]

    def features(self, at: float) -> Features:
        """Return the features as of a time (unix seconds): of later bars nothing is seen."""
        known = bisect_right(self.bars, finite(at, name="at"), key=lambda bar: bar.at)
        seen = self.bars[max(known - WINDOW, 0) : known]
        if not seen:
            return Features()
        if self._last is None or self._last[0] is not seen[-1]:  # both agents ask about the same bar
            self._last = (seen[-1], features(np.array([(each.high, each.low, each.close) for each in seen])))
        return self._last[1]

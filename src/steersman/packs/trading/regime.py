"""Which regime a market is in: trend, breakout or range, by efficiency ratio and Donchian channel, with hysteresis.

A label is entered by one threshold and left by another, lower one, so that it does not flap. It is a function of the bars
alone, each label by the bars up to its own.
"""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
REGIMES = ("range", "breakout", "trend", "unknown")
SPAN = 20
"""Bars of the efficiency ratio, and of the channel."""
TREND_IN, TREND_OUT = 0.5, 0.3
"""Efficiency ratios from which on a trend is one, and below which it is over; that of a random walk is about 0.22."""


def efficiency_ratio(close: Floats) -> Floats:
    """Return |net move| over the sum of all moves in the last 20 bars, for each close from the 21st on; 0 for a flat line.

    Kaufman, Smarter Trading (1995). 1 for a line that only rises, whatever its slope.
    """
    walked = np.concatenate(([0.0], np.cumsum(np.abs(np.diff(close)))))
    net, path = np.abs(close[SPAN:] - close[:-SPAN]), walked[SPAN:] - walked[:-SPAN]
    ratio: Floats = np.divide(net, path, out=np.zeros_like(net), where=path > 0.0)
    return ratio


def channel(high: Floats, low: Floats) -> tuple[Floats, Floats]:
    """Return the highest high and the lowest low of the 20 bars before each bar, from the 21st on (Donchian)."""
    return _sliding(np.maximum, high[:-1]), _sliding(np.minimum, low[:-1])


def _sliding(pick: np.ufunc, values: Floats) -> Floats:
    """Return what `pick` picks of each 20 values in a row, by picking of two shorter stretches until they are as long."""
    width = 1
    while width < SPAN:
        step = min(width, SPAN - width)
        values, width = pick(values[:-step], values[step:]), width + step
    return values


def regimes(high: Floats, low: Floats, close: Floats) -> list[str]:
    """Return the label of each bar, the first 20 of them "unknown".

    A trend needs an efficiency ratio of 0.5, and lasts until it is below 0.3. Outside a trend, a close beyond the channel
    is a breakout, which lasts until a close has come back over the middle of the channel. All else is range.
    """
    if len(close) <= SPAN:
        return ["unknown"] * len(close)
    upper, lower = channel(high, low)
    found, label, side = ["unknown"] * SPAN, "range", 0
    rows = zip(efficiency_ratio(close).tolist(), close[SPAN:].tolist(), upper.tolist(), lower.tolist(), strict=True)
    for ratio, price, top, bottom in rows:
        beyond = (price > top) - (price < bottom)
        if ratio >= (TREND_OUT if label == "trend" else TREND_IN):
            label = "trend"
        elif beyond:
            label, side = "breakout", beyond
        elif label != "breakout" or (price - (top + bottom) / 2.0) * side < 0.0:
            label = "range"
        found.append(label)
    return found

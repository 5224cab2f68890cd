"""Signals: what four plain rules say at each close, what models expect, and how far all of them agree.

Everything at bar t is a function of bars up to t. Rules: a crossing of moving averages that momentum confirms (trend), the
edges of a quiet channel (range), Donchian's breakout (breakout), and the z-score of the price (mean reversion).
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from steersman.core.actions import Action
from steersman.packs.trading.backtest.data import Market

Floats = NDArray[np.float64]
Sides = NDArray[np.int8]

FAST, SLOW, SPAN = 10, 40, 20
_EDGE, _FAR = 0.15, 1.5
WEIGHTS = {"down": 0.25, "hold": 0.5, "up": 0.75}
_CONSENT, _SURE = 0.25, 0.1
"""How far from ½ a forecast must lie to count as one full vote."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Prices:
    """The bars of one symbol: (n,) each."""

    open: Floats
    high: Floats
    low: Floats
    close: Floats


@dataclass(frozen=True, kw_only=True, eq=False)
class Signals:
    """What is said at each time (t) of each symbol (s).

    sides: by strategy, 1 to buy, −1 to sell, 0 for nothing, each (t, s). forecasts: by model, the probability that the price
    rises, (t, s), NaN where there is none. confidence: how many of all votes agree, in [0, 1], (t, s).
    """

    sides: Mapping[str, Sides] = field(repr=False)
    forecasts: Mapping[str, Floats] = field(repr=False)
    confidence: Floats = field(repr=False)

    @cached_property
    def any_side(self) -> NDArray[np.bool_]:
        """Where any strategy has something to say, (t, s)."""
        return np.asarray(np.any([each != 0 for each in self.sides.values()], axis=0))

    def side(self, bar: int, column: int, action: Action) -> int:
        """Return which side a choice of strategy, model and weight takes; 0 for none.

        The model's weight is ¼ (down), ½ (hold) or ¾ (up). The strategy's side is taken where the weighted vote of both, in
        [−1, 1], is more than ¼ for it: down leaves it to the strategy, hold lets the model object, up needs its consent.
        """
        side = int(self.sides[str(action["strategy"])][bar, column])
        chance = float(self.forecasts[str(action["model"])][bar, column])
        if not side or math.isnan(chance):
            return side
        weight, model = WEIGHTS[str(action["weight"])], min(max((chance - 0.5) / _SURE, -1.0), 1.0)
        return side if (1.0 - weight) + weight * model * side > _CONSENT else 0


def trend(prices: Prices) -> Sides:
    """Return the side of the fast average of closes over the slow one, where the last 20 bars went the same way."""
    crossing = np.sign(_mean(prices.close, FAST) - _mean(prices.close, SLOW))
    momentum = np.sign(prices.close - _before(prices.close, SPAN))
    return _sides(np.where(crossing == momentum, crossing, 0.0))


def channel_edges(prices: Prices) -> Sides:
    """Return 1 near the lower edge of the channel of the 20 bars before, −1 near the upper one, 0 between and outside."""
    place = channel_place(prices)
    inside = (place >= 0.0) & (place <= 1.0)
    return _sides(np.where(inside & (place < _EDGE), 1.0, np.where(inside & (place > 1.0 - _EDGE), -1.0, 0.0)))


def breakout(prices: Prices) -> Sides:
    """Return the side on which a close left the channel of 20 bars (Donchian), until one is back over its middle."""
    place = channel_place(prices)
    enter = np.where(place > 1.0, 1.0, np.where(place < 0.0, -1.0, 0.0))
    return _held(enter, np.sign(place - 0.5))


def mean_reversion(prices: Prices) -> Sides:
    """Return 1 from 1.5 σ below the mean of 20 closes on until the mean is reached, −1 above it."""
    score = z_score(prices)
    enter = np.where(score < -_FAR, 1.0, np.where(score > _FAR, -1.0, 0.0))
    return _held(enter, -np.sign(score))


STRATEGIES: dict[str, Callable[[Prices], Sides]] = {
    "trend": trend,
    "range": channel_edges,
    "breakout": breakout,
    "mean-reversion": mean_reversion,
}


def signals(
    market: Market, forecasts: Mapping[str, Floats], strategies: Mapping[str, Callable[[Prices], Sides]] = STRATEGIES
) -> Signals:
    """Return the signals of all symbols, each from its own bars; forecasts come from `boosters`."""
    sides = {name: np.zeros(market.close.shape, dtype=np.int8) for name in strategies}
    for column in range(len(market.symbols)):
        rows, prices = prices_of(market, column)
        for name, rule in strategies.items():
            sides[name][rows, column] = rule(prices)
    votes = [each.astype(np.float64) for each in sides.values()]
    votes += [np.clip((np.nan_to_num(each, nan=0.5) - 0.5) / _SURE, -1.0, 1.0) for each in forecasts.values()]
    up = np.sum([np.maximum(each, 0.0) for each in votes], axis=0)
    down = np.sum([np.maximum(-each, 0.0) for each in votes], axis=0)
    return Signals(sides=sides, forecasts=forecasts, confidence=np.asarray(np.maximum(up, down) / len(votes)))


def prices_of(market: Market, column: int) -> tuple[NDArray[np.intp], Prices]:
    """Return where a symbol has bars, and the bars."""
    rows = np.flatnonzero(np.isfinite(market.close[:, column]))
    return rows, Prices(
        open=market.open[rows, column],
        high=market.high[rows, column],
        low=market.low[rows, column],
        close=market.close[rows, column],
    )


def channel_place(prices: Prices) -> Floats:
    """Return where a close lies between lowest low (0) and highest high (1) of the 20 bars before; NaN for the first."""
    top, bottom = _before(_rolling(prices.high, SPAN, np.max), 1), _before(_rolling(prices.low, SPAN, np.min), 1)
    place = np.full(len(top), np.nan)
    np.divide(prices.close - bottom, top - bottom, out=place, where=top > bottom)
    return place


def z_score(prices: Prices) -> Floats:
    """Return how many σ a close lies above the mean of the last 20, itself included; 0 where they are all equal."""
    spread = _rolling(prices.close, SPAN, np.std)
    above = prices.close - _mean(prices.close, SPAN)
    return np.divide(above, spread, out=np.zeros(len(above)), where=spread > 1e-9 * prices.close)


def _rolling(values: Floats, span: int, what: Callable[..., Floats]) -> Floats:
    """Return a figure of the last `span` values at each place, NaN where there are fewer."""
    found = np.full(len(values), np.nan)
    if len(values) >= span:
        found[span - 1 :] = what(sliding_window_view(values, span), axis=1)
    return found


def _mean(values: Floats, span: int) -> Floats:
    return _rolling(values, span, np.mean)


def _before(values: Floats, steps: int) -> Floats:
    """Return what a value was `steps` places before, NaN for the first ones."""
    return np.concatenate([np.full(min(steps, len(values)), np.nan), values[: max(len(values) - steps, 0)]])


def _held(enter: Floats, stays: Floats) -> Sides:
    """Return the side that was last entered, for as long as `stays` has not turned against it, or come to 0."""
    found, side = np.zeros(len(enter), dtype=np.int8), 0
    for place, (begin, on) in enumerate(zip(enter.tolist(), stays.tolist(), strict=True)):
        if begin:
            side = int(begin)
        elif on != side:
            side = 0
        found[place] = side
    return found


def _sides(values: Floats) -> Sides:
    return np.nan_to_num(values, nan=0.0).astype(np.int8)

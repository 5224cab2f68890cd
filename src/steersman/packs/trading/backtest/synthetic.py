"""Markets that are made up, so that what is best in them is known: one that switches between two ways, and one without any.

In `switching`, calm stretches (σ about 0.7 % a bar) run in one direction, and wild ones (about 3 %) swing about a level.
Volatility tells which it is, and it is best to follow the trend while it is calm, and to trade against moves while it is
wild. A rule that goes by the shape of the chart alone follows moves in wild stretches, and pays for it. In `random_walk`
nothing is worth trading: whatever looks good there is luck, and costs are sure.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from steersman.core.state import StateValues
from steersman.packs.trading.agents import meta_strategy
from steersman.packs.trading.backtest.data import Bars, Market, aligned

Floats = NDArray[np.float64]

_DAY_S = 86_400.0
_BEGIN = 1_262_304_000.0
"""2010-01-01."""
_STAY = 1.0 / 60.0
_CALM_DRIFT, _CALM_NOISE = 0.004, 0.005
_WILD_PULL, _WILD_NOISE = 0.3, 0.025
_CALM_BELOW = 0.01
_STEPS = 8


def switching(symbols: int, bars: int, *, seed: int = 0) -> Market:
    """Return symbols that switch, each for itself, between calm trends and wild swings, every 60 bars on average."""
    return _market(symbols, bars, seed, _switching)


def random_walk(symbols: int, bars: int, *, seed: int = 0, volatility: float = 0.01) -> Market:
    """Return symbols whose returns have no structure at all; volatility by the bar."""
    return _market(symbols, bars, seed, lambda rng, count: rng.normal(0.0, volatility, count))


def best_rule(state: StateValues) -> dict[str, str]:
    """Return what is best to follow in `switching`: the trend while it is calm, reversion while it is wild; no model."""
    calm = float(state["volatility"]) < _CALM_BELOW
    return {**meta_strategy.baseline(state), "strategy": "trend" if calm else "mean-reversion", "weight": "down"}


def _market(symbols: int, bars: int, seed: int, moves: Callable[[np.random.Generator, int], Floats]) -> Market:
    found = []
    for symbol in range(symbols):
        rng = np.random.default_rng([seed, symbol, 17])
        found.append(_bars(f"S{symbol}", moves(rng, bars), rng))
    return aligned(found)


def _switching(rng: np.random.Generator, count: int) -> Floats:
    """Return log returns, (count,)."""
    calm, side, away, found = True, 1.0, 0.0, np.zeros(count)
    for bar in range(count):
        if rng.random() < _STAY:
            calm, side, away = not calm, float(rng.choice([-1.0, 1.0])), 0.0
        if calm:
            found[bar] = _CALM_DRIFT * side + rng.normal(0.0, _CALM_NOISE)
        else:
            found[bar] = -_WILD_PULL * away + rng.normal(0.0, _WILD_NOISE)
            away += found[bar]
    return found


def _bars(symbol: str, moves: Floats, rng: np.random.Generator) -> Bars:
    """Return bars of log returns: a bridge from close to close, whose first step is the gap to the open."""
    inside = rng.normal(0.0, 1.0, (len(moves), _STEPS)) * np.abs(moves)[:, None] / (2.0 * _STEPS)
    path = np.cumsum(inside + (moves - inside.sum(axis=1))[:, None] / _STEPS, axis=1)
    before = np.concatenate([[0.0], np.cumsum(moves)[:-1]])
    prices = 100.0 * np.exp(before[:, None] + path)
    return Bars(
        symbol=symbol,
        at=_BEGIN + _DAY_S * np.arange(float(len(moves))),
        open=prices[:, 0],
        high=prices.max(axis=1),
        low=prices.min(axis=1),
        close=prices[:, -1],
    )

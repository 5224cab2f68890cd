"""Forecasters: N-HiTS and PatchTST, trained on windows of what was past by then, for all symbols together."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from steersman.packs.trading.backtest.data import Market
from steersman.packs.trading.backtest.signals import Prices, prices_of

if TYPE_CHECKING:
    from steersman.packs.trading.forecast.fit import Forecaster

Floats = NDArray[np.float64]
STEPS = 64
"""Closes that a forecaster reads."""
UPDATES, BATCH = 200, 64
_MIN_WINDOWS = 200

Rise = Callable[[Floats], Floats]


def windows(market: Market, horizon: int) -> tuple[Floats, Floats]:
    """Return for each row of `boosters`' table the last closes, (n, steps), and the opens that follow, (n, horizon).

    Logarithms of prices; the first of the opens is the one after that at which one would trade. NaN where there is none.
    """
    parts = [_of_symbol(prices_of(market, column)[1], horizon) for column in range(len(market.symbols))]
    past, later = (np.concatenate(each) for each in zip(*parts, strict=True))
    return past, later


def _of_symbol(prices: Prices, horizon: int) -> tuple[Floats, Floats]:
    count = len(prices.close)
    past, later = np.full((count, STEPS), np.nan), np.full((count, horizon), np.nan)
    if count >= STEPS:
        past[STEPS - 1 :] = sliding_window_view(np.log(prices.close), STEPS)
    if count > horizon + 1:
        later[: -horizon - 1] = sliding_window_view(np.log(prices.open[2:]), horizon)
    return past, later


def nhits(past: Floats, later: Floats) -> Rise:
    """Return N-HiTS, trained, as the probability that a price rises after a window."""
    from steersman.packs.trading.forecast.nhits import NHits

    return _fitted(NHits(steps=STEPS, horizon=later.shape[1]), past, later)


def patchtst(past: Floats, later: Floats) -> Rise:
    """Return PatchTST, trained, as the probability that a price rises after a window."""
    from steersman.packs.trading.forecast.patchtst import PatchTST

    return _fitted(PatchTST(steps=STEPS, horizon=later.shape[1]), past, later)


def _fitted(forecaster: "Forecaster", past: Floats, later: Floats) -> Rise:
    from steersman.packs.trading.forecast.fit import Training, fit

    model = fit(forecaster, past, later, Training(updates=UPDATES, batch=BATCH))
    return lambda new: model.rise(new, new[:, -1])


NETWORKS: dict[str, Callable[[Floats, Floats], Rise]] = {"nhits": nhits, "patchtst": patchtst}


def rises(name: str, table: tuple[Floats, Floats], past: NDArray[np.bool_], now: NDArray[np.bool_]) -> Floats:
    """Return the probability of a rise at the rows `now`, NaN where it has too little to go by. past: rows to train on.

    table: as `windows` gives it.
    """
    seen, later = table
    whole = np.isfinite(seen.sum(axis=1))
    train = past & whole & np.isfinite(later.sum(axis=1))
    found, asked = np.full(np.count_nonzero(now), np.nan), whole[now]
    if np.count_nonzero(train) >= _MIN_WINDOWS and asked.any():
        found[asked] = NETWORKS[name](seen[train], later[train])(seen[now][asked])
    return found

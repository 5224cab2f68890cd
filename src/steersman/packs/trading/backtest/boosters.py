"""Boosters: gradient-boosted trees that forecast whether a price rises, each trained on what was past by then.

One model for all symbols, as what is put in has no unit. A row is trained on once its answer is known: the bars from which
the answer comes end before the forecasts begin, with the embargo between. Seeds are fixed, and one thread adds up in one
order, so the same prices give the same forecasts to the bit.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from steersman.core.errors import NotFound
from steersman.packs.trading.backtest.data import Market
from steersman.packs.trading.backtest.forecasters import NETWORKS, rises, windows
from steersman.packs.trading.backtest.signals import STRATEGIES, Prices, channel_place, prices_of, z_score
from steersman.packs.trading.models import MODELS, missing

Floats = NDArray[np.float64]
Model = Callable[[Floats], Floats]

HORIZON = 5
"""Bars ahead, from open to open, that a forecast is about."""
ROUNDS = 60
_MIN_ROWS = 100
_LAGS = (1, 2, 3, 5, 10, 20)


@dataclass(frozen=True, kw_only=True)
class Stretch:
    """Bars for which one model forecasts, from `first` up to before `last`; it learns from answers known before `known`."""

    known: int
    first: int
    last: int


def forecasts(market: Market, stretches: Sequence[Stretch], told: Callable[[str], None]) -> dict[str, Floats]:
    """Return by model the probability that a price rises, (times, symbols); NaN outside the stretches.

    A model that cannot run here is left out; NotFound where that leaves none. told: hears of each stretch.
    """
    able = [name for name in MODELS if not missing(name)]
    if not able:
        why = "; ".join(map(missing, MODELS))
        raise NotFound(f"a backtest needs a model: `pip install 'steersman[trading]'` for XGBoost and LightGBM. {why}.")
    rows, answers, known, places = _table(market)
    seen = windows(market, HORIZON) if any(name in NETWORKS for name in able) else None
    found = {name: np.full(market.close.shape, np.nan) for name in able}
    for stretch in stretches:
        past = np.isfinite(answers) & (known < stretch.known) & np.all(np.isfinite(rows), axis=1)
        now = (places[:, 0] >= stretch.first) & (places[:, 0] < stretch.last) & np.all(np.isfinite(rows), axis=1)
        if np.count_nonzero(past) >= _MIN_ROWS and now.any() and len(np.unique(answers[past])) == 2:
            for name, filled in found.items():
                if name in TRAINERS:
                    filled[places[now, 0], places[now, 1]] = TRAINERS[name](rows[past], answers[past])(rows[now])
                elif seen is not None:
                    filled[places[now, 0], places[now, 1]] = rises(name, seen, past, now)
        told(f"forecasts for {market.day(stretch.first)} on, by {np.count_nonzero(past)} answers")
    return found


def _table(market: Market) -> tuple[Floats, Floats, NDArray[np.intp], NDArray[np.intp]]:
    """Return what is put in, the answers (NaN where not known), the bar at which each is known, and (time, symbol)."""
    parts = [_of_symbol(market, column) for column in range(len(market.symbols))]
    rows, answers, known, places = (np.concatenate(each) for each in zip(*parts, strict=True))
    return rows, answers, known, places


def _of_symbol(market: Market, column: int) -> tuple[Floats, Floats, NDArray[np.intp], NDArray[np.intp]]:
    at, prices = prices_of(market, column)
    answers, known = np.full(len(at), np.nan), np.full(len(at), len(market), dtype=np.intp)
    if len(at) > HORIZON + 1:
        later, soon = prices.open[HORIZON + 1 :], prices.open[1:-HORIZON]
        answers[: -HORIZON - 1], known[: -HORIZON - 1] = later > soon, at[HORIZON + 1 :]
    return inputs(prices), answers, known, np.column_stack([at, np.full(len(at), column, dtype=np.intp)])


def inputs(prices: Prices) -> Floats:
    """Return what a model is given at each bar, (n, inputs): returns, spreads, places and what the rules say."""
    return np.column_stack(list(_inputs(prices)))


def _inputs(prices: Prices) -> Iterator[Floats]:
    log = np.log(prices.close)
    for lag in _LAGS:
        yield np.concatenate([np.full(min(lag, len(log)), np.nan), log[lag:] - log[: max(len(log) - lag, 0)]])
    yield np.log(prices.high / prices.low)
    yield log - np.log(prices.open)
    yield z_score(prices)
    yield channel_place(prices)
    for rule in STRATEGIES.values():
        yield rule(prices).astype(np.float64)


def _xgboost(rows: Floats, answers: Floats) -> Model:
    import xgboost

    wanted = {
        "objective": "binary:logistic",
        "max_depth": 3,
        "eta": 0.05,
        "subsample": 0.8,
        "min_child_weight": 20,
        "tree_method": "hist",
        "seed": 7,
        "nthread": 1,
        "verbosity": 0,
    }
    model = xgboost.train(wanted, xgboost.DMatrix(rows, answers, nthread=1), num_boost_round=ROUNDS)
    return lambda new: np.asarray(model.predict(xgboost.DMatrix(new, nthread=1)), dtype=np.float64)


def _lightgbm(rows: Floats, answers: Floats) -> Model:
    import lightgbm

    wanted: dict[str, Any] = {
        "objective": "binary",
        "num_leaves": 8,
        "learning_rate": 0.05,
        "bagging_fraction": 0.8,
        "bagging_freq": 1,
        "min_data_in_leaf": 20,
        "seed": 7,
        "num_threads": 1,
        "deterministic": True,
        "force_row_wise": True,
        "verbosity": -1,
    }
    model = lightgbm.train(wanted, lightgbm.Dataset(rows, answers), num_boost_round=ROUNDS)
    return lambda new: np.asarray(model.predict(new, num_threads=1), dtype=np.float64)


TRAINERS: dict[str, Callable[[Floats, Floats], Model]] = {"xgb": _xgboost, "lgbm": _lightgbm}

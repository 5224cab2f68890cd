"""Boosters learn from answers that were known, forecast the same to the bit, and find what is there."""

import numpy as np
import pytest

from steersman.core.errors import NotFound
from steersman.packs.trading.backtest import boosters
from steersman.packs.trading.backtest.boosters import HORIZON, Stretch, forecasts
from steersman.packs.trading.backtest.data import Market
from steersman.packs.trading.backtest.synthetic import random_walk, switching

STRETCHES = [Stretch(known=290, first=300, last=420), Stretch(known=410, first=420, last=500)]


def heard(_: str) -> None:
    """Nobody listens."""


@pytest.fixture(scope="module")
def market() -> Market:
    return switching(2, 500, seed=1)


def test_forecasts_are_chances_inside_their_stretches(market: Market) -> None:
    found = forecasts(market, STRETCHES, heard)
    assert set(found) == {"xgb", "lgbm"}
    for each in found.values():
        assert np.isnan(each[:300]).all()
        assert ((each[300:] > 0.0) & (each[300:] < 1.0)).all()


def test_the_same_prices_give_the_same_forecasts_to_the_bit(market: Market) -> None:
    one, other = (forecasts(market, STRETCHES[:1], heard) for _ in range(2))
    for name in one:
        assert np.array_equal(one[name], other[name], equal_nan=True)


def test_answers_that_are_not_known_yet_change_nothing(market: Market) -> None:
    """Opens of the bars 290 to 299 lie in the embargo: no answer may come from there, and no input of a forecast does."""
    for first, last, same in ((290, 300, True), (280, 290, False)):
        opens = market.open.copy()
        opens[first:last] *= np.linspace(0.8, 1.2, last - first)[:, None]
        other = Market(
            symbols=market.symbols, at=market.at, open=opens, high=market.high, low=market.low, close=market.close
        )
        one, changed = (forecasts(each, STRETCHES[:1], heard) for each in (market, other))
        for name, chances in one.items():
            assert np.array_equal(chances, changed[name], equal_nan=True) is same


def test_prices_that_come_later_change_no_forecast(market: Market) -> None:
    one = forecasts(market, STRETCHES, heard)
    late = {name: getattr(market, name).copy() for name in ("open", "high", "low", "close")}
    for each in late.values():
        each[450:] *= 3.0
    other = forecasts(Market(symbols=market.symbols, at=market.at, **late), STRETCHES, heard)
    for name, chances in one.items():
        assert np.array_equal(chances[:450], other[name][:450], equal_nan=True)


def test_answers_come_from_opens_after_the_bar_and_are_known_then() -> None:
    market = random_walk(1, 60)
    rows, answers, known, places = boosters._table(market)
    assert len(rows) == len(answers) == 60
    bar = 20
    later, soon = market.open[bar + 1 + HORIZON, 0], market.open[bar + 1, 0]
    assert answers[bar] == float(later > soon)
    assert known[bar] == bar + 1 + HORIZON
    assert np.isnan(answers[-HORIZON - 1 :]).all()
    assert places[bar].tolist() == [bar, 0]


def test_structure_is_found_and_chance_is_not() -> None:
    stretch = [Stretch(known=700, first=710, last=1_200)]
    for market, low, high in ((switching(3, 1_200, seed=3), 0.6, 1.0), (random_walk(3, 1_200, seed=3), 0.4, 0.6)):
        _, answers, _, places = boosters._table(market)
        for chances in forecasts(market, stretch, heard).values():
            of_rows = chances[places[:, 0], places[:, 1]]
            judged = np.isfinite(of_rows) & np.isfinite(answers)
            assert low < np.mean((of_rows > 0.5)[judged] == answers[judged]) < high


def test_where_no_model_can_run_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(boosters, "missing", lambda name: f"{name} is not installed")
    with pytest.raises(NotFound, match=r"pip install 'steersman\[trading\]'"):
        forecasts(random_walk(1, 120), STRETCHES, heard)


def test_too_few_answers_give_no_forecast() -> None:
    found = forecasts(random_walk(1, 120), [Stretch(known=60, first=70, last=120)], heard)
    assert all(np.isnan(each).all() for each in found.values())

"""Signals are what their rules say, from the past alone."""

import numpy as np
import pytest
from numpy.typing import NDArray

from steersman.packs.trading.backtest import signals as said
from steersman.packs.trading.backtest.data import Market
from steersman.packs.trading.backtest.signals import STRATEGIES, Prices, Sides, Signals
from steersman.packs.trading.backtest.synthetic import random_walk, switching

Floats = NDArray[np.float64]


def prices(close: Floats) -> Prices:
    """Return bars that open where the last one closed, with no range beyond both."""
    before = np.concatenate([close[:1], close[:-1]])
    return Prices(open=before, high=np.maximum(before, close), low=np.minimum(before, close), close=close)


def test_a_trend_is_followed_once_averages_and_momentum_agree() -> None:
    up = prices(100.0 * 1.01 ** np.arange(60.0))
    assert said.trend(up).tolist() == [0] * 39 + [1] * 21
    down = prices(100.0 * 0.99 ** np.arange(60.0))
    assert said.trend(down).tolist() == [0] * 39 + [-1] * 21


def test_a_breakout_lasts_until_a_close_is_back_over_the_middle() -> None:
    close = np.concatenate([np.full(30, 100.0), [101.0, 104.0, 103.0, 102.5, 100.5], np.full(10, 100.0)])
    close[:30:2] = 99.0  # a channel from 99 to 100
    found = said.breakout(prices(close)).tolist()
    assert found[:30] == [0] * 30
    assert found[30:36] == [1, 1, 1, 1, 0, 0]  # the channel reaches from 99 to 104 by then: its middle is 101.5


def test_the_edges_of_a_channel_are_faded_and_what_lies_outside_is_not() -> None:
    close = np.tile([100.0, 101.0, 100.0, 99.0], 10)
    found = said.channel_edges(prices(close))
    assert found[24:28].tolist() == [0, -1, 0, 1]
    out = np.concatenate([close, [103.0]])
    assert said.channel_edges(prices(out))[-1] == 0


def test_reversion_is_held_from_far_away_to_the_mean() -> None:
    flat = np.tile([100.0, 100.2], 15)
    close = np.concatenate([flat, [97.0, 98.0, 99.0, 100.5]])
    assert said.mean_reversion(prices(close))[-5:].tolist() == [0, 1, 1, 1, 0]
    mirrored = 200.0 - close
    assert said.mean_reversion(prices(mirrored))[-5:].tolist() == [0, -1, -1, -1, 0]


def test_a_flat_line_says_nothing() -> None:
    for rule in STRATEGIES.values():
        assert not rule(prices(np.full(80, 50.0))).any()


@pytest.mark.parametrize("bars", [1, 2, 19, 20, 21])
def test_few_bars_say_nothing(bars: int) -> None:
    for rule in STRATEGIES.values():
        assert rule(prices(np.linspace(1.0, 2.0, bars))).tolist()[:19] == [0] * min(bars, 19)


@pytest.mark.parametrize("name", STRATEGIES)
def test_no_rule_looks_ahead(name: str) -> None:
    """What is said up to a bar is the same whether the rest is there or not."""
    market = switching(1, 400, seed=5)
    whole = STRATEGIES[name](said.prices_of(market, 0)[1])
    for end in (50, 123, 399):
        part = Prices(**{each: getattr(market, each)[:end, 0] for each in ("open", "high", "low", "close")})
        assert STRATEGIES[name](part).tolist() == whole[:end].tolist()
    assert set(whole.tolist()) == {-1, 0, 1}


def one(side: int, chance: float) -> Signals:
    """Return the signals of one bar: one strategy and one model."""
    sides: Sides = np.array([[side]], dtype=np.int8)
    return Signals(sides={"trend": sides}, forecasts={"xgb": np.array([[chance]])}, confidence=np.zeros((1, 1)))


@pytest.mark.parametrize(
    ("side", "chance", "weight", "taken"),
    [
        (1, 0.5, "hold", 1),  # ½ > ¼
        (1, 0.44, "hold", 0),  # ½ − 0.6 · ½ = 0.2
        (1, 0.46, "hold", 1),  # ½ − 0.4 · ½ = 0.3
        (1, 0.5, "up", 0),  # ¼: the model has to agree
        (1, 0.51, "up", 1),
        (1, 0.0, "down", 1),  # ¾ − ¼
        (-1, 0.51, "up", 0),
        (-1, 0.49, "up", -1),
        (-1, 0.99, "hold", 0),
        (0, 0.9, "up", 0),
        (1, float("nan"), "up", 1),  # no forecast, no say
    ],
)
def test_a_model_has_the_say_of_its_weight(side: int, chance: float, weight: str, taken: int) -> None:
    assert one(side, chance).side(0, 0, {"strategy": "trend", "model": "xgb", "weight": weight}) == taken


def test_confidence_is_the_share_of_votes_that_agree() -> None:
    market = random_walk(1, 80)

    def always(side: int) -> object:
        return lambda _: np.full(80, side, dtype=np.int8)

    rules = {"a": always(1), "b": always(1), "c": always(-1), "d": always(0)}
    forecast = np.full((80, 1), 0.55)
    forecast[0] = np.nan
    found = said.signals(market, {"xgb": forecast}, rules)  # type: ignore[arg-type] # rules of one bar for all
    assert found.confidence[1, 0] == pytest.approx(2.5 / 5.0)
    assert found.confidence[0, 0] == pytest.approx(2.0 / 5.0)
    assert found.any_side.all()


def test_a_symbol_is_read_from_its_own_bars() -> None:
    market = switching(2, 300, seed=2)
    keep = np.arange(300) % 3 != 0
    holes = {name: getattr(market, name).copy() for name in ("open", "high", "low", "close")}
    for each in holes.values():
        each[~keep, 1] = np.nan
    gappy = said.signals(Market(symbols=market.symbols, at=market.at, **holes), {})
    rows, own = said.prices_of(Market(symbols=market.symbols, at=market.at, **holes), 1)
    assert rows.tolist() == np.flatnonzero(keep).tolist()
    for name, rule in STRATEGIES.items():
        assert gappy.sides[name][keep, 1].tolist() == rule(own).tolist()
        assert not gappy.sides[name][~keep, 1].any()

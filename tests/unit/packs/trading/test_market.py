"""Features are what their formulas say of the bars up to now; nothing later is ever seen."""

import math

import numpy as np
import pytest

from steersman.core.errors import InvalidInput
from steersman.packs.trading.market import LEAST, WINDOW, Bar, Features, History, features


def bars(closes: list[float], wick: float = 0.0, first: float = 0.0) -> list[Bar]:
    """Return bars that reach `wick` above and below their closes, one a second."""
    return [Bar(at=first + index, high=close + wick, low=close - wick, close=close) for index, close in enumerate(closes)]


def walk(count: int, seed: int = 0) -> list[float]:
    steps = np.random.default_rng(seed).normal(0.0, 0.02, count)
    return (100.0 * np.exp(np.cumsum(steps))).tolist()  # type: ignore[no-any-return]


def seen(rows: list[Bar]) -> Features:
    return features(np.array([(each.high, each.low, each.close) for each in rows]))


def test_features_by_hand() -> None:
    """Closes go 100, 110, 100, 110 …: returns of +10 % and −1/11 by turns, true ranges of 10 plus a wick of 2."""
    rows = bars([100.0 if index % 2 == 0 else 110.0 for index in range(LEAST)], wick=2.0)
    found = seen(rows)
    ups, downs = [0.1] * 7, [-10.0 / 110.0] * 7
    assert found.volatility == pytest.approx(float(np.std(ups + downs, ddof=1)), abs=1e-12)
    assert found.pressure == 0.0, "the last close is that of four bars before"
    assert found.atr == pytest.approx(12.0 / 100.0, abs=1e-12), "from a low of 98, or a high of 112, to the close before"
    assert found.regime == "range"


def test_pressure_is_the_return_over_four_bars_squeezed() -> None:
    closes = [100.0] * 20 + [101.0, 102.0, 103.0, 104.0]
    assert seen(bars(closes)).pressure == pytest.approx(math.tanh(20.0 * 0.04), abs=1e-12)


def test_with_too_few_bars_nothing_is_known() -> None:
    assert seen(bars(walk(LEAST - 1))) == Features()
    assert seen(bars(walk(LEAST))).regime != "unknown"
    assert History().features(1.0) == Features()


def test_bars_of_later_are_not_seen() -> None:
    closes, history = walk(300), History()
    rows = bars(closes, wick=0.1)
    for end in range(1, 300):
        history.add(rows[end - 1 : end])
        future = History(bars=rows[max(0, end - WINDOW) :])
        assert future.features(float(end - 1)) == history.features(float(end - 1)) == seen(rows[max(0, end - WINDOW) : end])


def test_a_history_keeps_what_is_looked_at_and_no_more() -> None:
    history = History()
    for row in bars(walk(1_000)):
        history.add([row])
    assert WINDOW <= len(history.bars) <= 2 * WINDOW


def test_bars_that_are_known_are_passed_over() -> None:
    rows, history = bars(walk(60)), History()
    history.add(rows[:40])
    history.add(rows[20:])
    assert history.bars == rows


def test_bars_out_of_order_are_refused() -> None:
    rows = bars(walk(3))
    with pytest.raises(InvalidInput, match="order of their times"):
        History().add([rows[0], rows[2], rows[1]])


@pytest.mark.parametrize(
    ("high", "low", "close"),
    [(math.nan, 1.0, 1.0), (2.0, math.nan, 1.5), (2.0, 1.0, math.nan), (math.inf, 1.0, 1.5), (1.0, 0.0, 0.5), (1, 2, 1.5)],
)
def test_impossible_prices_are_refused(high: float, low: float, close: float) -> None:
    with pytest.raises(InvalidInput, match="finite prices"):
        Bar(at=0.0, high=high, low=low, close=close)

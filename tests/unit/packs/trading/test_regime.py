"""A steady climb is a trend, whatever its slope; noise is a range; and labels do not flap at their thresholds."""

from itertools import pairwise

import numpy as np
import pytest

from steersman.packs.trading.regime import SPAN, TREND_IN, TREND_OUT, Floats, channel, efficiency_ratio, regimes


def labels(close: Floats, wick: float = 0.0) -> list[str]:
    """Return the labels of bars that reach `wick` beyond their closes."""
    return regimes(close * (1.0 + wick), close * (1.0 - wick), close)


@pytest.mark.parametrize("step", [0.05, 0.01, 0.001, -0.05, -0.01])
def test_a_steady_move_is_a_trend_from_the_first_bar_that_can_be_told(step: float) -> None:
    found = labels(np.array([100.0 * (1.0 + step) ** index for index in range(80)]), wick=0.002)
    assert found[:SPAN] == ["unknown"] * SPAN
    assert set(found[SPAN:]) == {"trend"}


def test_a_flat_line_and_a_swing_are_ranges() -> None:
    assert set(labels(np.full(60, 50.0))[SPAN:]) == {"range"}
    swing = 100.0 + 3.0 * np.sin(np.arange(200) * 2.0 * np.pi / 5.0)
    assert set(labels(swing, wick=0.001)[SPAN:]) == {"range"}


def test_a_jump_out_of_a_range_is_a_breakout_until_it_is_taken_back() -> None:
    swing = 100.0 + np.where(np.arange(40) % 2 == 0, 1.0, -1.0)
    up, back = np.array([104.0, 103.5, 104.0]), np.array([100.0, 99.5, 100.0])
    found = labels(np.concatenate((swing, up, back)))
    assert found[39:43] == ["range", "breakout", "breakout", "breakout"]
    assert found[43:] == ["range"] * 3
    down = labels(np.concatenate((swing, 200.0 - up, 200.0 - back)))
    assert down == found, "the same upside down"


def test_the_efficiency_ratio_by_hand() -> None:
    """Twenty moves: fifteen up and five down by one make a net of 10 over a path of 20."""
    close = 100.0 + np.concatenate(([0.0], np.cumsum([1.0] * 15 + [-1.0] * 5)))
    assert efficiency_ratio(close).tolist() == [0.5]


def test_the_channel_is_that_of_the_bars_before() -> None:
    high, low = np.arange(1.0, 26.0), np.arange(0.0, 25.0)
    upper, lower = channel(high, low)
    assert upper.tolist() == high[19:24].tolist()
    assert lower.tolist() == low[:5].tolist()


def changes(states: list[bool]) -> int:
    return sum(before != after for before, after in pairwise(states))


def test_a_ratio_that_dithers_around_the_threshold_changes_the_label_once() -> None:
    """Moves of +3 and −1 by turns have a ratio of 0.5; a little noise takes it over and under that, and back."""
    moves = np.tile([3.0, -1.0], 150) + np.random.default_rng(3).normal(0.0, 0.1, 300)
    close = 100.0 + np.concatenate(([0.0], np.cumsum(moves)))
    assert changes((efficiency_ratio(close) >= TREND_IN).tolist()) > 10
    assert changes([each == "trend" for each in labels(close)[SPAN:]]) <= 1


def test_walks_change_their_label_less_often_than_by_one_threshold() -> None:
    rng = np.random.default_rng(3)
    found = naive = 0
    for _ in range(50):
        close = 100.0 * np.exp(np.cumsum(rng.normal(0.0008, 0.01, 500)))
        found += changes([each == "trend" for each in labels(close)[SPAN:]])
        naive += changes((efficiency_ratio(close) >= TREND_IN).tolist())
    assert 0 < found * 3 < naive * 2


def test_a_trend_is_left_only_below_the_lower_threshold() -> None:
    rng = np.random.default_rng(4)
    left = 0
    for _ in range(50):
        close = 100.0 * np.exp(np.cumsum(rng.normal(0.001, 0.01, 300)))
        ratios, found = efficiency_ratio(close).tolist(), labels(close)[SPAN:]
        for before, after, ratio in zip(found[:-1], found[1:], ratios[1:], strict=True):
            assert (after == "trend") == (ratio >= (TREND_OUT if before == "trend" else TREND_IN))
            left += before == "trend" != after
    assert left > 50


def test_a_label_does_not_depend_on_what_comes_later() -> None:
    rng = np.random.default_rng(5)
    close = 100.0 * np.exp(np.cumsum(rng.normal(0.0, 0.02, 120)))
    whole = labels(close, wick=0.004)
    for end in (10, SPAN, SPAN + 1, 57, 119):
        assert labels(close[:end], wick=0.004) == whole[:end]

"""Prices are mended where that takes no guess, with a note, and refused where it would."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from steersman.core.errors import InvalidInput
from steersman.packs.trading.backtest.data import Market, checked, read_market
from steersman.packs.trading.backtest.files import RawBars

DAY = 86_400.0
Floats = NDArray[np.float64]


def raw(close: Floats, at: Floats | None = None, **columns: Floats) -> RawBars:
    """Return bars without a range round closes; the first is on 2020-01-01."""
    times = 1_577_836_800.0 + DAY * np.arange(float(len(close))) if at is None else at
    prices = dict.fromkeys(("open", "high", "low", "close"), close)
    return RawBars(symbol="ABC", at=times, columns={**prices, **columns})


CLOSE = 100.0 + np.sin(np.arange(80.0))


def test_prices_in_order_are_taken_as_they_are() -> None:
    bars = checked(raw(CLOSE))
    assert bars.close.tolist() == CLOSE.tolist()
    assert bars.notes == ()


def test_rows_out_of_order_are_sorted_and_equal_ones_count_once() -> None:
    whole = raw(CLOSE)
    order = np.concatenate([np.arange(80)[::-1], [5, 5]])
    shuffled = RawBars(symbol="ABC", at=whole.at[order], columns={name: each[order] for name, each in whole.columns.items()})
    bars = checked(shuffled)
    assert bars.close.tolist() == CLOSE.tolist()
    assert bars.notes == ("ABC: rows were out of order and are sorted", "ABC: 2 rows that came twice count once")


def test_two_different_bars_of_one_time_are_refused() -> None:
    at = raw(CLOSE).at.copy()
    at[10] = at[9]
    with pytest.raises(InvalidInput, match="two different bars on 2020-01-10"):
        checked(raw(CLOSE, at))


def test_a_price_that_is_missing_is_left_out_and_many_are_refused() -> None:
    holes = CLOSE.copy()
    holes[7] = np.nan
    bars = checked(raw(holes))
    assert len(bars.close) == 79
    assert bars.notes == ("ABC: 1 row without a price left out",)
    holes[8] = np.nan
    with pytest.raises(InvalidInput, match="2 of 80 rows lack a price, the first on 2020-01-08"):
        checked(raw(holes))


def test_a_price_that_is_not_above_0_or_contradicts_the_others_is_refused() -> None:
    low = CLOSE.copy()
    low[3] = 0.0
    with pytest.raises(InvalidInput, match="a price on 2020-01-04 is not above 0"):
        checked(raw(CLOSE, low=low))
    low[3] = CLOSE[3] + 1.0
    with pytest.raises(InvalidInput, match="open or close on 2020-01-04 lies outside low and high"):
        checked(raw(CLOSE, low=low))


def test_a_split_is_adjusted_by_the_adjusted_close() -> None:
    split = np.where(np.arange(80) < 40, 2.0 * CLOSE, CLOSE)
    bars = checked(raw(split, adjusted=CLOSE))
    assert np.allclose(bars.open, CLOSE)
    assert bars.notes == ("ABC: prices adjusted for splits and dividends by the adjusted close",)


def test_a_split_that_nobody_adjusted_for_is_refused_unless_jumps_are_accepted() -> None:
    split = np.where(np.arange(80) < 40, 3.0 * CLOSE, CLOSE)
    with pytest.raises(InvalidInput, match="on 2020-02-10 looks like a split that nobody adjusted for"):
        checked(raw(split))
    assert "taken as a move of the market" in checked(raw(split), accept=("jumps",)).notes[0]


def test_a_fall_by_a_quarter_is_no_split() -> None:
    crash = np.where(np.arange(80) < 40, CLOSE / 0.75, CLOSE)
    assert checked(raw(crash)).notes == ()


def test_gaps_are_noted_and_wide_ones_refused_unless_accepted() -> None:
    at = raw(CLOSE).at.copy()
    at[40:] += 9 * DAY
    assert checked(raw(CLOSE, at)).notes == ("ABC: no bars from 2020-02-09 to 2020-02-19",)
    at[40:] += 30 * DAY
    with pytest.raises(InvalidInput, match="no bars from 2020-02-09 to 2020-03-20, 40 usual steps"):
        checked(raw(CLOSE, at))
    assert len(checked(raw(CLOSE, at), accept=("gaps",)).at) == 80


def test_nights_between_minutes_are_no_gaps() -> None:
    minutes = np.arange(80.0)
    at = 1_577_836_800.0 + 60.0 * minutes + DAY * (minutes // 20)
    assert checked(raw(CLOSE, at)).notes == ()


def test_too_few_bars_are_refused() -> None:
    with pytest.raises(InvalidInput, match="ABC has 59 bars; at least 60 are needed"):
        checked(raw(CLOSE[:59]))


def test_symbols_stand_on_one_time_line_and_have_holes_where_they_have_no_bar(tmp_path: Path) -> None:
    rows = ["date,symbol,open,high,low,close"]
    for day in range(1, 32):
        rows += [
            f"2020-{month:02}-{day:02},{symbol},1,1,1,1"
            for month in (1, 3, 5)
            for symbol in "AB"
            if (day, symbol) != (7, "B")
        ]
    (tmp_path / "both.csv").write_text("\n".join(rows) + "\n")
    market = read_market([tmp_path / "both.csv"], accept=["gaps"])
    assert market.symbols == ("A", "B")
    assert len(market) == 93
    assert np.isnan(market.close[6]).tolist() == [False, True]
    assert market.day(6) == "2020-01-07"


def test_a_symbol_that_comes_twice_and_an_unknown_leave_are_refused(tmp_path: Path) -> None:
    (tmp_path / "A.csv").write_text(
        "date,open,high,low,close\n" + "".join(f"2020-01-{day:02},1,1,1,1\n" for day in range(1, 32)) * 2
    )
    with pytest.raises(InvalidInput, match="A has 31 bars"):
        read_market([tmp_path / "A.csv"])
    file = tmp_path / "B.csv"
    file.write_text(
        "date,open,high,low,close\n"
        + "".join(f"2020-{month:02}-{day:02},1,1,1,1\n" for month in (1, 3) for day in range(1, 32))
    )
    with pytest.raises(InvalidInput, match="symbol B comes twice"):
        read_market([file, file], accept=["gaps"])
    with pytest.raises(InvalidInput, match="--accept 'holes' is none of gaps, jumps"):
        read_market([file], accept=["holes"])


def test_bars_in_a_year_are_counted() -> None:
    at = DAY * np.arange(366.0)
    flat = np.ones((366, 1))
    market = Market(symbols=("A",), at=at, open=flat, high=flat, low=flat, close=flat)
    assert market.bars_per_year == pytest.approx(365.2425)

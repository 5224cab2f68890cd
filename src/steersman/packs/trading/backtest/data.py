"""Prices as a backtest takes them: checked, adjusted, in order, and of many symbols on one time line.

What can be mended without a guess is mended, and a note says what was: rows out of order are sorted, equal rows counted
once, a few rows without a price left out, prices adjusted. Everything else is refused, with the row and the way out.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from steersman.core.errors import InvalidInput
from steersman.packs.trading.backtest.files import PRICES, RawBars, read_rows

Floats = NDArray[np.float64]

ACCEPTABLE = ("gaps", "jumps")
MIN_BARS = 60
_MISSING_SHARE = 0.01
_GAP_STEPS, _GAP_STEPS_NOTED, _GAP_LEAST_S = 30.0, 8.0, 5 * 86_400.0
"""A gap is wider than so many usual steps, and than a long weekend: bars of minutes have nights between them."""
_JUMP, _SPLIT_TOLERANCE = 0.35, 0.03
_SPLITS = (2.0, 3.0, 4.0, 5.0, 7.0, 8.0, 10.0, 15.0, 20.0, 1.5, 2.5)
_YEAR_S = 365.2425 * 86_400.0


@dataclass(frozen=True, kw_only=True, eq=False)
class Bars:
    """The bars of one symbol in order of time: `at` in unix seconds, prices above 0 in one currency, all (n,)."""

    symbol: str
    at: Floats
    open: Floats
    high: Floats
    low: Floats
    close: Floats
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, eq=False)
class Market:
    """Many symbols on the union of their times: prices of shape (times, symbols), NaN where a symbol has no bar."""

    symbols: tuple[str, ...]
    at: Floats
    open: Floats = field(repr=False)
    high: Floats = field(repr=False)
    low: Floats = field(repr=False)
    close: Floats = field(repr=False)
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.at)

    @property
    def bars_per_year(self) -> float:
        """Bars in a year, as they come in these data."""
        return float((len(self.at) - 1) / ((self.at[-1] - self.at[0]) / _YEAR_S))

    def day(self, place: int) -> str:
        """Return the date of a time."""
        return on(float(self.at[place]))


def on(at: float) -> str:
    """Return a time (unix s) as a date in UTC."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d")


def read_market(paths: Iterable[str | Path], *, accept: Sequence[str] = ()) -> Market:
    """Return the symbols of files on one time line.

    accept: "gaps" and "jumps" take what is refused without. Raises what `read_rows` and `checked` do, and InvalidInput
    for a symbol that comes twice.
    """
    unknown = [each for each in accept if each not in ACCEPTABLE]
    if unknown:
        raise InvalidInput(f"--accept {unknown[0]!r} is none of {', '.join(ACCEPTABLE)}.")
    return aligned([checked(raw, accept=accept) for path in paths for raw in read_rows(path)])


def aligned(found: Sequence[Bars]) -> Market:
    """Return symbols on the union of their times. Raises InvalidInput for none, and for a symbol that comes twice."""
    names = [each.symbol for each in found]
    twice = [name for name in names if names.count(name) > 1]
    if twice or not names:
        raise InvalidInput(f"symbol {twice[0]} comes twice: give each of them once." if twice else "no symbols were given.")
    at = np.unique(np.concatenate([each.at for each in found]))
    filled = {name: np.full((len(at), len(found)), np.nan) for name in PRICES}
    for column, bars in enumerate(found):
        where = np.searchsorted(at, bars.at)
        for name in PRICES:
            filled[name][where, column] = getattr(bars, name)
    return Market(symbols=tuple(names), at=at, notes=tuple(note for each in found for note in each.notes), **filled)


def checked(raw: RawBars, *, accept: Sequence[str] = ()) -> Bars:
    """Return bars fit to be traded on, with notes of what was mended.

    Prices are adjusted for splits and dividends where the file says how ("adj close"). Raises InvalidInput for prices that
    are missing in more than 1 % of the rows, not above 0, or contradict each other, different bars of one time, what looks
    like a split that nobody adjusted for, a gap of over 30 steps, and fewer than 60 bars.
    """
    notes = list(raw.notes)
    at, columns = raw.at, {name: np.asarray(values) for name, values in raw.columns.items() if name != "volume"}
    at, columns = _without_missing(raw.symbol, at, columns, notes)
    at, columns = _in_order(raw.symbol, at, columns, notes)
    if len(at) < MIN_BARS:
        raise InvalidInput(f"{raw.symbol} has {len(at)} bars; at least {MIN_BARS} are needed.")
    prices = _adjusted(raw.symbol, columns, notes)
    _check_prices(raw.symbol, at, prices)
    _check_jumps(raw.symbol, at, prices["close"], notes, accepted="jumps" in accept)
    _check_gaps(raw.symbol, at, notes, accepted="gaps" in accept)
    return Bars(symbol=raw.symbol, at=at, notes=tuple(notes), **prices)


Columns = dict[str, Floats]


def _without_missing(symbol: str, at: Floats, columns: Columns, notes: list[str]) -> tuple[Floats, Columns]:
    whole = np.all(np.isfinite(np.column_stack(list(columns.values()))), axis=1)
    missing = int(np.count_nonzero(~whole))
    if missing > max(1.0, _MISSING_SHARE * len(at)):
        first = on(float(at[~whole][0]))
        raise InvalidInput(f"{symbol}: {missing} of {len(at)} rows lack a price, the first on {first}; fill or cut them.")
    if missing:
        notes.append(f"{symbol}: {missing} row{'s' * (missing > 1)} without a price left out")
    return at[whole], {name: values[whole] for name, values in columns.items()}


def _in_order(symbol: str, at: Floats, columns: Columns, notes: list[str]) -> tuple[Floats, Columns]:
    if np.any(np.diff(at) < 0.0):
        notes.append(f"{symbol}: rows were out of order and are sorted")
    order = np.argsort(at, kind="stable")
    at, columns = at[order], {name: values[order] for name, values in columns.items()}
    again = np.r_[False, np.diff(at) == 0.0]
    if again.any():
        rows = np.column_stack(list(columns.values()))
        differ = again & np.any(rows != np.roll(rows, 1, axis=0), axis=1)
        if differ.any():
            raise InvalidInput(f"{symbol}: two different bars on {on(float(at[differ][0]))}; keep the right one.")
        count = np.count_nonzero(again)
        said = "1 row that came twice counts once" if count == 1 else f"{count} rows that came twice count once"
        notes.append(f"{symbol}: {said}")
    return at[~again], {name: values[~again] for name, values in columns.items()}


def _adjusted(symbol: str, columns: Columns, notes: list[str]) -> Columns:
    """Return prices times adjusted close over close, so that a split or a dividend is no move of the price."""
    prices = {name: columns[name] for name in PRICES}
    if "adjusted" not in columns or np.allclose(columns["adjusted"], columns["close"], rtol=1e-9):
        return prices
    with np.errstate(divide="ignore", invalid="ignore"):
        factor = columns["adjusted"] / columns["close"]
    notes.append(f"{symbol}: prices adjusted for splits and dividends by the adjusted close")
    return {name: values * factor for name, values in prices.items()}


def _check_prices(symbol: str, at: Floats, prices: Columns) -> None:
    rows = np.column_stack([prices[name] for name in PRICES])
    bad = ~np.all(np.isfinite(rows) & (rows > 0.0), axis=1)
    if bad.any():
        raise InvalidInput(f"{symbol}: a price on {on(float(at[bad][0]))} is not above 0: {rows[bad][0].tolist()}.")
    slack = 1e-4 * prices["close"]
    outside = (rows.max(axis=1) > prices["high"] + slack) | (rows.min(axis=1) < prices["low"] - slack)
    if outside.any():
        where = on(float(at[outside][0]))
        raise InvalidInput(f"{symbol}: open or close on {where} lies outside low and high: {rows[outside][0].tolist()}.")


def _check_jumps(symbol: str, at: Floats, close: Floats, notes: list[str], *, accepted: bool) -> None:
    """Refuse a move that looks like a split: by a plain ratio, give or take 3 %, and over a third of the price."""
    ratio = np.maximum(close[1:] / close[:-1], close[:-1] / close[1:])
    near = np.min(np.abs(ratio[:, None] / np.array(_SPLITS) - 1.0), axis=1)
    jumps = np.flatnonzero((np.log(ratio) > _JUMP) & (near < _SPLIT_TOLERANCE)) + 1
    if not len(jumps):
        return
    first = jumps[0]
    said = f"{symbol}: from {close[first - 1]:g} to {close[first]:g} on {on(float(at[first]))} looks like a split"
    if not accepted:
        raise InvalidInput(
            f"{said} that nobody adjusted for. Give adjusted prices, or --accept jumps if the market did that."
        )
    notes.append(f"{said}; taken as a move of the market")


def _check_gaps(symbol: str, at: Floats, notes: list[str], *, accepted: bool) -> None:
    steps = np.diff(at)
    usual = float(np.median(steps))
    widest = int(np.argmax(steps))
    said = f"{symbol}: no bars from {on(float(at[widest]))} to {on(float(at[widest + 1]))}"
    if steps[widest] > max(_GAP_STEPS * usual, _GAP_LEAST_S) and not accepted:
        raise InvalidInput(f"{said}, {steps[widest] / usual:.0f} usual steps. Cut the file there, or --accept gaps.")
    gaps = int(np.count_nonzero(steps > max(_GAP_STEPS_NOTED * usual, _GAP_LEAST_S)))
    if gaps:
        notes.append(f"{said}" + (f", the widest of {gaps} gaps" if gaps > 1 else ""))

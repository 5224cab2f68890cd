"""Prices from a file: CSV ("," or ";", also .gz) or Parquet, with a row for each bar, of one symbol or of many.

Columns, in any case: `date` (or `time`, `timestamp`), `open`, `high`, `low`, `close`; where they are there, `adj close`,
`volume`, and `symbol` (or `ticker`, `name`). Others are not read, and a note says so.
"""

import csv
import gzip
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from typing import Any, TextIO

import numpy as np
from numpy.typing import NDArray

from steersman.core.errors import InvalidInput, NotFound

Floats = NDArray[np.float64]

PRICES = ("open", "high", "low", "close")
_NAMES = {
    "date": "date",
    "time": "date",
    "timestamp": "date",
    "datetime": "date",
    "symbol": "symbol",
    "ticker": "symbol",
    "name": "symbol",
    "adjclose": "adjusted",
    "adjustedclose": "adjusted",
    "volume": "volume",
    **{name: name for name in PRICES},
}
_DAY_FIRST, _MONTH_FIRST = "%d/%m/%Y", "%m/%d/%Y"
_MILLISECONDS_FROM = 1e11
"""Epoch times above this are milliseconds: in seconds, that would be the year 5138."""


@dataclass(frozen=True, kw_only=True)
class RawBars:
    """The rows of one symbol as they stand in the file: times (unix s) and columns, all of shape (n,); NaN for nothing."""

    symbol: str
    at: Floats
    columns: Mapping[str, Floats] = field(repr=False)
    notes: tuple[str, ...] = ()


def read_rows(path: str | Path) -> list[RawBars]:
    """Return what a file holds, by symbol; one without a column of symbols is a symbol of the file's name.

    Raises NotFound where there is no such file, or Parquet cannot be read here; InvalidInput for a folder and a file
    without rows, and, with the row, for a missing column, a date that is none or may be read two ways, and a price that is
    no number.
    """
    file = Path(path)
    if file.is_dir():
        raise InvalidInput(f"{file} is a folder: name the files in it, such as {_example(file)}.")
    if not file.is_file():
        raise NotFound(f"no file {file}.")
    rows = list(_parquet(file) if file.suffix == ".parquet" else _csv(file))
    if not rows:
        raise InvalidInput(f"{file} has no rows.")
    columns, unread = _columns(file, rows[0])
    notes = (f"{file.name}: not read: {', '.join(unread)}",) if unread else ()
    at = _times(file, [row[columns["date"]] for row in rows])
    symbols = [str(row[columns["symbol"]]) for row in rows] if "symbol" in columns else [file.name.split(".")[0]] * len(rows)
    wanted = [name for name in (*PRICES, "adjusted", "volume") if name in columns]
    values = {
        name: np.array([_number(file, at_row, name, row[columns[name]]) for at_row, row in enumerate(rows, 1)])
        for name in wanted
    }
    return [
        RawBars(
            symbol=name,
            at=at[where],
            columns={each: values[each][where] for each in wanted},
            notes=notes if not place else (),
        )
        for place, (name, where) in enumerate(_by_symbol(symbols).items())
    ]


def _example(folder: Path) -> Path:
    """Return a file of prices in a folder, or how one could be called."""
    found = (each for each in sorted(folder.iterdir()) if each.name.endswith((".csv", ".csv.gz", ".parquet")))
    return next(found, folder / "prices.csv")


def _by_symbol(symbols: Sequence[str]) -> dict[str, NDArray[np.intp]]:
    found: dict[str, list[int]] = {}
    for row, name in enumerate(symbols):
        found.setdefault(name, []).append(row)
    return {name: np.array(rows, dtype=np.intp) for name, rows in sorted(found.items())}


def _columns(file: Path, row: Mapping[str, Any]) -> tuple[dict[str, str], list[str]]:
    """Return the file's own name of each column that is read, and the columns that are not."""
    columns: dict[str, str] = {}
    unread = []
    for name in row:
        known = _NAMES.get("".join(each for each in str(name).lower() if each.isalpha()))
        if known is None or known in columns:
            unread.append(str(name))
        else:
            columns[known] = name
    missing = [name for name in ("date", *PRICES) if name not in columns]
    if missing:
        raise InvalidInput(f"{file} has no column {', '.join(missing)}; it has {', '.join(str(name) for name in row)}.")
    return columns, unread


def _number(file: Path, row: int, name: str, value: object) -> float:
    """Return a cell as a number; NaN where it is empty."""
    if value is None or (isinstance(value, str) and value.strip().lower() in ("", "nan", "null", "none", "na")):
        return math.nan
    try:
        return float(value)  # type: ignore[arg-type] # what it cannot convert raises
    except (TypeError, ValueError) as error:
        raise InvalidInput(f"{file}, row {row}: {name} {value!r} is no number.") from error


def _times(file: Path, cells: Sequence[object]) -> Floats:
    """Return unix seconds. Dates like 3/4/2020 are read with the month first, or the day, whichever fits all rows."""
    if "/" in str(cells[0]):
        return _slashed(file, [str(each) for each in cells])
    found = []
    for row, cell in enumerate(cells, 1):
        try:
            found.append(_time(cell))
        except (ValueError, OverflowError, OSError) as error:
            raise InvalidInput(f"{file}, row {row}: {cell!r} is no date; write 2020-03-04, or unix seconds.") from error
    return np.array(found)


def _time(cell: object) -> float:
    if isinstance(cell, datetime):
        return cell.replace(tzinfo=cell.tzinfo or UTC).timestamp()
    text = str(cell).strip()
    try:
        number = float(text)
    except ValueError:
        moment = datetime.fromisoformat(text)
        return moment.replace(tzinfo=moment.tzinfo or UTC).timestamp()
    if not math.isfinite(number):
        raise ValueError(text)
    return number / 1e3 if number > _MILLISECONDS_FROM else number


def _slashed(file: Path, cells: Sequence[str]) -> Floats:
    """Return unix seconds of dates with slashes; where both readings fit all rows, by the one that has them in order."""
    month, day = _as(cells, _MONTH_FIRST), _as(cells, _DAY_FIRST)
    if month is None and day is None:
        raise InvalidInput(f"{file}: not all dates can be read as month/day/year, or as day/month/year; write 2020-03-04.")
    if month is None or day is None or np.array_equal(month, day):
        return np.asarray(day if month is None else month)
    back = [int(np.count_nonzero(np.diff(times) <= 0.0)) for times in (month, day)]
    if back[0] == back[1]:
        raise InvalidInput(f"{file}: {cells[0]!r} may be day or month first, and both fit; write dates as 2020-03-04.")
    return month if back[0] < back[1] else day


def _as(cells: Iterable[str], way: str) -> Floats | None:
    try:
        return np.array([datetime.strptime(cell.strip(), way).replace(tzinfo=UTC).timestamp() for cell in cells])
    except ValueError:
        return None


def _csv(file: Path) -> Iterator[Mapping[str, Any]]:
    try:
        with _opened(file) as stream:
            head = stream.readline()
            stream.seek(0)
            rows = csv.DictReader(stream, delimiter=";" if head.count(";") > head.count(",") else ",", restkey="beyond")
            for number, row in enumerate(rows, 1):
                if "beyond" in row or None in row.values():
                    raise InvalidInput(f"{file}, row {number} has another number of cells than the head has.")
                yield row
    except (csv.Error, UnicodeDecodeError, EOFError, gzip.BadGzipFile) as error:
        raise InvalidInput(f"{file} is no CSV file: {error}.") from error


def _opened(file: Path) -> TextIO:
    if file.suffix == ".gz":
        return gzip.open(file, "rt", encoding="utf-8-sig", newline="")
    return file.open(encoding="utf-8-sig", newline="")


def _parquet(file: Path) -> Iterator[Mapping[str, Any]]:
    try:
        arrow, parquet = import_module("pyarrow"), import_module("pyarrow.parquet")
    except ImportError as error:
        raise NotFound("Parquet needs an extra: `pip install 'steersman[parquet]'`.") from error
    try:
        for batch in parquet.ParquetFile(file).iter_batches():
            yield from batch.to_pylist()
    except (OSError, arrow.ArrowException) as error:
        raise InvalidInput(f"{file} is no Parquet file: {error}.") from error

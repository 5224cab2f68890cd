"""A CI history from a file: CSV (";" or ",") or Parquet, with a row for each run of a test in a cycle.

Columns: `Name`, `Duration`, `Verdict` (1 or 0, or a word for failed or passed) and `Cycle` or `BuildId`. Others are not
read: `LastResults` is known to tell what only the cycle itself could show.
"""

import csv
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from steersman.core.errors import InvalidInput, NotFound

_FAILED = {"1": True, "0": False, "failed": True, "fail": True, "error": True, "passed": False, "pass": False}


@dataclass(frozen=True, kw_only=True)
class Cycle:
    """One cycle: the tests that ran, how long each took and whether it failed, n of each."""

    name: str
    tests: tuple[str, ...]
    durations: NDArray[np.float64]
    failed: NDArray[np.bool_]


def read_history(path: str | Path) -> list[Cycle]:
    """Return the cycles of a file in their order: by number where all have one, else as they come.

    Raises NotFound where there is no such file, or Parquet cannot be read here, and InvalidInput, with the row, for a column
    that is missing, a duration that is none, an unknown verdict, and a file without rows.
    """
    file = Path(path)
    if not file.is_file():
        raise NotFound(f"no file {file}.")
    rows = _parquet(file) if file.suffix == ".parquet" else _csv(file)
    cycles: dict[str, list[tuple[str, float, bool]]] = {}
    cycle_column = ""
    for number, row in enumerate(rows, 1):
        cycle_column = cycle_column or _columns(file, row)
        cycles.setdefault(str(row[cycle_column]), []).append(_run(file, number, row))
    if not cycles:
        raise InvalidInput(f"{file} has no rows.")
    return [_cycle(name, cycles[name]) for name in _in_order(cycles)]


def _columns(file: Path, row: Mapping[str, Any]) -> str:
    """Return the column of cycles. BuildId comes first: where both are there, Cycle is known to repeat itself."""
    found = next((name for name in ("BuildId", "Cycle") if name in row), "")
    missing = [name for name in ("Name", "Duration", "Verdict") if name not in row]
    if missing or not found:
        wanted = ", ".join([*missing, *([] if found else ["Cycle or BuildId"])])
        raise InvalidInput(f"{file} has no column {wanted}; it has {', '.join(str(each) for each in row)}.")
    return found


def _run(file: Path, number: int, row: Mapping[str, Any]) -> tuple[str, float, bool]:
    try:
        duration = float(row["Duration"])
    except (TypeError, ValueError):
        duration = math.nan
    if not math.isfinite(duration) or duration < 0.0:
        raise InvalidInput(f"{file}, row {number}: Duration {row['Duration']!r} must be a number, and not below 0.")
    failed = _FAILED.get(str(row["Verdict"]).strip().lower())
    if failed is None:
        raise InvalidInput(f"{file}, row {number}: Verdict {row['Verdict']!r} must be 1 (failed), 0, or a word for it.")
    return str(row["Name"]), duration, failed


def _cycle(name: str, runs: list[tuple[str, float, bool]]) -> Cycle:
    tests, durations, failed = zip(*runs, strict=True)
    return Cycle(name=name, tests=tests, durations=np.array(durations), failed=np.array(failed, dtype=np.bool_))


def _in_order(names: Iterable[str]) -> list[str]:
    try:
        return sorted(names, key=int)
    except ValueError:
        return list(names)


def _csv(file: Path) -> Iterator[Mapping[str, Any]]:
    try:
        with file.open(encoding="utf-8-sig", newline="") as stream:
            head = stream.readline()
            stream.seek(0)
            yield from csv.DictReader(stream, delimiter=";" if head.count(";") > head.count(",") else ",")
    except (csv.Error, UnicodeDecodeError) as error:
        raise InvalidInput(f"{file} is no CSV file: {error}.") from error


def _parquet(file: Path) -> Iterator[Mapping[str, Any]]:
    try:
        arrow, parquet = import_module("pyarrow"), import_module("pyarrow.parquet")
    except ImportError as error:
        raise NotFound("Parquet needs an extra: `pip install 'steersman[parquet]'`.") from error
    try:
        opened = parquet.ParquetFile(file)
        wanted = [each for each in opened.schema_arrow.names if each in ("Name", "Duration", "Verdict", "BuildId", "Cycle")]
        for batch in opened.iter_batches(columns=wanted):
            yield from batch.to_pylist()
    except (OSError, arrow.ArrowException) as error:
        raise InvalidInput(f"{file} is no Parquet file: {error}.") from error

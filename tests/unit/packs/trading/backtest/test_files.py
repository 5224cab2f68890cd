"""Prices are read from CSV and Parquet; what is no price says where it stands."""

import gzip
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest

from steersman.core.errors import InvalidInput, NotFound
from steersman.packs.trading.backtest.files import read_rows

HEAD = "Date,Open,High,Low,Close"


def written(folder: Path, *lines: str, name: str = "ABC.csv") -> Path:
    file = folder / name
    file.write_text("\n".join(lines) + "\n")
    return file


def test_a_file_without_symbols_is_a_symbol_of_its_name(tmp_path: Path) -> None:
    (found,) = read_rows(written(tmp_path, HEAD, "2020-01-02,1,2,0.5,1.5", "2020-01-03,1.5,2,1,2"))
    assert found.symbol == "ABC"
    assert found.at.tolist() == [1577923200.0, 1578009600.0]
    assert found.columns["close"].tolist() == [1.5, 2.0]


def test_columns_are_found_in_any_case_and_those_that_are_not_read_are_named(tmp_path: Path) -> None:
    file = written(
        tmp_path,
        "ticker;DATE;close;low;high;open;Adj Close;mood",
        "B;2020-01-02;1;1;1;1;1;good",
        "A;2020-01-02;2;2;2;2;2;bad",
    )
    found = read_rows(file)
    assert [each.symbol for each in found] == ["A", "B"]
    assert found[0].columns["adjusted"].tolist() == [2.0]
    assert found[0].notes == ("ABC.csv: not read: mood",)


def test_a_packed_file_and_parquet_say_the_same(tmp_path: Path) -> None:
    with gzip.open(tmp_path / "ABC.csv.gz", "wt") as file:
        file.write(f"{HEAD}\n2020-01-02,1,2,0.5,1.5\n")
    columns = {"date": ["2020-01-02"], "open": [1.0], "high": [2.0], "low": [0.5], "close": [1.5]}
    table = import_module("pyarrow").table(columns)
    import_module("pyarrow.parquet").write_table(table, tmp_path / "ABC.parquet")
    packed, parquet = read_rows(tmp_path / "ABC.csv.gz")[0], read_rows(tmp_path / "ABC.parquet")[0]
    assert packed.symbol == parquet.symbol == "ABC"
    assert packed.at.tolist() == parquet.at.tolist()
    assert {name: each.tolist() for name, each in packed.columns.items()} == {
        name: each.tolist() for name, each in parquet.columns.items()
    }


@pytest.mark.parametrize(
    ("cells", "days"),
    [
        (("1/2/2020", "1/13/2020"), ("2020-01-02", "2020-01-13")),  # there is no 13th month
        (("1/2/2020", "13/2/2020"), ("2020-02-01", "2020-02-13")),
        (("1/12/2020", "2/1/2020"), ("2020-01-12", "2020-02-01")),  # day first, the second would come before the first
        (("1577923200", "1578009600000"), ("2020-01-02", "2020-01-03")),
        (("2020-01-02 00:00:00+00:00", "2020-01-03T00:00"), ("2020-01-02", "2020-01-03")),
    ],
)
def test_dates_are_read_the_way_that_fits_all_rows(tmp_path: Path, cells: tuple[str, str], days: tuple[str, str]) -> None:
    (found,) = read_rows(written(tmp_path, HEAD, *(f"{cell},1,1,1,1" for cell in cells)))
    assert found.at.tolist() == np.array(days, dtype="datetime64[s]").astype(float).tolist()


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ((HEAD, "1/2/2020,1,1,1,1", "3/4/2020,1,1,1,1"), "may be day or month first, and both fit"),
        ((HEAD, "13/13/2020,1,1,1,1"), "not all dates can be read"),
        ((HEAD, "soon,1,1,1,1"), "row 1: 'soon' is no date"),
        ((HEAD, "nan,1,1,1,1"), "row 1: 'nan' is no date"),
        ((HEAD, "2020-01-02,1,one,1,1"), "row 1: high 'one' is no number"),
        ((HEAD, "2020-01-02,1,1"), "row 1 has another number of cells"),
        ((HEAD, "2020-01-02,1,1,1,1,1"), "row 1 has another number of cells"),
        (("Date,Open,Close", "2020-01-02,1,1"), "has no column high, low; it has Date, Open, Close"),
        ((HEAD,), "has no rows"),
    ],
)
def test_what_is_no_price_says_where_it_stands(tmp_path: Path, lines: tuple[str, ...], said: str) -> None:
    with pytest.raises(InvalidInput, match=said):
        read_rows(written(tmp_path, *lines))


def test_what_is_no_file_of_its_kind_is_told(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="no file"):
        read_rows(tmp_path / "nothing.csv")
    with pytest.raises(InvalidInput, match=r"is a folder: name the files in it, such as .*/prices\.csv"):
        read_rows(tmp_path)
    for name in ("a.parquet", "a.csv.gz"):
        (tmp_path / name).write_bytes(b"\xff\xfe\x00nonsense")
        with pytest.raises(InvalidInput, match=r"is no (Parquet|CSV) file"):
            read_rows(tmp_path / name)
    with pytest.raises(InvalidInput, match=r"is a folder: name the files in it, such as .*/a\.csv\.gz"):
        read_rows(tmp_path)

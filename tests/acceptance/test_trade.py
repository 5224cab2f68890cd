"""`steersman trade backtest` and `steersman trade leak` from the outside."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from steersman.packs.trading.backtest.synthetic import switching

SIZES = ("--train", "200", "--test", "100")


@pytest.fixture
def prices(tmp_path: Path) -> str:
    """A made-up market of two symbols as a file."""
    market = switching(2, 460)
    rows = ["Date,Symbol,Open,High,Low,Close"]
    for place, at in enumerate(market.at.tolist()):
        day = datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d")
        for column, symbol in enumerate(market.symbols):
            cells = (float(each[place, column]) for each in (market.open, market.high, market.low, market.close))
            rows.append(f"{day},{symbol},{','.join(f'{cell:.8f}' for cell in cells)}")
    (tmp_path / "prices.csv").write_text("\n".join(rows) + "\n")
    return "prices.csv"


def test_prices_of_the_past_are_played(command: Callable[..., Any], prices: str, tmp_path: Path) -> None:
    asked = ("trade", "backtest", prices, *SIZES, "--epochs", "1", "--commission", "0", "--json", "--html", "page.html")
    done = command(*asked)
    assert done.code == 0, done.err
    report = done.json
    assert report["symbols"] == ["S0", "S1"]
    assert [arm["name"] for arm in report["arms"]] == ["learned", "fixed rule", "buy and hold", "no trade"]
    assert report["warnings"] == ["no market is free: commission_bps is 0"]
    assert report["verdict"] in ("better", "worse", "cannot tell")
    assert len(report["trades"]) == report["arms"][0]["trades"] > 10
    assert "<svg" in (tmp_path / "page.html").read_text()
    assert command(*asked).json == report


def test_the_report_for_people(command: Callable[..., Any], prices: str) -> None:
    done = command("trade", "backtest", prices, *SIZES, "--epochs", "1", "--spread", "0", "--hold", "5", "--seed", "3")
    assert done.code == 0, done.err
    for word in (
        "S0, S1: 260 bars of tests",
        "buy and hold",
        "Verdict:",
        "deflated Sharpe ratio",
        "by regime",
        "The last 8 of",
    ):
        assert word in done.out
    assert "no market is free: spread_bps is 0" in done.err
    assert all(len(line) <= 100 for line in done.out.splitlines())


def test_what_was_mended_is_warned_of_even_if_quiet(command: Callable[..., Any], prices: str, tmp_path: Path) -> None:
    head, *rows = (tmp_path / prices).read_text().splitlines()
    day, symbol, *_ = rows[100].split(",")
    rows[100] = f"{day},{symbol},1,inf,1,1"
    (tmp_path / "mended.csv").write_text("\n".join([head, *reversed(rows), rows[0]]) + "\n")
    for name in ("backtest", "leak"):
        done = command("trade", name, "mended.csv", *SIZES, "-q")
        assert done.code == 0, done.err
        assert done.err.splitlines() == [
            "warning: S0: 1 row without a price left out",
            "warning: S0: rows were out of order and are sorted",
            "warning: S0: 1 row that came twice counts once",
            "warning: S1: rows were out of order and are sorted",
        ]


def test_a_page_that_cannot_be_written_is_told_before_anything_is_played(
    command: Callable[..., Any], prices: str, tmp_path: Path
) -> None:
    for file, why in (("nowhere/page.html", "No such file or directory"), (".", "Is a directory")):
        done = command("trade", "backtest", prices, *SIZES, "--html", file)
        assert (done.code, done.out) == (5, "")
        assert done.err == f"error: cannot write the page to {file}: {why}. Name another file with --html.\n"
    command("trade", "backtest", prices, "--html", "page.html")  # too few bars
    assert not (tmp_path / "page.html").exists()


def test_what_was_played_is_shown_even_if_the_page_cannot_be_written_after_all(
    command: Callable[..., Any], prices: str
) -> None:
    done = command("trade", "backtest", prices, *SIZES, "--epochs", "1", "-q", "--html", "/dev/full")
    assert done.code == 5
    assert "Verdict:" in done.out
    assert "cannot write the page to /dev/full: No space left on device" in done.err


def test_a_leak_is_looked_for_and_a_planted_one_found(command: Callable[..., Any], prices: str) -> None:
    done = command("trade", "leak", prices, *SIZES, "-q")
    assert (done.code, "No leak" in done.out) == (0, True), done.out + done.err
    done = command("trade", "leak", prices, *SIZES, "--plant", "state", "--json")
    assert (done.code, done.json["clean"]) == (2, False)
    assert {run["tamper"] for run in done.json["runs"]} == {"shift", "permute", "noise", "cut"}
    assert "states" in {leak["kind"] for run in done.json["runs"] for leak in run["leaks"]}


def test_what_cannot_be_played_is_told(command: Callable[..., Any], prices: str, tmp_path: Path) -> None:
    assert command("trade", "backtest", "nothing.csv").code == 6
    (tmp_path / "other.csv").write_text("a,b\n1,2\n")
    for arguments, said in (
        (("backtest", "other.csv"), "has no column date, open, high, low, close; it has a, b"),
        (("backtest", prices), "460 bars are too few: 504 to train and 126 to test"),
        (("backtest", prices, *SIZES, "--commission", "-1"), "--commission must lie in 0 to 1,000 basis points, got -1"),
        (("backtest", prices, *SIZES, "--account", "bold"), "--account 'bold' is none. Known: aggressive-small"),
        (("backtest", prices, *SIZES, "--accept", "holes"), "--accept 'holes' is none of gaps, jumps"),
        (("leak", prices, *SIZES, "--plant", "seed"), "--plant 'seed' is none"),
        (("leak", prices, *SIZES, "--since", "0.5"), "before the end of the first test at bar 300. Give --since 0.66"),
        (("backtest", "."), ". is a folder: name the files in it, such as other.csv"),
    ):
        done = command("trade", *arguments, "-q")
        assert (done.code, said in done.err) == (3, True), done.err

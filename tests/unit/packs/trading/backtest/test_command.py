"""A whole backtest: its report holds together, and its page shows it."""

import dataclasses
import re
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from steersman.app import Steersman
from steersman.cli.output import TerminalProgress, plain
from steersman.cli.trade import SETTINGS
from steersman.core.errors import InvalidInput
from steersman.packs.trading.backtest.arms import agents_of
from steersman.packs.trading.backtest.command import BacktestOptions, backtest, played
from steersman.packs.trading.backtest.page import WORDS, page
from steersman.packs.trading.backtest.report import HOLD, LEARNED, NOTHING, RULE, BacktestReport
from steersman.packs.trading.backtest.synthetic import switching

OPTIONS: dict[str, Any] = {"train": 200, "test": 100, "epochs": 1}


@pytest.fixture(scope="module")
def report() -> BacktestReport:
    """The report of one symbol, traded without a commission."""
    with Steersman.open("memory:", settings=SETTINGS) as steersman:
        options = BacktestOptions(data=(), commission_bps=0.0, **OPTIONS)
        return played(switching(1, 460), agents_of(steersman.agent), options, TerminalProgress(quiet=True))


def test_the_arms_are_reported_over_the_same_bars(report: BacktestReport) -> None:
    assert [each.name for each in report.arms] == [LEARNED, RULE, HOLD, NOTHING]
    assert (report.bars, len(report.days)) == (260, 261)
    for arm in report.arms:
        assert len(arm.equity) == 261
        assert arm.equity[0] == 1.0
        assert arm.final == pytest.approx(arm.equity[-1], abs=1e-6)
    learned, rule, hold, nothing = report.arms
    assert learned.trades == len(report.trades) > 10
    assert min(learned.costs, rule.costs, hold.costs) > 0.0 == nothing.costs
    assert hold.exposure == pytest.approx(1.0, abs=0.01)


def test_folds_multiply_to_what_the_arms_became(report: BacktestReport) -> None:
    assert len(report.folds) == 3
    for arm in report.arms:
        assert np.prod([1.0 + fold.returns[arm.name] for fold in report.folds]) == pytest.approx(arm.final)
    for fold in report.folds:
        assert fold.train_until < fold.first < fold.last


def test_what_was_tried_is_counted_and_judged(report: BacktestReport) -> None:
    assert report.tried == 26
    assert 0.0 <= report.deflated_sharpe <= 1.0
    assert 0.0 <= report.overfitting <= 1.0
    assert [each.other for each in report.comparisons] == [RULE, HOLD, NOTHING]
    assert report.verdict in WORDS


def test_signals_and_positions_are_those_of_the_regimes(report: BacktestReport) -> None:
    for row in report.regimes:
        for name, choices in row.choices.items():
            assert sum(share for _, share in choices) == pytest.approx(1.0 if choices else 0.0), name
    assert {trade.regime for trade in report.trades} <= {row.regime for row in report.regimes}


def test_a_free_market_is_warned_of(report: BacktestReport) -> None:
    assert report.warnings == ("no market is free: commission_bps is 0",)


def test_the_report_is_plain_numbers_as_json(report: BacktestReport) -> None:
    found = msgspec.json.decode(msgspec.json.encode(plain(report)))
    assert isinstance(found["overfitting"], float)
    assert {type(arm[name]) for arm in found["arms"] for name in ("final", "growth", "turnover", "costs")} == {float}
    assert not re.search(r"NaN|Infinity|array|float64", str(found))


def test_the_page_shows_all_of_it_and_needs_nothing_else(report: BacktestReport) -> None:
    shown = page(report)
    for word in (
        WORDS[report.verdict],
        "no market is free",
        "What one became",
        report.folds[0].first,
        report.trades[0].opened,
    ):
        assert word in shown
    assert shown.count("<svg") == 4
    assert len(re.findall(r"<polyline", shown)) == 3 + 4 + 3
    assert not re.search(r"https?://|<script|nan", shown)
    for points in re.findall(r'points="([^"]+)"', shown):
        assert all(len(point.split(",")) == 2 for point in points.split())


def test_the_legend_names_what_was_chosen_in_the_colour_it_has_in_the_bars(report: BacktestReport) -> None:
    shown = page(report)
    legend = shown.partition('<ul class="legend"')[2].partition("</ul>")[0]
    assert "nhits" not in legend
    assert "patchtst" not in legend
    told = set(re.findall(r'class="(k\d)"></i>([^<]+)</span>', legend))
    bars = set(re.findall(r'<i class="(k\d)" style="[^"]+" title="([^"]+) · \d+ %"', shown))
    assert told == bars


def test_what_a_file_says_is_text_on_the_page(report: BacktestReport) -> None:
    shown = page(dataclasses.replace(report, symbols=("<b>A</b>",), notes=("<i>so</i>",)))
    assert "<b>A</b>" not in shown
    assert "&lt;b&gt;A&lt;/b&gt;" in shown
    assert "<i>so</i>" not in shown


def test_without_any_position_there_is_a_page(report: BacktestReport) -> None:
    still = dataclasses.replace(
        report,
        arms=tuple(dataclasses.replace(each, equity=(1.0,) * 261, trades=0, won=None) for each in report.arms),
        trades=(),
        regimes=(),
    )
    assert "There was no signal." in page(still)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"epochs": 0}, "--epochs needs at least 1, got 0."),
        ({"seed": -1}, "--seed needs at least 0, got -1."),
        ({"train": 0}, "--train needs at least 200 bars, got 0."),
        ({"commission_bps": -1.0}, "--commission must lie in 0 to 1,000 basis points, got -1."),
        ({"borrow_pct": 101.0}, "--borrow must lie in 0 to 100 % a year, got 101."),
    ],
)
def test_options_that_do_not_fit_are_refused_by_name_before_a_file_is_read(wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidInput, match=f"^{re.escape(said)}$"):
        BacktestOptions(data=("nothing.csv",), **wrong)


def test_too_few_bars_are_told(tmp_path: Path) -> None:
    rows = "".join(f"{86_400 * day},1,1,1,1\n" for day in range(1, 100))
    (tmp_path / "A.csv").write_text(f"date,open,high,low,close\n{rows}")
    options = BacktestOptions(data=(str(tmp_path / "A.csv"),), **OPTIONS)
    with Steersman.open("memory:", settings=SETTINGS) as steersman, pytest.raises(InvalidInput, match="99 bars are too few"):
        backtest(steersman.agent, options, TerminalProgress(quiet=True))

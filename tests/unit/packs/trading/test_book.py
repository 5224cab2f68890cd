"""The book makes states and measurements from what is known so far; a position counts once, however often it is told."""

import math
from dataclasses import replace

import numpy as np
import pytest

from steersman.core.errors import Conflict, InvalidInput, NotFound
from steersman.packs.trading.agents.meta_strategy import agent as meta
from steersman.packs.trading.agents.position_sizing import agent as sizing
from steersman.packs.trading.book import Book, Closed, Opened
from steersman.packs.trading.market import Bar, Features

SEEN = Features(regime="trend", volatility=0.012, pressure=0.4, atr=0.01)


def opened(name: str, symbol: str = "AAA", **more: float) -> Opened:
    return replace(
        Opened(id=name, symbol=symbol, confidence=0.8, size=1.0, leverage=2.0, volatility=0.012),
        **more,  # type: ignore[arg-type]  # the fields that tests change are numbers
    )


def closed(name: str, pct: float) -> Closed:
    return Closed(id=name, move_pct=pct, return_pct=pct, pnl_pct=pct / 10.0, max_drawdown_pct=1.0)


def trade(book: Book, name: str, pct: float, symbol: str = "AAA") -> dict[str, float]:
    book.opened(opened(name, symbol))
    return book.closed(closed(name, pct)).meta


def test_states_fit_both_agents_from_the_first_moment_on() -> None:
    book = Book()
    assert meta.state.check(book.meta_state("AAA", 0.7, 10.0))[0]["regime"] == "unknown"
    assert sizing.state.check(book.sizing_state("AAA", 0.7, 10.0))[0]["atr"] == 0.0
    rng = np.random.default_rng(0)
    closes = (100.0 * np.exp(np.cumsum(rng.normal(0.0, 0.08, 60)))).tolist()
    book.add_bars("AAA", [Bar(at=i, high=c * 1.2, low=c * 0.8, close=c) for i, c in enumerate(closes)])
    state, clamped = sizing.state.check(book.sizing_state("AAA", 0.7, 60.0))
    assert state["atr"] == 0.1, "the end of the range stands for all beyond"
    assert clamped == 0
    assert book.meta_state("BBB", 0.7, 60.0)["regime"] == "unknown", "each symbol has bars of its own"


def test_the_sharpe_ratio_is_that_of_the_trades_before_this_one() -> None:
    book = Book()
    pcts = [2.0, -1.0] * 10
    ratios = [trade(book, f"p{index}", pct)["sharpe"] for index, pct in enumerate(pcts)]
    assert ratios == [0.0] * 20, "twenty trades have to be over first"
    spread = float(np.std(pcts, ddof=1))
    assert trade(book, "p20", 50.0)["sharpe"] == pytest.approx(math.tanh(0.5 / spread), abs=1e-12)
    later = [*pcts[1:], 50.0]
    expected = math.tanh(float(np.mean(later)) / float(np.std(later, ddof=1)))
    assert trade(book, "p21", -50.0)["sharpe"] == pytest.approx(expected, abs=1e-12)


def test_trades_of_other_symbols_do_not_count() -> None:
    book = Book()
    for index in range(20):
        trade(book, f"a{index}", 1.0)
        trade(book, f"b{index}", -1.0, symbol="BBB")
    rates = [book.meta_state(symbol, 0.7, 0.0)["win_rate"] for symbol in ("AAA", "BBB", "CCC")]
    assert rates == [1.0, 0.0, 0.5]


def test_alignment_goes_by_the_move_of_the_price_and_not_by_costs() -> None:
    book = Book()
    book.opened(opened("p"))
    measured = book.closed(Closed(id="p", move_pct=0.01, return_pct=-0.1, pnl_pct=-0.02, max_drawdown_pct=0.2))
    assert measured.meta == {"pnl_pct": -0.1, "max_drawdown_pct": 0.2, "sharpe": 0.0, "alignment": 0.8}
    assert measured.sizing == {"pnl_pct": -0.02, "leverage": 2.0, "exposure": 0.1, "volatility": 0.012}


def test_measurements_fit_both_agents() -> None:
    book = Book()
    book.opened(opened("p"))
    measured = book.closed(closed("p", 3.0))
    assert meta.reward.check(measured.meta) == measured.meta
    assert sizing.reward.check(measured.sizing) == measured.sizing


def test_a_close_that_is_told_again_says_the_same_and_counts_once() -> None:
    book = Book()
    for index in range(20):
        trade(book, f"p{index}", float(index % 3 - 1))
    book.opened(opened("p"))
    first = book.closed(closed("p", 4.0))
    equity, returns = book.accounts["main"].equity, book.returns("AAA")
    assert book.closed(closed("p", 4.0)) == first
    assert (book.accounts["main"].equity, book.returns("AAA")) == (equity, returns)


def test_a_correction_takes_the_place_of_what_was_told() -> None:
    book, other = Book(), Book()
    trade(book, "p", 4.0)
    book.closed(closed("p", -2.0))
    trade(other, "p", -2.0)
    assert book.returns("AAA") == other.returns("AAA") == [-2.0]
    assert book.accounts["main"].equity == pytest.approx(other.accounts["main"].equity, abs=1e-9)


def test_equity_and_exposure_are_those_of_the_account() -> None:
    book = Book(equity=1_000.0)
    book.account("small", mode="aggressive-small", equity=100.0)
    book.opened(opened("p", size=1.8))
    book.opened(replace(opened("q", symbol="BBB"), account="small"))
    assert book.exposure() == pytest.approx(0.18)
    assert book.exposure("small") == pytest.approx(0.1)
    assert book.sizing_state("AAA", 0.7, 0.0, seen=SEEN)["exposure"] == pytest.approx(0.18)
    assert book.sizing_state("AAA", 0.7, 0.0, seen=SEEN, account="small")["account_mode"] == "aggressive-small"
    book.closed(closed("p", -100.0))
    assert book.accounts["main"].equity == pytest.approx(900.0)
    assert book.accounts["small"].equity == 100.0
    assert book.meta_state("AAA", 0.7, 0.0, seen=SEEN)["account_health"] == 0.6


def test_what_a_position_made_is_of_the_equity_when_it_was_opened() -> None:
    book = Book(equity=1_000.0)
    book.opened(opened("p"))
    book.opened(opened("q"))
    book.closed(closed("p", 100.0))
    book.closed(closed("q", 100.0))
    assert book.accounts["main"].equity == pytest.approx(1_200.0), "and not 1210: both were opened at 1000"


def test_the_larger_drawdown_counts() -> None:
    book = Book()
    assert book.sizing_state("AAA", 0.7, 0.0, drawdown=0.04)["drawdown"] == 0.04
    book.mark(98_000.0)
    book.mark(91_000.0)
    assert book.sizing_state("AAA", 0.7, 0.0, drawdown=0.04)["drawdown"] == pytest.approx(0.09)
    book.mark(50_000.0)
    assert book.sizing_state("AAA", 0.7, 0.0)["drawdown"] == 0.1, "the end of the range stands for all beyond"
    with pytest.raises(InvalidInput):
        book.sizing_state("AAA", 0.7, 0.0, drawdown=math.nan)


def test_while_it_is_open_the_last_word_on_a_position_counts() -> None:
    book = Book()
    book.opened(opened("p"))
    book.opened(opened("p", size=0.4))
    assert book.exposure() == pytest.approx(0.04)
    assert book.closed(closed("p", 1.0)).sizing["exposure"] == pytest.approx(0.04)
    with pytest.raises(Conflict, match="was closed"):
        book.opened(opened("p"))


def test_what_is_not_there_is_named() -> None:
    book = Book()
    book.opened(opened("main/AAA/1"))
    with pytest.raises(NotFound, match="Did you mean 'main/AAA/1'"):
        book.closed(closed("main/AAA/2", 1.0))
    with pytest.raises(InvalidInput, match="no account 'mian'"):
        book.meta_state("AAA", 0.7, 0.0, account="mian")
    with pytest.raises(InvalidInput, match="pnl_pct"):
        Closed(id="p", move_pct=0.0, return_pct=0.0, pnl_pct=math.nan, max_drawdown_pct=0.0)

"""A backtest sees what the pack sees of the same bars anywhere, and nothing later."""

import pytest

from steersman.core.errors import InvalidInput
from steersman.packs.trading.backtest.seen import Seen, SeenBook
from steersman.packs.trading.backtest.synthetic import switching
from steersman.packs.trading.book import Book
from steersman.packs.trading.market import Bar


def test_states_are_those_of_a_book_that_gets_bar_by_bar() -> None:
    market = switching(1, 130, seed=3)
    replayed, live = SeenBook(Seen(market), mode="normal", equity=1.0), Book(mode="normal", equity=1.0)
    for place, at in enumerate(market.at.tolist()):
        prices = (float(each[place, 0]) for each in (market.high, market.low, market.close))
        high, low, close = prices
        live.add_bars("S0", [Bar(at=at, high=high, low=low, close=close)])
        assert replayed.meta_state("S0", 0.5, at) == live.meta_state("S0", 0.5, at)
        assert replayed.sizing_state("S0", 0.5, at) == live.sizing_state("S0", 0.5, at)


def test_a_planted_leak_sees_one_bar_more() -> None:
    market = switching(1, 100, seed=3)
    honest, ahead = Seen(market), Seen(market, ahead=1)
    at, after = float(market.at[60]), float(market.at[61])
    assert ahead.features("S0", at) == honest.features("S0", after) != honest.features("S0", at)


def test_the_book_of_a_backtest_takes_no_bars() -> None:
    with pytest.raises(InvalidInput, match="has its bars already"):
        SeenBook(Seen(switching(1, 60)), mode="normal", equity=1.0).add_bars("S0", [])

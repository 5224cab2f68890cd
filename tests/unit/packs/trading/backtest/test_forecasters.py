"""Networks forecast beside the boosters where they are asked for, from what was known by then alone."""

from collections.abc import Iterator

import numpy as np
import pytest

from steersman.packs.trading.backtest import forecasters
from steersman.packs.trading.backtest.boosters import HORIZON, Stretch, forecasts
from steersman.packs.trading.backtest.data import Market
from steersman.packs.trading.backtest.synthetic import random_walk, switching
from steersman.packs.trading.models import CHOSEN, missing

STRETCHES = [Stretch(known=390, first=400, last=500)]


def heard(_: str) -> None:
    """Nobody listens."""


@pytest.fixture(autouse=True)
def networks(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv(CHOSEN, "nhits,patchtst")
    monkeypatch.setattr(forecasters, "UPDATES", 40)
    missing.cache_clear()
    yield
    monkeypatch.undo()
    missing.cache_clear()


def changed(market: Market, first: int, last: int, *names: str) -> Market:
    values = {name: getattr(market, name).copy() for name in ("open", "high", "low", "close")}
    for name in names:
        values[name][first:last] *= np.linspace(0.8, 1.2, last - first)[:, None]
    return Market(symbols=market.symbols, at=market.at, **values)


@pytest.mark.long
def test_networks_forecast_inside_their_stretches_and_the_same_to_the_bit() -> None:
    market = switching(2, 500, seed=1)
    one, other = (forecasts(market, STRETCHES, heard) for _ in range(2))
    assert set(one) == {"nhits", "patchtst"}
    for name, each in one.items():
        assert np.isnan(each[:400]).all()
        assert ((each[400:] > 0.0) & (each[400:] < 1.0)).all()
        assert np.array_equal(each, other[name], equal_nan=True)


def test_what_is_not_known_yet_changes_no_forecast() -> None:
    market = switching(2, 500, seed=1)
    one = forecasts(market, STRETCHES, heard)
    embargo = changed(market, 390, 400, "open")
    for other, same in (
        (changed(embargo, 450, 500, "open", "close"), True),
        (changed(market, 380, 390, "open"), False),  # answers that were known
    ):
        found = forecasts(other, STRETCHES, heard)
        for name, chances in one.items():
            assert np.array_equal(chances[:450], found[name][:450], equal_nan=True) is same


def test_windows_end_at_the_bar_and_answers_begin_two_later() -> None:
    market = random_walk(1, 120)
    past, later = forecasters.windows(market, HORIZON)
    bar = 80
    assert past[bar].tolist() == np.log(market.close[bar - 63 : bar + 1, 0]).tolist()
    assert later[bar].tolist() == np.log(market.open[bar + 2 : bar + 2 + HORIZON, 0]).tolist()
    assert np.isnan(past[:63]).all()
    assert np.isnan(later[-HORIZON - 1 :]).all()


def test_too_little_past_gives_no_forecast() -> None:
    found = forecasts(random_walk(1, 130), [Stretch(known=110, first=115, last=130)], heard)
    assert all(np.isnan(each).all() for each in found.values())

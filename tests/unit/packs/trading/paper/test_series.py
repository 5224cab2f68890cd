"""A run goes on with the prices and terms that it was begun with; later bars may follow."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from steersman.core.errors import Conflict
from steersman.packs.trading.backtest.broker import Costs
from steersman.packs.trading.backtest.data import Market
from steersman.packs.trading.backtest.simulation import Terms
from steersman.packs.trading.backtest.synthetic import switching
from steersman.packs.trading.backtest.walk import Walk
from steersman.packs.trading.paper.series import Series

BEGUN = Series(account="main", market=switching(2, 60, seed=5), terms=Terms(), walk=Walk())


def cut(market: Market, bars: int) -> Market:
    prices = {name: getattr(market, name)[:bars] for name in ("at", "open", "high", "low", "close")}
    return replace(market, **prices)


def test_the_same_prices_and_terms_go_on_and_so_do_later_bars() -> None:
    BEGUN.check(BEGUN.words)
    BEGUN.check(replace(BEGUN, market=cut(BEGUN.market, 50)).words)


@pytest.mark.parametrize(
    ("other", "named"),
    [
        ({"market": switching(2, 60, seed=6)}, "other prices"),
        ({"market": cut(BEGUN.market, 50)}, "other prices"),
        ({"market": switching(3, 60, seed=5)}, "symbols S0, S1, not S0, S1, S2"),
        ({"terms": Terms(mode="defensive")}, "account normal, not defensive"),
        ({"terms": Terms(costs=Costs(slippage_bps=3.0))}, "slippage_bps 2.0, not 3.0"),
        ({"terms": Terms(hold_bars=5)}, "hold_bars 10, not 5"),
        ({"walk": Walk(train=400)}, "train 504, not 400"),
    ],
)
def test_other_prices_or_terms_are_refused_by_name_with_the_way_out(other: dict[str, Any], named: str) -> None:
    with pytest.raises(Conflict, match="--run NAME") as told:
        replace(BEGUN, **other).check(BEGUN.words)
    assert named in str(told.value)

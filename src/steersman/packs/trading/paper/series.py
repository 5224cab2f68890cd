"""Series: what a run is played on, in a few words, so that no run goes on with other prices or on other terms."""

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass

import msgspec
import numpy as np

from steersman.core.errors import Conflict
from steersman.packs.trading.backtest.data import Market
from steersman.packs.trading.backtest.simulation import Terms
from steersman.packs.trading.backtest.walk import Walk

Term = str | int | float


class Begun(msgspec.Struct, frozen=True, kw_only=True):
    """How a run was begun: over how many bars, with which prices (a hash of them), and on which terms."""

    bars: int
    prices: str
    terms: dict[str, Term]


@dataclass(frozen=True, kw_only=True)
class Series:
    """The prices and terms of the run of an account."""

    account: str
    market: Market
    terms: Terms
    walk: Walk

    @property
    def words(self) -> str:
        """JSON that `check` reads."""
        bars = len(self.market)
        return msgspec.json.encode(Begun(bars=bars, prices=self._prices(bars), terms=dict(self._terms))).decode()

    def check(self, before: str) -> None:
        """Raise Conflict unless this goes on with what was begun: the same prices, perhaps with later bars, and terms."""
        begun = msgspec.json.decode(before, type=Begun)
        others = [
            f"{name} {begun.terms.get(name)}, not {value}"
            for name, value in self._terms.items()
            if begun.terms.get(name) != value
        ]
        if len(self.market) < begun.bars or self._prices(begun.bars) != begun.prices:
            others.append("other prices")
        if others:
            raise Conflict(
                f"run {self.account!r} was begun with {'; '.join(others)}: its answers in the log are to other questions. "
                "Go on with it as it was begun, or begin another one with --run NAME."
            )

    @property
    def _terms(self) -> Mapping[str, Term]:
        terms = asdict(self.terms)
        costs = terms.pop("costs")
        return {
            "symbols": ", ".join(self.market.symbols),
            "account": terms.pop("mode"),
            **terms,
            **costs,
            **asdict(self.walk),
        }

    def _prices(self, bars: int) -> str:
        """Return a hash of the first bars."""
        found = hashlib.sha256()
        for name in ("at", "open", "high", "low", "close"):
            found.update(np.ascontiguousarray(getattr(self.market, name)[:bars]).tobytes())
        return found.hexdigest()[:16]

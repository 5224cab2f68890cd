"""What can be seen of a market at a bar: the features of the pack, from past bars alone, worked out once for all arms."""

import numpy as np

from steersman.core.errors import InvalidInput
from steersman.packs.trading.backtest.data import Market
from steersman.packs.trading.backtest.signals import prices_of
from steersman.packs.trading.book import Book
from steersman.packs.trading.market import WINDOW, Features, features


class Seen:
    """The features of each symbol at each time. `ahead` bars too many are seen where a leak is planted; else 0."""

    def __init__(self, market: Market, *, ahead: int = 0) -> None:
        self._ahead = ahead
        self._known: dict[tuple[str, float], Features] = {}
        self._bars = {}
        for column, symbol in enumerate(market.symbols):
            rows, prices = prices_of(market, column)
            high, low = np.maximum(prices.high, prices.close), np.minimum(prices.low, prices.close)
            self._bars[symbol] = market.at[rows], np.column_stack([high, low, prices.close])

    def features(self, symbol: str, at: float) -> Features:
        """Return what the bars up to a time (unix s) say, that time included."""
        if (symbol, at) not in self._known:
            times, bars = self._bars[symbol]
            end = int(np.searchsorted(times, at, side="right")) + self._ahead
            self._known[symbol, at] = features(bars[max(end - WINDOW, 0) : end])
        return self._known[symbol, at]


class SeenBook(Book):
    """The book of a backtest: its features come from `Seen`, as those of the same bars do anywhere."""

    def __init__(self, seen: Seen, *, mode: str, equity: float) -> None:
        super().__init__(mode=mode, equity=equity)
        self._seen = seen

    def features(self, symbol: str, at: float) -> Features:
        """Return what the bars say up to a time."""
        return self._seen.features(symbol, at)

    def add_bars(self, symbol: str, bars: object) -> None:
        """Refuse bars: all of them are known. Raises InvalidInput."""
        raise InvalidInput(f"{symbol}: the book of a backtest has its bars already, and was given {bars!r}.")

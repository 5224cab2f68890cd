"""Walk forward: train on what was, leave a gap, play what comes next by what was learned, and go on from there.

    bars   |── train ──────────────|gap|── test 1 ──|── test 2 ──| …
    models  learn on the first half, and forecast for the second; from then on they are trained anew for each test
    agents            learn on the second half, then on each test once it is over

Sizes are in bars from the first one, so that nothing about a fold depends on how long the data go on.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from steersman.core.errors import InvalidInput
from steersman.packs.trading.backtest.boosters import Stretch

MIN_TRAIN, MIN_TEST = 200, 20


@dataclass(frozen=True, kw_only=True)
class Fold:
    """Bars to learn from, [train_first, train_last), and bars to be tested on, [first, last)."""

    train_first: int
    train_last: int
    first: int
    last: int


@dataclass(frozen=True, kw_only=True)
class Walk:
    """How the bars are cut: in how many one learns first, the gap before each test, and how long a test is."""

    train: int = 504
    embargo: int = 10
    test: int = 126

    def __post_init__(self) -> None:
        for name, bars, least in (("--train", self.train, MIN_TRAIN), ("--test", self.test, MIN_TEST)):
            if bars < least:
                raise InvalidInput(f"{name} needs at least {least} bars, got {bars}.")
        most = self.train // 4 - 1
        if not 1 <= self.embargo <= most:
            raise InvalidInput(f"--embargo must lie in 1 to {most} bars, below a quarter of --train, got {self.embargo}.")

    def folds(self, bars: int) -> list[Fold]:
        """Return the folds of so many bars; the last test may be shorter. Raises InvalidInput where there is none."""
        if bars < self.train + self.test:
            raise InvalidInput(
                f"{bars} bars are too few: {self.train} to train and {self.test} to test are {self.train + self.test}. "
                "Give more, or make `--train` and `--test` smaller."
            )
        return list(self._folds(bars))

    def _folds(self, bars: int) -> Iterator[Fold]:
        train_first = self.train // 2
        for first in range(self.train, bars, self.test):
            train_last = first - self.embargo
            yield Fold(train_first=train_first, train_last=train_last, first=first, last=min(first + self.test, bars))
            train_first = train_last

    def stretches(self, bars: int) -> list[Stretch]:
        """Return for which bars models forecast, and what they may know: answers end the embargo before that."""
        begins = [self.train // 2, *range(self.train, bars, self.test)]
        ends = [*begins[1:], bars]
        return [
            Stretch(known=first - self.embargo, first=first, last=last) for first, last in zip(begins, ends, strict=True)
        ]

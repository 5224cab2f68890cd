"""Folds follow each other, with a gap between what is learned from and what is tested."""

import pytest

from steersman.core.errors import InvalidInput
from steersman.packs.trading.backtest.walk import Fold, Walk

WALK = Walk(train=200, embargo=10, test=100)


def test_folds_by_hand() -> None:
    assert WALK.folds(450) == [
        Fold(train_first=100, train_last=190, first=200, last=300),
        Fold(train_first=190, train_last=290, first=300, last=400),
        Fold(train_first=290, train_last=390, first=400, last=450),
    ]
    assert [(each.known, each.first, each.last) for each in WALK.stretches(450)] == [
        (90, 100, 200),
        (190, 200, 300),
        (290, 300, 400),
        (390, 400, 450),
    ]


@pytest.mark.parametrize("bars", [300, 301, 450, 999])
def test_every_bar_is_tested_once_and_learned_from_before_nothing_of_it(bars: int) -> None:
    folds = WALK.folds(bars)
    assert [bar for fold in folds for bar in range(fold.first, fold.last)] == list(range(200, bars))
    for fold in folds:
        assert fold.train_last == fold.first - 10
    learned = [bar for fold in folds for bar in range(fold.train_first, fold.train_last)]
    assert learned == list(range(100, folds[-1].train_last))
    for stretch in WALK.stretches(bars):
        assert stretch.known == stretch.first - 10


def test_what_comes_later_moves_no_fold() -> None:
    assert WALK.folds(1_000)[:5] == WALK.folds(700)


def test_too_few_bars_and_strange_sizes_are_refused() -> None:
    with pytest.raises(InvalidInput, match="299 bars are too few: 200 to train and 100 to test are 300"):
        WALK.folds(299)
    for train, embargo, test, said in (
        (199, 10, 100, "^--train needs at least 200 bars, got 199"),
        (200, 0, 100, "^--embargo must lie in 1 to 49 bars, below a quarter of --train, got 0"),
        (200, 50, 100, "^--embargo must lie in 1 to 49 bars, below a quarter of --train, got 50"),
        (200, 10, 19, "^--test needs at least 20 bars, got 19"),
    ):
        with pytest.raises(InvalidInput, match=said):
            Walk(train=train, embargo=embargo, test=test)

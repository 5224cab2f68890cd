"""Paired differences, by hand."""

import pytest

from steersman.packs.qe.bench.comparison import compare


def test_interval_and_verdict_by_hand() -> None:
    # differences 1, 2, 3, 4, 5: mean 3, standard deviation √2.5, half width 2.776·√(2.5/5) = 1.963
    pairs = [(float(i), 0.0) for i in range(1, 6)]
    row = compare("reward", "", pairs, higher_is_better=True)
    assert (row.difference, row.verdict, row.n) == (3.0, "better", 5)
    assert row.low == pytest.approx(3 - 1.963, abs=0.001)
    assert compare("time", "s", pairs, higher_is_better=False).verdict == "worse"


def test_few_or_equal_pairs_cannot_tell() -> None:
    assert compare("reward", "", [(9.0, 0.0)] * 4, higher_is_better=True).verdict == "cannot tell yet"
    assert compare("reward", "", [(1.0, 1.0)] * 9, higher_is_better=True).verdict == "cannot tell yet"
    assert compare("reward", "", [], higher_is_better=True).n == 0

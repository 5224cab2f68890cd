"""NAPFD agrees with hand-computed cases, is best for failures first, and a budget is filled but never exceeded."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from steersman.core.errors import InvalidInput
from steersman.maths.prioritisation import napfd, within

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
FAILED = arrays(np.bool_, st.integers(1, 30)).filter(lambda each: bool(each.any()))


def flags(text: str) -> Flags:
    return np.array([each == "x" for each in text])


@pytest.mark.parametrize(
    ("failed", "runs", "expected"),
    [
        ("x....", "xxxxx", 1 - 1 / 5 + 1 / 10),
        ("....x", "xxxxx", 1 - 5 / 5 + 1 / 10),
        ("x..x.", "xxxxx", 1 - (1 + 4) / (5 * 2) + 1 / 10),
        ("x..x.", "xxx..", 1 / 2 - 1 / (5 * 2) + 1 / 20),  # one of two is run, first
        (".x...", "x.xxx", 0.0),  # what is skipped is not found
        ("..x..", ".xx..", 1 - 2 / 5 + 1 / 10),  # the second of those that run
        ("x", "x", 0.5),
    ],
)
def test_cases_by_hand(failed: str, runs: str, expected: float) -> None:
    assert napfd(flags(failed), flags(runs)) == pytest.approx(expected)


def test_without_a_failure_there_is_nothing_to_detect() -> None:
    with pytest.raises(InvalidInput, match="leave out"):
        napfd(flags("..."), flags("xxx"))


@given(FAILED)
def test_failures_first_is_best_and_failures_last_is_worst(failed: Flags) -> None:
    every = np.ones(len(failed), dtype=np.bool_)
    best, worst = np.sort(failed)[::-1], np.sort(failed)
    assert 0.0 <= napfd(worst, every) <= napfd(failed, every) <= napfd(best, every) <= 1.0
    assert napfd(worst, every) + napfd(best, every) == pytest.approx(1.0)


@given(arrays(np.float64, st.integers(1, 30), elements=st.floats(0.0, 100.0)), st.floats(0.0, 0.999))
def test_a_budget_is_filled_and_never_exceeded(durations: Floats, budget: float) -> None:
    runs = within(durations, budget)
    limit = budget * durations.sum()
    assert durations[runs].sum() <= limit * (1 + 1e-9)
    spent = np.concatenate([[0.0], np.cumsum(durations * runs)[:-1]])
    assert all(spent[~runs] + durations[~runs] >= limit * (1 - 1e-9)), "what was skipped did not fit"


def test_what_does_not_fit_is_skipped_for_what_does() -> None:
    assert within(np.array([4.0, 7.0, 1.0, 8.0]), 0.25).tolist() == [True, False, True, False]
    assert within(np.array([4.0, 7.0]), 1.0).all()

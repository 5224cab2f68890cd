"""An account knows what it has lost of its peak, how healthy that is, and where its equity is heading."""

import math

import pytest

from steersman.core.errors import InvalidInput
from steersman.packs.trading.account import MODES, Account, health, slope


@pytest.mark.parametrize(
    ("drawdown", "expected"),
    [(0.0, 1.0), (0.0499, 1.0), (0.05, 0.8), (0.0999, 0.8), (0.10, 0.6), (0.1999, 0.6), (0.20, 0.4), (1.0, 0.4)],
)
def test_health_falls_by_steps(drawdown: float, expected: float) -> None:
    assert health(drawdown) == expected


def test_a_drawdown_is_what_is_lost_of_the_peak() -> None:
    account = Account(mode="normal", equity=100.0)
    account.mark(120.0)
    account.mark(108.0)
    assert account.drawdown == pytest.approx(0.1, abs=1e-12)
    account.mark(-5.0)
    assert account.drawdown == 1.0, "more than everything cannot be lost of it"


def test_the_slope_of_a_straight_line_by_hand() -> None:
    """Thirty points from 100 on, rising by 2: the slope is 2 and the mean 129; what was before does not count."""
    line = [100.0 + 2.0 * index for index in range(30)]
    assert slope([5.0, 900.0, *line]) == pytest.approx(2.0 / 129.0, abs=1e-12)
    assert slope(line[::-1]) == pytest.approx(-2.0 / 129.0, abs=1e-12)
    assert slope(line[:29]) == 0.0


def test_closings_add_up_unless_somebody_values_the_account() -> None:
    account = Account(mode="normal", equity=100.0)
    account.book(10.0)
    assert account.equity == 110.0
    account.mark(105.0)
    account.book(10.0)
    assert (account.equity, account.peak) == (105.0, 110.0)


def test_what_is_no_account_is_refused() -> None:
    with pytest.raises(InvalidInput, match="Did you mean 'normal'"):
        Account(mode="norml", equity=1.0)
    for equity in (0.0, -1.0, math.nan):
        with pytest.raises(InvalidInput):
            Account(mode="normal", equity=equity)
    with pytest.raises(InvalidInput):
        Account(mode="normal", equity=1.0).mark(math.inf)


def test_modes_are_those_of_the_specification() -> None:
    limits = {name: (mode.leverage, mode.risk, mode.drawdown) for name, mode in MODES.items()}
    assert limits == {
        "aggressive-small": (7.0, 0.03, 0.06),
        "normal": (5.0, 0.015, 0.05),
        "defensive": (3.0, 0.0075, 0.03),
    }

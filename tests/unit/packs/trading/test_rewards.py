"""The rewards of closed positions are those of the worked cases, and each of their terms is what its formula says."""

import math

import pytest

from steersman.core.errors import InvalidInput
from steersman.maths.statistics import discounted_return
from steersman.packs.trading.agents.meta_strategy import agent as meta
from steersman.packs.trading.rewards import META, PNL_PCT, SIZING, Summed, alignment, risk, sharpe, volatility_fit, win_rate

WORKED = {"pnl_pct": 3.5, "max_drawdown_pct": 1.2, "sharpe": 0.6, "alignment": 0.85}


def test_the_worked_case_of_the_strategy() -> None:
    """3.5 − 0.5·1.2 + 0.2·0.6 + 0.15·0.85."""
    score = META.score(META.check(WORKED))
    assert score.reward == pytest.approx(3.1475, abs=1e-12)
    assert score.components == {"pnl": 3.5, "drawdown": -1.2, "sharpe": 0.6, "alignment": 0.85}


def test_the_worked_case_of_the_size() -> None:
    """2.8 − 0.4·0 + 0.1·0.5: leverage 4 and an exposure of 0.35 carry no risk term, and 2.2 % a bar fits."""
    score = SIZING.score({"pnl_pct": 2.8, "leverage": 4.0, "exposure": 0.35, "volatility": 0.022})
    assert score.reward == pytest.approx(2.85, abs=1e-12)
    assert score.components == {"pnl": 2.8, "risk": -0.0, "fit": 0.5}


def test_the_worked_case_of_an_episode() -> None:
    """Rewards of 1.5, 2 and −0.5 at γ 0.99 are worth 1.5 + 0.99·2 − 0.9801·0.5 = 2.98995.

    Positions are decided one by one, with γ 0; the case is that of three of them strung together. A profit alone, without
    drawdown, Sharpe ratio or alignment, is its own reward.
    """
    plain = {"max_drawdown_pct": 0.0, "sharpe": 0.0, "alignment": 0.0}
    rewards = [META.score({"pnl_pct": pnl, **plain}).reward for pnl in (1.5, 2.0, -0.5)]
    assert discounted_return(rewards, 0.99) == pytest.approx(2.98995, abs=1e-12)
    assert discounted_return(rewards, float(meta.settings["learning"]["gamma"])) == 1.5


@pytest.mark.parametrize(
    ("reward", "worst", "best"),
    [
        (
            META,
            {"pnl_pct": -99.0, "max_drawdown_pct": 99.0, "sharpe": -1.0, "alignment": -0.5},
            {"pnl_pct": 99.0, "max_drawdown_pct": 0.0, "sharpe": 1.0, "alignment": 1.0},
        ),
        (
            SIZING,
            {"pnl_pct": -99.0, "leverage": 7.0, "exposure": 9.0, "volatility": 0.2},
            {"pnl_pct": 99.0, "leverage": 1.0, "exposure": 0.1, "volatility": 0.02},
        ),
    ],
)
def test_the_declared_range_is_reached_at_both_ends(reward: Summed, worst: dict[str, float], best: dict[str, float]) -> None:
    assert reward.score(worst).reward == pytest.approx(reward.low, abs=1e-9)
    assert reward.score(best).reward == pytest.approx(reward.high, abs=1e-9)


def test_what_is_beyond_twenty_per_cent_counts_as_twenty() -> None:
    assert META.score({**WORKED, "pnl_pct": 35.0}).components["pnl"] == PNL_PCT
    assert META.score({**WORKED, "max_drawdown_pct": 35.0}).components["drawdown"] == -PNL_PCT


@pytest.mark.parametrize(
    "broken",
    [
        {**WORKED, "pnl_pct": math.nan},
        {**WORKED, "max_drawdown_pct": -1.2},
        {**WORKED, "sharpe": 1.5},
        {name: value for name, value in WORKED.items() if name != "alignment"},
    ],
)
def test_what_was_not_measured_is_refused(broken: dict[str, float]) -> None:
    with pytest.raises(InvalidInput):
        META.check(broken)


@pytest.mark.parametrize(
    ("leverage", "exposure", "expected"),
    [(5.0, 0.5, 0.0), (7.0, 0.5, 0.6), (5.0, 0.8, 0.6), (7.0, 0.9, 1.4), (6.0, 3.5, 5.0)],
)
def test_risk_begins_above_a_leverage_of_five_and_half_of_the_equity(
    leverage: float, exposure: float, expected: float
) -> None:
    assert risk(leverage, exposure) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(
    ("volatility", "expected"),
    [(0.0, -0.2), (0.0099, -0.2), (0.01, 0.5), (0.03, 0.5), (0.045, -0.25), (0.06, -0.5), (0.09, -1.0), (0.5, -1.0)],
)
def test_volatility_fits_between_one_and_three_per_cent(volatility: float, expected: float) -> None:
    assert volatility_fit(volatility) == pytest.approx(expected, abs=1e-12)


def test_alignment_gains_the_confidence_or_loses_half_of_it() -> None:
    assert alignment(0.85, True) == 0.85
    assert alignment(0.85, False) == -0.425


def test_a_win_rate_of_fewer_than_twenty_trades_is_one_half() -> None:
    assert win_rate([1.0] * 19) == 0.5
    assert win_rate([1.0] * 20) == 1.0
    assert win_rate([-1.0] * 10 + [1.0] * 15 + [0.0] * 5) == 0.75, "the last twenty count, and nothing gained is no win"


def test_the_sharpe_ratio_is_that_of_the_last_twenty() -> None:
    """Ten of +3 % and ten of −1 %: mean 1, sample deviation 2·√(20/19); with 0.5 % free of risk (1 − 0.5) over that."""
    returns = [99.0, *([3.0, -1.0] * 10)]
    spread = 2.0 * math.sqrt(20 / 19)
    assert sharpe(returns) == pytest.approx(math.tanh(1.0 / spread), abs=1e-12)
    assert sharpe(returns, 0.5) == pytest.approx(math.tanh(0.5 / spread), abs=1e-12)
    assert sharpe([each / 100.0 for each in returns], 0.005) == pytest.approx(sharpe(returns, 0.5), abs=1e-12)


def test_a_sharpe_ratio_without_spread_or_without_trades_is_still_a_number() -> None:
    assert sharpe([1.0] * 19) == 0.0
    assert sharpe([0.3] * 20) == 1.0
    assert sharpe([-0.3] * 20) == -1.0
    assert sharpe([0.3] * 20, 0.3) == 0.0

"""The verdict is what both figures say against the fixed rule and against no trade."""

import numpy as np
import pytest

from steersman.packs.trading.backtest.figures import Interval
from steersman.packs.trading.backtest.played import Played
from steersman.packs.trading.backtest.report import HOLD, NOTHING, RULE, Comparison, arm_report, compare, overall


def said(other: str, gain: str, sharpe: str) -> Comparison:
    nothing = Interval(value=0.0, low=0.0, high=0.0)
    return Comparison(other=other, gain=nothing, gain_verdict=gain, sharpe=nothing, sharpe_verdict=sharpe)


@pytest.mark.parametrize(
    ("rule", "nothing", "verdict"),
    [
        (("better", "better"), ("better", "better"), "better"),
        (("better", "cannot tell"), ("better", "better"), "cannot tell"),
        (("better", "better"), ("cannot tell", "cannot tell"), "cannot tell"),
        (("cannot tell", "worse"), ("cannot tell", "cannot tell"), "worse"),
        (("better", "better"), ("worse", "worse"), "cannot tell"),
        (("cannot tell", "cannot tell"), ("cannot tell", "cannot tell"), "cannot tell"),
    ],
)
def test_the_verdict(rule: tuple[str, str], nothing: tuple[str, str], verdict: str) -> None:
    assert overall([said(RULE, *rule), said(HOLD, "worse", "worse"), said(NOTHING, *nothing)]) == verdict


def test_equal_curves_have_equal_intervals() -> None:
    returns, rng = np.random.default_rng(0).normal(0.001, 0.01, 300), np.random.default_rng(1)
    run = Played(equity=np.array((1.0 + returns).cumprod()), exposure=np.ones(300))
    one, other = (arm_report(name, run, 252.0, rng) for name in (RULE, HOLD))
    assert one.sharpe == other.sharpe
    pairs = compare(run.returns, {RULE: np.zeros(300), NOTHING: np.zeros(300)}, 50, 252.0, rng)
    assert (pairs[0].gain, pairs[0].sharpe) == (pairs[1].gain, pairs[1].sharpe)


def test_few_positions_tell_nothing() -> None:
    good = np.random.default_rng(0).normal(0.01, 0.001, 500)
    for trades, verdict in ((19, "cannot tell"), (20, "better")):
        (found,) = compare(good, {NOTHING: np.zeros(500)}, trades, 252.0, np.random.default_rng(0))
        assert (found.gain_verdict, found.sharpe_verdict) == (verdict, verdict)


def test_intervals_of_several_arms_are_wider_so_that_they_hold_together() -> None:
    returns, none = np.random.default_rng(0).normal(0.0, 0.01, 500), np.zeros(500)
    (alone,) = compare(returns, {NOTHING: none}, 50, 252.0, np.random.default_rng(1))
    three = compare(returns, {NOTHING: none, RULE: none, HOLD: none}, 50, 252.0, np.random.default_rng(1))
    assert three[0].gain.high - three[0].gain.low > 1.15 * (alone.gain.high - alone.gain.low)

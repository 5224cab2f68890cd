"""Performance, against sums worked out by hand."""

import math

import pytest

from steersman.core.values import Arm, Figures
from steersman.maths.statistics import t_quantile
from steersman.stages.monitor.performance import (
    add,
    cost_ratio,
    entropy,
    hours,
    interval,
    lead,
    percentile,
    reward_difference,
    success_difference,
    summary,
)


def figures(hour: int, arm: Arm, rewards: list[float], *, drawn: bool = True, costs: list[float] | None = None) -> Figures:
    return Figures(
        agent="lab/small",
        hour=hour,
        arm=arm,
        drawn=drawn,
        decisions=len(rewards) + 1,
        overridden=1,
        latency_us=100.0 * (len(rewards) + 1),
        rewarded=len(rewards),
        successes=sum(each >= 0.5 for each in rewards),
        reward=sum(rewards),
        reward_squares=sum(each * each for each in rewards),
        costed=len(costs or ()),
        cost=sum(costs or ()),
        judged=2,
        false_blocks=1,
    )


def test_a_summary_is_made_of_sums() -> None:
    found = summary([figures(1, "champion", [0.0, 1.0], costs=[2.0, 4.0]), figures(2, "champion", [0.5, 0.5])])
    assert (found.decisions, found.rewarded, found.overridden) == (6, 4, 2)
    assert (found.reward, found.success, found.cost) == (0.5, 0.75, 3.0)
    assert (found.override_rate, found.latency_us, found.false_blocks) == (2 / 6, 100.0, 0.5)
    reach = t_quantile(0.975, 3.0) * math.sqrt(0.5 / 3 / 4)
    assert found.reward_interval == pytest.approx((0.5 - reach, 0.5 + reach))


def test_of_nothing_nothing_is_known() -> None:
    found = summary([])
    assert (found.decisions, found.reward, found.reward_interval, found.success, found.cost) == (0, None, None, None, None)
    assert (found.override_rate, found.latency_us, found.false_blocks) == (None, None, None)


def test_the_interval_of_a_mean_is_students() -> None:
    assert interval((3, 6.0, 14.0)) == pytest.approx((2 - 4.302653 / math.sqrt(3), 2 + 4.302653 / math.sqrt(3)), abs=1e-5)
    assert interval((1, 6.0, 36.0)) is None


def test_arms_are_compared_within_hours_only() -> None:
    """In each hour the arms earn the same; the champion had more of the good one, which must not speak for it."""
    seen = [
        figures(1, "champion", [0.0] * 2),
        figures(1, "baseline", [0.0] * 8),
        figures(2, "champion", [1.0] * 8),
        figures(2, "baseline", [1.0] * 2),
    ]
    found = reward_difference(seen)
    assert found is not None
    assert (found.mean, found.hours, found.learned, found.baseline) == (0.0, 2, 10, 10)
    assert found.verdict == "cannot tell"


def test_a_difference_by_hand() -> None:
    """Weights 2·2/4 = 1 and 4·2/6 = 4/3; d = (1·1 + 4/3·0.5)/(7/3) = 5/7."""
    seen = [
        figures(1, "champion", [1.0, 2.0]),
        figures(1, "baseline", [0.0, 1.0]),
        figures(2, "champion", [1.0, 1.0, 2.0, 2.0]),
        figures(2, "baseline", [1.0, 1.0]),
    ]
    learned = (0.5 + 1.0) / 4 * ((3 / 7) ** 2 / 2 + (4 / 7) ** 2 / 4)
    baseline = (0.5 + 0.0) / 2 * ((3 / 7) ** 2 / 2 + (4 / 7) ** 2 / 2)
    freedom = (learned + baseline) ** 2 / (learned**2 / 4 + baseline**2 / 2)
    reach = t_quantile(0.975, freedom) * math.sqrt(learned + baseline)
    found = reward_difference(seen)
    assert found is not None
    assert found.mean == pytest.approx(5 / 7)
    assert (found.low, found.high) == pytest.approx((5 / 7 - reach, 5 / 7 + reach))


def test_an_arm_that_was_asked_for_is_no_evidence() -> None:
    seen = [figures(1, "champion", [1.0, 1.0], drawn=False), figures(1, "baseline", [0.0, 0.0])]
    assert reward_difference(seen) is None
    assert reward_difference([figures(1, "champion", [1.0]), figures(2, "baseline", [0.0])]) is None


def test_one_outcome_of_an_arm_tells_nothing_for_sure() -> None:
    found = reward_difference([figures(1, "champion", [1.0]), figures(1, "baseline", [0.0])])
    assert found is not None
    assert (found.mean, found.low, found.high, found.verdict) == (1.0, -math.inf, math.inf, "cannot tell")


def test_verdicts_follow_the_interval() -> None:
    better = [figures(1, "champion", [0.9, 1.0] * 20), figures(1, "baseline", [0.1, 0.2] * 20)]
    worse = [figures(1, "champion", [0.1, 0.2] * 20), figures(1, "baseline", [0.9, 1.0] * 20)]
    assert [found.verdict for each in (better, worse) if (found := reward_difference(each))] == ["better", "worse"]
    successes = success_difference(better)
    assert successes is not None
    assert (successes.mean, successes.low, successes.high) == (1.0, 1.0, 1.0)


def test_costs_are_compared_as_a_ratio() -> None:
    seen = [
        figures(1, "champion", [0.0, 0.0], costs=[1.0, 1.0]),
        figures(1, "baseline", [0.0, 0.0], costs=[2.0, 2.0]),
    ]
    assert cost_ratio(seen) == 0.5
    assert cost_ratio([figures(1, "champion", [0.0])]) is None


def test_figures_add_up_and_take_back() -> None:
    first, taken_back = (
        figures(1, "champion", [0.5]),
        Figures(agent="", hour=0, arm="safe", drawn=False, rewarded=-1, reward=-0.5),
    )
    found = add(first, taken_back)
    assert (found.agent, found.hour, found.arm, found.drawn) == ("lab/small", 1, "champion", True)
    assert (found.rewarded, found.reward, found.decisions) == (0, 0.0, 2)


def test_hours_hold_both_arms() -> None:
    found = hours([figures(2, "champion", [1.0]), figures(1, "baseline", [0.5]), figures(2, "champion", [0.0])])
    assert [(each.hour, each.learned, each.baseline, each.outcomes) for each in found] == [
        (1, None, 0.5, 1),
        (2, 0.5, None, 2),
    ]


def test_entropy_is_one_for_all_alike_and_zero_for_one_alone() -> None:
    assert entropy([1, 1, 1, 1]) == pytest.approx(1.0)
    assert entropy([5, 0, 0]) == 0.0
    assert entropy([0.5, 0.25, 0.25]) == pytest.approx(1.5 * math.log(2) / math.log(3))
    assert (entropy([]), entropy([1]), entropy([0, 0])) == (0.0, 0.0, 0.0)


def test_the_lead_is_that_of_the_best_over_the_second() -> None:
    assert lead([0.1, 0.9, 0.5], 2.0) == pytest.approx(0.2)
    assert lead([0.1], 2.0) == 0.0


def test_percentiles_are_values_that_were_seen() -> None:
    assert percentile([float(each) for each in range(1, 101)], 0.95) == 95.0
    assert percentile([3.0], 0.95) == 3.0
    assert percentile([], 0.95) is None


def test_many_degrees_of_freedom_are_told_quickly_and_right() -> None:
    for count in (31, 32, 100, 10_000):
        low, high = interval((count, 0.0, float(count - 1))) or (0.0, 0.0)
        assert high == pytest.approx(t_quantile(0.975, count - 1.0) / math.sqrt(count), rel=1e-6)
        assert low == -high

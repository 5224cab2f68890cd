"""Performance, against sums worked out by hand."""

import math
from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from steersman.core.values import Arm, Figures
from steersman.maths.statistics import t_quantile
from steersman.stages.monitor.performance import (
    Difference,
    Verdict,
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

Floats = NDArray[np.float64]
Draw = Callable[[np.random.Generator, tuple[int, int]], Floats]
LOOK_EVERY, BASELINE_SHARE, RUNS = 100, 0.05, 400


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
        scored=len(rewards),
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
    found = reward_difference(seen, 1.0)
    assert found is not None
    assert (found.mean, found.hours, found.learned, found.baseline) == (0.0, 2, 10, 10)
    assert found.verdict == "cannot tell"


def test_a_difference_by_hand() -> None:
    """Weights 2·2/4 = 1 and 4·2/6 = 4/3; d = (1·1 + 4/3·0.5)/(7/3) = 5/7; twelve outcomes of variance 2²/4 stand before."""
    seen = [
        figures(1, "champion", [1.0, 2.0]),
        figures(1, "baseline", [0.0, 1.0]),
        figures(2, "champion", [1.0, 1.0, 2.0, 2.0]),
        figures(2, "baseline", [1.0, 1.0]),
    ]
    learned = (0.5 + 1.0 + 12 * 1.0) / (4 + 12) * (1 / 2 + (4 / 3) ** 2 / 4)
    baseline = (0.5 + 0.0 + 12 * 1.0) / (2 + 12) * (1 / 2 + (4 / 3) ** 2 / 2)
    margin = math.sqrt((learned + baseline + 4) * math.log((learned + baseline + 4) / (4 * 0.05**2))) / (7 / 3)
    found = reward_difference(seen, 2.0)
    assert found is not None
    assert found.mean == pytest.approx(5 / 7)
    assert (found.low, found.high) == pytest.approx((5 / 7 - margin, 2.0))
    many = reward_difference([times_over(each, 100) for each in seen], 2.0)
    assert many is not None
    learned, baseline = (
        (150.0 + 12) / (600 - 2 + 12) * (50 + (400 / 3) ** 2 / 400),
        (50.0 + 12) / (400 - 2 + 12) * (50 + (400 / 3) ** 2 / 200),
    )
    margin = math.sqrt((learned + baseline + 4) * math.log((learned + baseline + 4) / (4 * 0.05**2))) / (700 / 3)
    assert (many.low, many.high) == pytest.approx((5 / 7 - margin, 5 / 7 + margin))


def times_over(each: Figures, times: int) -> Figures:
    found = each
    for _ in range(times - 1):
        found = add(found, each)
    return found


def test_an_arm_that_was_asked_for_is_no_evidence() -> None:
    seen = [figures(1, "champion", [1.0, 1.0], drawn=False), figures(1, "baseline", [0.0, 0.0])]
    assert reward_difference(seen, 1.0) is None
    assert reward_difference([figures(1, "champion", [1.0]), figures(2, "baseline", [0.0])], 1.0) is None


def test_few_outcomes_that_agree_tell_nothing_for_sure() -> None:
    """Three ones against two zeros: every arm's outcomes agree, and that is chance."""
    for ones, zeros in ((1, 1), (3, 2)):
        seen = [figures(1, "champion", [1.0] * ones), figures(1, "baseline", [0.0] * zeros)]
        for found in (reward_difference(seen, 1.0), success_difference(seen)):
            assert found is not None
            assert (found.mean, found.low, found.high, found.verdict) == (1.0, -1.0, 1.0, "cannot tell")


def test_verdicts_follow_the_interval() -> None:
    better = [figures(1, "champion", [0.9, 1.0] * 20), figures(1, "baseline", [0.1, 0.2] * 20)]
    worse = [figures(1, "champion", [0.1, 0.2] * 20), figures(1, "baseline", [0.9, 1.0] * 20)]
    assert [told(each) for each in (better, worse)] == ["better", "worse"]
    successes = success_difference(better)
    assert successes is not None
    assert 0.2 < successes.low < successes.mean == successes.high == 1.0


def test_with_too_few_outcomes_of_an_arm_nothing_is_called_better() -> None:
    def apart(learned: int, baseline: int) -> Difference:
        return Difference(mean=0.5, low=0.1, high=0.9, hours=1, learned=learned, baseline=baseline)

    assert [apart(*each).verdict for each in ((1000, 29), (29, 1000), (30, 30))] == ["cannot tell", "cannot tell", "better"]


def told(seen: list[Figures]) -> Verdict:
    found = reward_difference(seen, 1.0)
    return "cannot tell" if found is None else found.verdict


def successes(share: float) -> Draw:
    return lambda rng, shape: (rng.random(shape) < share).astype(np.float64)


def clipped(mean: float, deviation: float) -> Draw:
    return lambda rng, shape: np.clip(rng.normal(mean, deviation, shape), 0.0, 1.0)


def constant(value: float) -> Draw:
    return lambda rng, shape: np.full(shape, value)


def looks(learned: Draw, baseline: Draw, *, decisions: int, runs: int, seed: int) -> NDArray[np.int64]:
    """Return the decision at which each run is first told better or worse, looking again and again; 0 for never."""
    rng, shape = np.random.default_rng(seed), (runs, decisions)
    base = rng.random(shape) < BASELINE_SHARE
    rewards = np.where(base, baseline(rng, shape), learned(rng, shape))

    def so_far(mask: NDArray[np.bool_]) -> Floats:
        return np.stack([np.cumsum(mask * rewards**power, axis=1)[:, LOOK_EVERY - 1 :: LOOK_EVERY] for power in (0, 1, 2)])

    arms: dict[Arm, Floats] = {"champion": so_far(~base), "baseline": so_far(base)}
    first = np.zeros(runs, dtype=np.int64)
    for run, look in np.ndindex(runs, decisions // LOOK_EVERY):
        if not first[run] and told([sums(0, arm, moments[:, run, look]) for arm, moments in arms.items()]) != "cannot tell":
            first[run] = (look + 1) * LOOK_EVERY
    return first


def sums(hour: int, arm: Arm, moments: Floats) -> Figures:
    count, total, squares = moments.tolist()
    return Figures(agent="a", hour=hour, arm=arm, drawn=True, rewarded=round(count), reward=total, reward_squares=squares)


@pytest.mark.parametrize(
    ("learned", "baseline"),
    [
        *((successes(share), successes(share)) for share in (0.5, 0.9, 0.95, 0.99)),
        (clipped(0.5, 0.1), clipped(0.5, 0.1)),
        (clipped(0.8, 0.3), clipped(0.8, 0.3)),
        (constant(0.9), successes(0.9)),
    ],
    ids=["0.5", "0.9", "0.95", "0.99", "narrow", "clipped", "a constant"],
)
def test_where_both_arms_earn_the_same_a_verdict_is_rare_however_often_one_looks(learned: Draw, baseline: Draw) -> None:
    """Fifty looks, every 100 decisions, at a baseline that keeps 5 % of them: at most 5 % of the runs ever see a verdict."""
    first = looks(learned, baseline, decisions=5_000, runs=RUNS, seed=1)
    assert np.count_nonzero(first) <= 0.05 * RUNS
    assert not np.any((first > 0) & (first <= 200))


def test_it_holds_over_hours_that_differ_as_well() -> None:
    """Fifty hours of 100 decisions, in which both arms succeed alike, between 0.5 and 0.95 by the hour."""
    rng, runs, wrong = np.random.default_rng(12), 100, 0
    for _ in range(runs):
        seen: list[Figures] = []
        verdicts = set()
        for hour in range(1, 51):
            base = rng.random(100) < BASELINE_SHARE
            rewards = (rng.random(100) < rng.uniform(0.5, 0.95)).astype(np.float64)
            for arm, mask in (("champion", ~base), ("baseline", base)):
                moments = np.array([np.sum(mask * rewards**power) for power in (0, 1, 2)])
                seen.extend([sums(hour, arm, moments)] if mask.any() else [])  # type: ignore[arg-type]  # both are arms
            if hour % 5 == 0:
                verdicts.add(told(seen))
        wrong += verdicts != {"cannot tell"}
    assert wrong <= 0.05 * runs


@pytest.mark.parametrize(("learned", "baseline", "verdict"), [(0.9, 0.6, "better"), (0.6, 0.9, "worse")])
def test_a_clear_difference_is_told_within_two_thousand_decisions(learned: float, baseline: float, verdict: str) -> None:
    """Of which the baseline has one hundred; half of the runs know it within 800."""
    first = looks(successes(learned), successes(baseline), decisions=2_000, runs=100, seed=13)
    assert np.all(first > 0)
    assert np.median(first) <= 800
    counts = {"champion": (1_900, learned), "baseline": (100, baseline)}
    seen = [sums(0, arm, np.array([n, n * p, n * p])) for arm, (n, p) in counts.items()]  # type: ignore[arg-type]  # arms
    assert told(seen) == verdict


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

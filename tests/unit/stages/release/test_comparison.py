"""A comparison says what its units amount to, in their own terms, and holds to what it promises over many runs."""

import math
from collections.abc import Iterator
from itertools import islice

import msgspec
import numpy as np
import pytest

from steersman.core.errors import InvalidInput
from steersman.maths.betting import WORSE, Scale, Units, Wager, observe, payoffs
from steersman.stages.release.comparison import ARRIVAL, Comparison, Metric, Report, Unit
from steersman.stages.release.report import Compared, UnitArm, handicap, limits

REWARD = Metric(name="reward", low=-10.0, high=10.0, margin=1.0)
FAILURES = Metric(name="failures", low=0.0, high=1.0, margin=0.1, better="lower")


def unit(
    arm: UnitArm,
    reward: float | None,
    *,
    share: float = 0.5,
    arrived: bool = True,
    failures: float = 0.0,
    turn: int = 0,
) -> Unit:
    return Unit(arm=arm, share=share, scores={"reward": reward, "failures": failures}, arrived=arrived, round=turn)


def trial(champion: float, challenger: float, *, share: float = 0.5, seed: int = 1, turn: int = 0) -> Iterator[Unit]:
    """Units without end whose rewards are 8 or −8, in such shares that their means are as said."""
    rng = np.random.default_rng(seed)
    while True:
        arm: UnitArm = "challenger" if rng.random() < share else "champion"
        mean = challenger if arm == "challenger" else champion
        yield unit(arm, 8.0 if rng.random() < (mean + 8.0) / 16.0 else -8.0, share=share, turn=turn)


def compared(report: Report, name: str) -> Compared:
    return next(each for each in report.metrics if each.metric == name)


def test_the_sums_of_a_report_follow_a_hand_computed_case() -> None:
    comparison = Comparison([REWARD])
    comparison.score(
        unit("champion", 2.0), unit("champion", 4.0), unit("challenger", 5.0), unit("challenger", None, arrived=False)
    )
    report = comparison.report()
    assert (report.champion_units, report.challenger_units) == (2, 2)
    assert (report.champion_arrivals, report.challenger_arrivals) == (2, 1)
    found = compared(report, "reward")
    assert (found.champion_units, found.challenger_units) == (2, 1)
    assert (found.champion_mean, found.challenger_mean) == (3.0, 5.0)
    # Scaled 0.6, 0.7, 0.75 about centres 0.5, 0.55, 0.6: payoffs −0.2, −0.3, 0.3, of a range of 20.
    assert found.difference == pytest.approx(20.0 * -0.2 / 3)
    assert compared(report, ARRIVAL).champion_mean == 1.0


def test_evidence_is_that_of_the_bets_on_scaled_scores() -> None:
    """One comparison and the tests that simulations run side by side are the same code, and give the same numbers."""
    comparison, units = Comparison([FAILURES], alpha=0.1), list(islice(trial(0.0, 0.0, share=0.3), 50))
    failing = [unit(each.arm, 0.0, share=0.3, failures=float(number % 3 == 0)) for number, each in enumerate(units)]
    comparison.score(*failing)
    wager = Wager.blank(side=WORSE, margin=0.1, shape=(1,))
    arrays = Units(
        scores=np.array([[1.0 - float(number % 3 == 0)] for number in range(50)]),
        challenger=np.array([[each.arm == "challenger"] for each in failing]),
        share=np.full((50, 1), 0.3),
    )
    expected = math.exp(observe(wager, payoffs(Scale.blank((1,)), arrays)).max(initial=0.0))
    assert compared(comparison.report(), "failures").e_worse == pytest.approx(expected)


def test_it_makes_no_difference_how_units_are_cut_into_calls() -> None:
    at_once, one_by_one, units = Comparison([REWARD]), Comparison([REWARD]), list(islice(trial(1.0, -1.0), 1_100))
    at_once.score(*units)
    at_once.score()
    for each in units:
        one_by_one.score(each)
    first, second = (msgspec.to_builtins(each.report().metrics[0]) for each in (at_once, one_by_one))
    assert {k: v for k, v in first.items() if isinstance(v, float)} == pytest.approx(
        {k: v for k, v in second.items() if isinstance(v, float)}
    )


def test_where_lower_is_better_more_failures_are_worse() -> None:
    comparison = Comparison([FAILURES])
    for number in range(400):
        comparison.score(unit("challenger" if number % 2 else "champion", 0.0, failures=float(number % 2)))
    report = comparison.report()
    found = compared(report, "failures")
    assert found.verdict == "worse"
    assert 0.0 < found.low <= (found.difference or 0.0) <= found.high
    assert (report.improvement or 0.0) < 0.0
    assert report.improvement_high == -found.low
    assert report.recommendation == "Roll back: the challenger is worse than the margin allows in failures."


def test_a_challenger_that_is_better_wins_and_may_take_over() -> None:
    comparison = Comparison([REWARD, FAILURES])
    comparison.score(*islice(trial(-3.0, 3.0), 2_000))
    report = comparison.report()
    assert (report.winner, report.promotable, report.broken, report.mismatch) == ("challenger", True, (), False)
    assert report.improvement_low > 0.0
    assert report.recommendation.startswith("Take the challenger: it is better in reward (d = 0.8")
    assert (compared(report, "reward").welch_p or 0.0) < 1e-6


def test_equal_arms_may_take_over_without_a_winner() -> None:
    comparison = Comparison([Metric(name="reward", low=-10.0, high=10.0, margin=4.0)])
    comparison.score(*islice(trial(0.0, 0.0), 2_000))
    report = comparison.report()
    assert (report.winner, report.promotable) == (None, True)
    assert "not worse by the margin in any metric" in report.recommendation


def test_nothing_good_is_said_by_fewer_units_than_are_needed() -> None:
    comparison = Comparison([REWARD], min_units=1_000)
    comparison.score(*islice(trial(-7.0, 7.0), 500))
    report = comparison.report()
    assert compared(report, "reward").verdict == "not worse"
    assert (report.winner, report.promotable) == (None, False)
    assert report.recommendation.startswith("Wait: the smaller arm has")


def test_thirty_units_of_each_arm_are_the_least_whatever_is_asked() -> None:
    comparison = Comparison([REWARD], min_units=1)
    comparison.score(*islice(trial(-8.0, 8.0), 40))
    assert comparison.report().recommendation.endswith("and 30 are needed.")


def test_a_challenger_that_keeps_its_failures_to_itself_is_worse_in_arrival() -> None:
    """All that is known of it is good; that a third is never known is what betrays it."""
    comparison, units = Comparison([REWARD]), []
    for number, each in enumerate(islice(trial(2.0, 2.0), 1_500)):
        lost = each.arm == "challenger" and number % 3 == 0
        units.append(unit(each.arm, None if lost else 5.0, arrived=not lost))
    comparison.score(*units)
    report = comparison.report()
    assert compared(report, "reward").verdict != "worse"
    assert compared(report, ARRIVAL).verdict == "worse"
    assert "arrival" in report.recommendation


def test_arms_of_other_sizes_than_drawn_are_told_and_nothing_is_concluded() -> None:
    comparison = Comparison([REWARD])
    comparison.score(*(each for n, each in enumerate(islice(trial(0.0, 8.0), 2_000)) if each.arm == "champion" or n % 3))
    report = comparison.report()
    assert report.mismatch
    assert report.e_ratio > 1_000.0
    assert (report.winner, report.promotable) == (None, False)
    assert "sizes" in report.recommendation


def test_large_harm_breaks_the_circuit_by_early_outcomes_alone() -> None:
    comparison = Comparison([REWARD])
    comparison.early(*islice(trial(6.0, -6.0), 400))
    report = comparison.report()
    assert report.broken == ("reward",)
    assert report.e_breaker["reward"] >= 10.0 / 0.05
    assert report.recommendation == "Roll back: the challenger is far worse in reward."
    assert report.champion_units == 0


def test_harm_below_the_breakers_margin_does_not_break_it() -> None:
    comparison = Comparison([REWARD])
    comparison.early(*islice(trial(1.0, -1.0), 2_000))
    assert comparison.report().broken == ()


def test_once_worse_is_worse_although_it_recovers() -> None:
    comparison = Comparison([REWARD])
    comparison.score(*islice(trial(4.0, -4.0), 300))
    assert compared(comparison.report(), "reward").verdict == "worse"
    comparison.score(*islice(trial(-4.0, 4.0, seed=2), 1_000))
    assert compared(comparison.report(), "reward").verdict == "worse"


def test_limits_share_out_the_errors() -> None:
    found = limits(4, 0.05)
    first = 4 / math.exp(found.worse) + 3 / math.exp(found.breaker)
    rounds = sum(first / math.exp(handicap(number)) for number in range(1, 10_000))
    assert (first, rounds) == pytest.approx((0.9 * 0.05, 0.1 * 0.05), rel=1e-3)
    assert math.exp(found.not_worse) == pytest.approx(20.0)
    assert math.exp(found.ratio) == pytest.approx(1_000.0)


def test_a_report_is_json_before_any_unit_and_with_overwhelming_evidence() -> None:
    comparison = Comparison([REWARD])
    assert msgspec.json.decode(msgspec.json.encode(comparison.report()), type=Report) == comparison.report()
    comparison.score(
        *(unit("challenger" if number % 2 else "champion", -10.0 if number % 2 else 10.0) for number in range(5_000))
    )
    decoded = msgspec.json.decode(msgspec.json.encode(comparison.report()), type=Report)
    assert decoded == comparison.report()
    assert decoded.metrics[0].e_worse == pytest.approx(math.exp(700.0))


@pytest.mark.parametrize("reward", [10.1, -10.1, math.nan, math.inf])
def test_a_score_outside_its_range_is_left_out_and_counted(reward: float) -> None:
    """A range that was narrowed while a trial is under way costs scores of that metric, and never the trial."""
    comparison = Comparison([REWARD, FAILURES])
    comparison.score(unit("champion", 1.0), unit("champion", reward), unit("champion", reward, turn=1))
    comparison.early(unit("champion", reward))
    report = comparison.report()
    assert report.left_out == {"reward": 2}
    assert [each.champion_units for each in report.metrics] == [1, 2, 2]
    assert compared(report, "reward").champion_mean == 1.0


def test_harm_to_those_that_come_back_is_harm_although_none_was_done_before_nor_is_after() -> None:
    comparison = Comparison([REWARD])
    comparison.score(*islice(trial(0.0, 2.0), 2_000))
    assert comparison.report().promotable
    comparison.score(*islice(trial(4.0, -4.0, turn=1), 300))
    comparison.score(*islice(trial(-4.0, 4.0, turn=2), 300))
    report = comparison.report()
    assert compared(report, "reward").verdict == "worse"
    assert (report.promotable, report.rounds) == (False, 2)
    assert report.recommendation.startswith("Roll back")
    assert compared(report, "reward").champion_mean == pytest.approx(0.0, abs=0.6), "means are of those new to the trial"


def test_a_round_that_begins_forgets_the_evidence_of_the_one_before() -> None:
    """Two rounds, neither of which would do, are not put together."""
    apart, together = Comparison([REWARD]), Comparison([REWARD])
    for turn in (1, 2):
        apart.score(*islice(trial(2.5, -2.5, turn=turn, seed=turn), 150))
        together.score(*islice(trial(2.5, -2.5, turn=1, seed=turn), 150))
    assert [compared(each.report(), "reward").verdict for each in (apart, together)] == ["cannot tell", "worse"]


def test_a_later_round_needs_more_evidence() -> None:
    first, tenth = Comparison([REWARD]), Comparison([REWARD])
    first.score(*islice(trial(4.0, -4.0, turn=1), 300))
    tenth.score(*islice(trial(4.0, -4.0, turn=10), 300))
    evidence = [compared(each.report(), "reward").e_worse for each in (first, tenth)]
    assert evidence[0] / evidence[1] == pytest.approx(10 * 11 / (1 * 2))


def test_those_that_come_back_and_look_worse_hold_up_the_promotion_until_they_do_not() -> None:
    comparison = Comparison([REWARD])
    comparison.score(*islice(trial(0.0, 2.0), 2_000))
    pair = (unit("champion", 1.0, turn=1), unit("challenger", -1.0, turn=1))
    comparison.score(*pair * 29)
    assert comparison.report().promotable, "by fewer than thirty units of an arm nothing is held up"
    comparison.score(*pair)
    report = comparison.report()
    assert (report.promotable, report.returning_units) == (False, (30, 30))
    assert compared(report, "reward").returning_difference == pytest.approx(-2.0, abs=0.3)
    assert (
        report.recommendation
        == "Wait: of those that came back, the challenger's look worse than the margin allows in reward."
    )
    comparison.score(unit("champion", 1.0, turn=2))
    assert not comparison.report().promotable, "the round before stands until the new one has units enough"
    comparison.score(*islice(trial(1.0, 1.0, turn=2), 100))
    assert comparison.report().rounds == 2


def test_units_of_a_round_that_is_over_are_left_out() -> None:
    comparison = Comparison([REWARD])
    comparison.score(unit("champion", 1.0, turn=2))
    comparison.score(unit("champion", 1.0, turn=1))
    assert comparison.report().returning_units == (0, 1)


def test_large_harm_to_those_that_come_back_breaks_the_circuit() -> None:
    comparison = Comparison([REWARD])
    comparison.early(*islice(trial(6.0, -6.0, turn=3), 400))
    assert comparison.report().broken == ("reward",)
    assert comparison.report().rounds == 0


@pytest.mark.parametrize("share", [0.0, 1.0, -0.5])
def test_a_unit_whose_arm_was_not_drawn_is_refused(share: float) -> None:
    with pytest.raises(InvalidInput, match="share"):
        Comparison([REWARD]).score(unit("champion", 1.0, share=share))


def test_metrics_are_checked() -> None:
    with pytest.raises(InvalidInput, match="finite range"):
        Metric(name="x", low=0.0, high=math.inf, margin=0.0)
    with pytest.raises(InvalidInput, match="margin"):
        Metric(name="x", low=0.0, high=1.0, margin=1.0)
    for metrics in ([], [REWARD, REWARD], [Metric(name=ARRIVAL, low=0.0, high=1.0, margin=0.1)]):
        with pytest.raises(InvalidInput, match="different names"):
            Comparison(metrics)
    with pytest.raises(InvalidInput, match="alpha"):
        Comparison([REWARD], alpha=0.0)

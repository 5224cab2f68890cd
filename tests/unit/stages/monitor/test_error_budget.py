"""The error budget burns as fast as outcomes fail, stops exploring in time, and is not alarmed by accidents."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from steersman.core.errors import InvalidInput
from steersman.stages.monitor.error_budget import ErrorBudget, Rate, _evident, may_explore, signals

HOUR, MINUTE = 3_600.0, 60.0
START = 1_000 * HOUR


def filled(budget: ErrorBudget, hours: tuple[float, float], every_s: float, fails_every: int) -> ErrorBudget:
    """Add an outcome every so many seconds from one hour to another, of which each so-manieth fails (0: none)."""
    for index, at in enumerate(np.arange(START + hours[0] * HOUR, START + hours[1] * HOUR, every_s).tolist(), 1):
        budget.add(at, not (fails_every and index % fails_every == 0))
    return budget


def rate(long: float | None, short: float | None, *, evident: bool = True) -> Rate:
    return Rate(name="fast", long_s=3_600, short_s=300, long=long, short=short, threshold=14.4, evident=evident)


def test_nothing_is_known_without_outcomes() -> None:
    burn = ErrorBudget(0.99).state(START)
    assert (burn.spent, burn.fast.long, burn.may_explore, signals("lab/small", burn)) == (None, None, True, ())


def test_failures_use_up_the_share_of_the_budget_that_they_are() -> None:
    burn = filled(ErrorBudget(0.99), (0, 2), 1.0, 200).state(START + 2 * HOUR - 1)
    assert burn.failures / burn.outcomes == pytest.approx(0.005, rel=0.02)
    assert burn.spent == pytest.approx(0.5, rel=0.02)
    assert burn.fast.long == pytest.approx(0.5, rel=0.1)
    assert not burn.exhausted


def test_the_fast_rate_fires_at_14_4_times_over_the_hour_and_five_minutes() -> None:
    assert rate(14.4, 14.4).fires
    assert not rate(14.3, 20.0).fires
    assert not rate(20.0, 14.3).fires
    assert not rate(20.0, None).fires
    assert not rate(20.0, 20.0, evident=False).fires


def test_thresholds_are_those_of_the_workbook_where_they_can_be_reached() -> None:
    burn = ErrorBudget(0.999).state(START)
    assert [each.threshold for each in (burn.fast, burn.slow, burn.ticket)] == pytest.approx([14.4, 6.0, 1.0])
    assert [(each.long_s, each.short_s) for each in (burn.fast, burn.slow)] == [(3_600, 300), (21_600, 1_800)]


def test_a_low_target_can_still_burn_fast() -> None:
    budget = ErrorBudget(0.9)
    assert budget.state(START).fast.threshold == pytest.approx(5.5)  # 55 % of the outcomes; 14.4 would be 144 %
    assert filled(budget, (0, 1), 10.0, 1).state(START + HOUR - 1).fast.fires


def test_a_flood_of_failures_stops_exploring_and_calm_lets_it_go_on() -> None:
    budget = filled(ErrorBudget(0.99), (0, 48), 30.0, 0)
    assert budget.state(START + 48 * HOUR).may_explore
    filled(budget, (48, 49), 30.0, 4)
    burning = budget.state(START + 49 * HOUR - 1)
    assert burning.fast.fires
    assert not burning.may_explore
    found = signals("lab/small", burning)
    assert [(each.level, each.subject, each.threshold) for each in found] == [("act", "fast", 14.4)]
    assert "Exploring has stopped" in found[0].what_to_do
    filled(budget, (49, 49.2), 30.0, 0)
    ebbing = budget.state(START + 49.2 * HOUR)
    assert not ebbing.fast.fires  # the last five minutes are calm
    assert not ebbing.may_explore  # and the hour is not, yet
    filled(budget, (49.2, 50.2), 30.0, 0)
    assert budget.state(START + 50.2 * HOUR).may_explore


def test_exploring_stops_when_the_period_is_spent_and_waits_for_a_tenth_of_it() -> None:
    budget = filled(ErrorBudget(0.9), (0, 100), 60.0, 6)
    spent = budget.state(START + 100 * HOUR)
    assert spent.exhausted
    assert not spent.fast.fires
    assert not spent.may_explore
    assert may_explore(rate(1.0, 1.0), 0.95, exhausted=False, before=False) is False
    assert may_explore(rate(1.0, 1.0), 0.95, exhausted=False, before=True) is True
    assert may_explore(rate(1.0, 1.0), 0.9, exhausted=False, before=False) is True


def test_an_accident_is_no_reason_to_stop() -> None:
    budget = ErrorBudget(0.99)
    budget.add(START, False)
    burn = budget.state(START)
    assert burn.fast.long == pytest.approx(100.0)
    assert not burn.fast.fires
    assert burn.may_explore


def test_an_agent_that_keeps_its_target_goes_on_exploring() -> None:
    rng, stopped = np.random.default_rng(0), 0
    for _ in range(40):
        budget = ErrorBudget(0.9)
        for hour in range(72):
            for minute, success in enumerate(rng.random(12) < 0.9):
                budget.add(START + hour * HOUR + minute * 5 * MINUTE, bool(success))
            stopped += not budget.state(START + hour * HOUR + 59 * MINUTE).may_explore
    assert stopped <= 10  # of 2,880 looks


def test_what_is_older_than_the_period_is_forgotten() -> None:
    budget = filled(ErrorBudget(0.9, 72 * HOUR), (0, 1), 60.0, 1)
    assert budget.state(START + 71 * HOUR).failures == 60
    assert budget.state(START + 72 * HOUR).failures == 0


def test_memory_is_bounded_and_a_clock_that_is_wrong_does_not_empty_it() -> None:
    budget = filled(ErrorBudget(0.9, 72 * HOUR), (0, 200), 300.0, 2)
    budget.add(START + 1e9, True)
    assert budget.state(START + 200 * HOUR).outcomes >= 71 * 12
    assert max(len(budget._hours._counts), len(budget._minutes._counts)) <= 360


@given(st.lists(st.tuples(st.integers(0, 5 * 3_600), st.booleans()), max_size=40))
def test_two_processes_together_have_counted_what_one_would_have(outcomes: list[tuple[int, bool]]) -> None:
    alone, first, second = ErrorBudget(0.9), ErrorBudget(0.9), ErrorBudget(0.9)
    for at, success in outcomes:
        alone.add(START + at, success)
    for index, (at, success) in enumerate(reversed(outcomes)):
        (first if index % 2 else second).add(START + at, success)
    first.merge(second)
    assert first.state(START + 5 * HOUR) == alone.state(START + 5 * HOUR)


@given(st.integers(1, 2_000), st.floats(0.001, 0.3), st.data())
def test_what_no_accident_explains_is_the_tail_of_the_binomial(count: int, share: float, data: st.DataObject) -> None:
    failures = data.draw(st.integers(0, count))
    tail = float(stats.binom.sf(failures - 1, count, share))
    if tail > 1e-4:
        assert not _evident(failures, count, share)
    if tail < 0.5e-4:
        assert _evident(failures, count, share)


@pytest.mark.parametrize(("target", "period_s"), [(1.0, 1e6), (0.0, 1e6), (0.9, 3_600.0)])
def test_a_budget_that_means_nothing_is_refused(target: float, period_s: float) -> None:
    with pytest.raises(InvalidInput, match="error budget"):
        ErrorBudget(target, period_s)

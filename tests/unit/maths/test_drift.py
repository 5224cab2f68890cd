"""Distances agree with hand-computed cases, noise with what chance does, and ADWIN with what it promises."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from scipy import stats

from steersman.core.errors import InvalidInput
from steersman.maths.drift import Adwin, compare, f_tail, homogeneity, kl, psi, shares
from steersman.maths.statistics import Moments, welford

Counts = NDArray[np.int64]
Floats = NDArray[np.float64]
WINDOW = arrays(np.int64, 4, elements=st.integers(0, 500)).filter(lambda counts: counts.sum() > 0)


def counted(*counts: int) -> Counts:
    return np.array(counts, dtype=np.int64)


def moments(values: Floats) -> Moments:
    found: Moments = (0, 0.0, 0.0)
    for value in values.tolist():
        found = welford(found, value)
    return found


def blocks(draws: Counts, count: int, bins: int) -> Counts:
    return np.array([np.bincount(block, minlength=bins) for block in draws.reshape(count, -1)])


def alarms(detector: Adwin, values: Floats) -> list[int]:
    return [index for index, value in enumerate(values.tolist(), 1) if detector.add(value)]


def test_half_a_count_is_added_to_each_bin() -> None:
    assert shares(counted(0, 3)) == pytest.approx([0.5 / 4, 3.5 / 4])


def test_psi_and_kl_follow_a_hand_computed_case() -> None:
    before, after = counted(49, 49), counted(74, 24)  # shares 49.5/99, 49.5/99 and 74.5/99, 24.5/99
    p, q = 74.5 / 99, 24.5 / 99
    assert psi(before, after) == pytest.approx((p - 0.5) * math.log(p / 0.5) + (q - 0.5) * math.log(q / 0.5))
    assert kl(before, after) == pytest.approx(p * math.log(p / 0.5) + q * math.log(q / 0.5))


def test_a_bin_that_is_empty_in_one_window_counts_and_in_both_does_not() -> None:
    assert 0.0 < psi(counted(50, 50, 0), counted(40, 40, 20)) < math.inf
    assert psi(counted(50, 50, 0), counted(5, 5, 0)) == pytest.approx(0.0)


@given(WINDOW, WINDOW)
def test_psi_is_the_divergence_both_ways_and_never_negative(first: Counts, second: Counts) -> None:
    assert psi(first, second) == pytest.approx(kl(first, second) + kl(second, first), abs=1e-12)
    assert min(psi(first, second), kl(first, second)) >= -1e-12


@pytest.mark.parametrize(("first", "second"), [((1, 2), (1, 2, 3)), ((0, 0), (1, 2)), ((1, 2), (0, 0))])
def test_windows_that_cannot_be_compared_are_refused(first: tuple[int, ...], second: tuple[int, ...]) -> None:
    with pytest.raises(InvalidInput, match="same bins"):
        psi(counted(*first), counted(*second))


@pytest.mark.parametrize(("f", "first", "second"), [(2.0, 1, 48), (10.0, 1, 48), (4.0, 5, 90), (9.0, 9, 162)])
def test_the_tail_of_f_is_that_of_scipy_within_its_approximation(f: float, first: int, second: int) -> None:
    exact = float(stats.f.sf(f, first, second))
    assert 0.9 * exact < f_tail(f, first, second) < 3.0 * exact


def test_without_degrees_of_freedom_nothing_can_be_told() -> None:
    assert f_tail(100.0, 1, 0) == 1.0


def test_homogeneity_needs_blocks_and_counts() -> None:
    with pytest.raises(InvalidInput, match="two blocks"):
        homogeneity(np.array([[1, 2]]), np.array([[1, 2], [3, 4]]))
    with pytest.raises(InvalidInput, match="both windows"):
        homogeneity(np.array([[1, 2], [3, 4]]), np.array([[0, 0], [0, 0]]))


def test_a_single_bin_cannot_drift() -> None:
    assert homogeneity(np.array([[5, 0], [5, 0]]), np.array([[7, 0], [2, 0]])) == 1.0


@pytest.mark.parametrize("length", [1, 5, 20])
def test_the_test_of_homogeneity_keeps_its_level_whether_draws_come_alone_or_in_runs(length: int) -> None:
    rejected = 0
    for seed in range(1_000):
        draws = np.repeat(np.random.default_rng(seed).integers(0, 5, 2_500 // length), length)
        counts = blocks(draws, 50, 5)
        rejected += homogeneity(counts[:40], counts[40:]) < 0.05
    assert rejected <= 75  # 50 are expected; 75 or more have a probability of 4e-4


def test_the_test_of_homogeneity_sees_a_drift() -> None:
    rng = np.random.default_rng(0)
    before, after = blocks(rng.integers(0, 5, 2_000), 40, 5), blocks(rng.choice(5, 500, p=[0.4, 0.3, 0.1, 0.1, 0.1]), 10, 5)
    assert homogeneity(before, after) < 1e-6


def test_a_comparison_of_two_windows_is_welchs_test() -> None:
    rng = np.random.default_rng(1)
    before, after = rng.normal(size=40), rng.normal(0.5, 2.0, size=25)
    found = compare([moments(before)], [moments(after)])
    expected = stats.ttest_ind(after, before, equal_var=False)
    assert found is not None
    assert found.difference / found.error == pytest.approx(float(expected.statistic))
    assert found.freedom == pytest.approx(float(expected.df))
    assert 2.0 * found.chance(1.0) == pytest.approx(float(expected.pvalue))


def test_values_in_clusters_widen_the_error_of_a_comparison() -> None:
    rng = np.random.default_rng(2)
    lumps = np.repeat(rng.normal(size=250), 10).reshape(50, 50)
    found = compare([moments(each) for each in lumps[:40]], [moments(each) for each in lumps[40:]])
    alone = compare([moments(lumps[:40].ravel())], [moments(lumps[40:].ravel())])
    assert found is not None
    assert alone is not None
    assert 2.2 < found.error / alone.error < 4.2  # √10 in the long run
    assert found.freedom == 48


def test_there_is_nothing_to_compare_with_fewer_than_two_values() -> None:
    assert compare([(5, 1.0, 1.0)], [(1, 1.0, 0.0)]) is None


def test_constants_differ_for_certain_or_not_at_all() -> None:
    found = compare([(5, 1.0, 0.0)], [(5, 2.0, 0.0)])
    assert found is not None
    assert (found.chance(1.0), found.chance(-1.0)) == (0.0, 1.0)


@pytest.mark.parametrize("share", [None, 0.5, 0.01])
def test_adwin_is_silent_where_nothing_changes(share: float | None) -> None:
    rng = np.random.default_rng(3)
    values = rng.normal(size=20_000) if share is None else (rng.random(20_000) < share).astype(np.float64)
    assert alarms(Adwin(0.01), values) == []


@pytest.mark.parametrize(("rise", "soon"), [(0.25, 800), (0.5, 250), (-1.0, 100)])
def test_adwin_sees_a_change_soon_and_says_what_came_after_it(rise: float, soon: int) -> None:
    rng = np.random.default_rng(4)
    detector = Adwin(0.01)
    assert alarms(detector, rng.normal(size=5_000)) == []
    for delay, value in enumerate(rng.normal(rise, 1.0, soon).tolist(), 1):
        shift = detector.add(value)
        if shift:
            assert shift.before == pytest.approx(0.0, abs=0.15)
            assert shift.after == pytest.approx(rise, abs=0.35)
            assert shift.count == detector.count < 1.5 * delay + 32
            assert abs(shift.after - shift.before) > shift.bound
            return
    pytest.fail(f"a change of {rise} was not seen in {soon} values")


def steps(seed: int, rise: float) -> Floats:
    rng = np.random.default_rng(seed)
    return np.concatenate([rng.normal(0.0, 1.0, 2_000), rng.normal(rise, 1.0, 2_000)])


def flips(seed: int, before: float, after: float) -> Floats:
    rng = np.random.default_rng(seed)
    return np.concatenate([rng.random(2_000) < before, rng.random(2_000) < after]).astype(np.float64)


@pytest.mark.parametrize(
    ("values", "rivers"),
    [
        (steps(0, 1.0), 2_048),
        (steps(1, 0.5), 2_080),
        (steps(2, -0.3), 2_304),
        (flips(0, 0.5, 0.3), 2_240),
        (flips(1, 0.02, 0.2), 2_080),
    ],
)
def test_adwin_sees_what_rivers_sees_at_about_the_same_time(values: Floats, rivers: int) -> None:
    """Where river 0.26.1, `drift.ADWIN()` as it comes, said `drift_detected` of these values: once in each."""
    found = alarms(Adwin(), values)
    assert len(found) == 1
    assert abs(found[0] - rivers) <= 96


def test_adwin_allows_for_values_that_come_in_sessions() -> None:
    rng = np.random.default_rng(5)
    common = np.repeat(rng.normal(size=4_000), 10)
    values = math.sqrt(0.5) * (common + rng.normal(size=40_000))
    assert len(alarms(Adwin(0.01), values)) <= 1


def test_adwin_keeps_few_buckets_and_forgets_no_value_before_a_change() -> None:
    detector = Adwin()
    values = np.random.default_rng(6).random(10_000)
    assert alarms(detector, values) == []
    assert detector.count == 10_000
    assert detector.mean == pytest.approx(values.mean())
    assert detector.buckets <= 5 * math.ceil(math.log2(10_000))


@given(st.floats(-1e6, 1e6), st.integers(1, 400))
def test_a_constant_never_changes(value: float, count: int) -> None:
    assert alarms(Adwin(0.5), np.full(count, value)) == []


@given(st.floats(0.01, 100.0), st.floats(-100.0, 100.0))
def test_adwin_does_not_depend_on_units(scale: float, origin: float) -> None:
    rng = np.random.default_rng(7)
    values = np.concatenate([rng.normal(size=320), rng.normal(2.0, 1.0, 160)])
    assert alarms(Adwin(), values) == alarms(Adwin(), origin + scale * values) != []


def test_a_delta_that_is_no_probability_is_refused() -> None:
    with pytest.raises(InvalidInput, match="delta"):
        Adwin(0.0)


def test_what_is_left_after_a_cut_are_the_moments_of_the_values_after_it() -> None:
    rng = np.random.default_rng(8)
    values = np.concatenate([rng.normal(size=640), rng.normal(3.0, 1.0, 320)])
    detector = Adwin()
    last = [shift for value in values.tolist() if (shift := detector.add(value))][-1]
    kept = moments(values[len(values) - detector.count :])
    assert detector.count < len(values)
    assert kept[1] == pytest.approx(3.0, abs=0.3)
    assert last.after == pytest.approx(3.0, abs=0.5)
    assert detector.mean == pytest.approx(kept[1])

"""Bets against known answers, against sums worked out by hand, and against what chance does over many runs."""

import itertools
import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from steersman.core.errors import InvalidInput
from steersman.maths.betting import (
    NOT_WORSE,
    WORSE,
    Bounds,
    Detector,
    Flags,
    Floats,
    Ratio,
    Scale,
    Units,
    Wager,
    bound,
    count,
    detect,
    observe,
    payoffs,
)

Draw = Callable[[np.random.Generator, tuple[int, int]], Floats]
RUNS, LONG = 300, 1_000


def units(scores: list[float], challenger: list[bool], share: float | list[float] = 0.5) -> Units:
    """Units of one run, shape (n, 1)."""
    shares = np.broadcast_to(np.asarray(share, float), len(scores))
    return Units(np.array(scores)[:, None], np.array(challenger)[:, None], shares[:, None])


def drawn(seed: int, share: Floats, champion: Draw, challenger: Draw) -> Units:
    """Units of many runs: the arm by a coin, the score by the arm's draw."""
    rng = np.random.default_rng(seed)
    arms: Flags = rng.random((len(share), RUNS)) < share
    shape = (len(share), RUNS)
    return Units(np.where(arms, challenger(rng, shape), champion(rng, shape)), arms, share)


def bernoulli(rate: float) -> Draw:
    return lambda rng, shape: (rng.random(shape) < rate).astype(float)


def clipped(mean: float, spread: float) -> Draw:
    return lambda rng, shape: np.clip(rng.normal(mean, spread, shape), 0.0, 1.0)


def crossed(side: float, margin: float, seen: Units, alpha: float = 0.05) -> float:
    """The share of runs in which the evidence was 1/α at any time."""
    wager, scale = Wager.blank(side=side, margin=margin, shape=(RUNS,)), Scale.blank((RUNS,))
    return float(np.mean(observe(wager, payoffs(scale, seen)).max(axis=0) >= math.log(1.0 / alpha)))


def test_a_payoff_follows_a_hand_computed_case() -> None:
    found = payoffs(Scale.blank((1,)), units([1.0, 0.0, 0.5], [True, False, True], [0.25, 0.25, 0.5]))
    # Centres ½, (½ + 1)/2 = 0.75, (½ + 1 + 0)/3 = ½; payoffs ½/¼, −(0 − 0.75)/0.75, 0/½.
    assert found.x[:, 0] == pytest.approx([2.0, 1.0, 0.0])
    assert found.low[:, 0] == pytest.approx([-2.0, -3.0, -1.0])
    assert found.high[:, 0] == pytest.approx([2.0, 1.0, 1.0])
    # Squares times w(1 − w): 4·3/16 = 0.75, then 3/16; spread² = (1 + Σ)/(4 + n)/(w(1 − w)).
    assert found.spread[:, 0] ** 2 == pytest.approx([0.25 * 16 / 3, 1.75 / 5 * 16 / 3, (1.75 + 3 / 16) / 6 * 4])


def test_wealth_follows_a_hand_computed_case() -> None:
    wager = Wager.blank(side=WORSE, margin=0.1, shape=(1,))
    log_e = observe(wager, payoffs(Scale.blank((1,)), units([0.0], [True])))
    # Spread 1, worst payoff 1 + 0.1; what is won is −(−½/½ + 0.1) = 0.9 for each stake.
    stakes = [0.16, 0.08, 0.04, 0.02, 0.01, 0.005]
    shares = [0.3, 0.3, 0.2, 0.1, 0.05, 0.05]
    assert math.exp(log_e[0, 0]) == pytest.approx(sum(p * (1 + 0.9 * each) for p, each in zip(shares, stakes, strict=True)))


@given(
    st.lists(st.tuples(st.sampled_from([0.0, 0.25, 1.0, math.nan]), st.booleans(), st.sampled_from([0.1, 0.5])), min_size=1),
    st.integers(1, 10),
)
@settings(max_examples=50)
def test_it_makes_no_difference_how_units_are_cut_into_calls(rows: list[tuple[float, bool, float]], size: int) -> None:
    whole, cut, path = Scale.blank((1,)), Scale.blank((1,)), []
    first, second = (Wager.blank(side=NOT_WORSE, margin=0.1, shape=(1,)) for _ in range(2))
    wide, narrow = Bounds.blank((1,)), Bounds.blank((1,))
    at_once = payoffs(whole, units(*map(list, zip(*rows, strict=True))))
    bound(wide, at_once)
    expected = observe(first, at_once)
    for start in range(0, len(rows), size):
        part = payoffs(cut, units(*map(list, zip(*rows[start : start + size], strict=True))))
        bound(narrow, part)
        path.append(observe(second, part))
    assert np.concatenate(path) == pytest.approx(expected, abs=1e-9)
    assert np.array(narrow.interval(0.05)) == pytest.approx(np.array(wide.interval(0.05)))


@pytest.mark.parametrize(("share", "margin", "side"), list(itertools.product([0.1, 0.5], [0.0, 0.1], [WORSE, NOT_WORSE])))
def test_wealth_is_expected_to_stay_the_same_whatever_comes_next(share: float, margin: float, side: float) -> None:
    """Over all four outcomes of a next unit, with arms exactly the margin apart, the mean factor is 1."""
    for past in ([], [1.0, 0.0, 1.0], [1.0] * 20):
        expected, before = 0.0, 0.0
        for arm, score in itertools.product([True, False], [0.0, 1.0]):
            rate = 0.5 - (margin if arm else 0.0)
            probability = (share if arm else 1.0 - share) * (rate if score else 1.0 - rate)
            wager, scale = Wager.blank(side=side, margin=margin, shape=(1,)), Scale.blank((1,))
            if past:
                before = float(observe(wager, payoffs(scale, units(past, [True] * len(past), share)))[-1, 0])
            after = float(observe(wager, payoffs(scale, units([score], [arm], share)))[-1, 0])
            expected += probability * math.exp(after - before)
        assert expected == pytest.approx(1.0)


def test_a_missing_score_changes_nothing() -> None:
    wager, scale, bounds = Wager.blank(side=WORSE, margin=0.1, shape=(1,)), Scale.blank((1,)), Bounds.blank((1,))
    missing = payoffs(scale, units([math.nan], [True]))
    assert observe(wager, missing)[-1, 0] == 0.0
    bound(bounds, missing)
    assert bounds.staked.max() == 0.0
    assert scale.count[0] == 1.0


@pytest.mark.parametrize("margin", [-0.1, 1.0, math.nan])
def test_a_margin_is_a_share_of_the_range(margin: float) -> None:
    with pytest.raises(InvalidInput, match="shares of the range"):
        Wager.blank(side=WORSE, margin=margin, shape=(1,))


@pytest.mark.parametrize("draw", [bernoulli(0.5), bernoulli(0.01), clipped(0.5, 0.2)])
@pytest.mark.parametrize("side", [WORSE, NOT_WORSE])
def test_equal_arms_are_told_apart_in_no_more_than_five_per_cent_of_runs(draw: Draw, side: float) -> None:
    seen = drawn(1, np.full((LONG, 1), 0.1), draw, draw)
    assert crossed(side, 0.0, seen) <= 0.05


def test_a_ramp_with_a_drift_of_both_arms_fools_nobody() -> None:
    """While the share grows from 1 % to 50 % both arms lose half of what they earn."""
    share = np.repeat([0.01, 0.1, 0.5], LONG // 2)[:, None]
    drift = 0.9 - 0.5 * np.arange(len(share))[:, None] / len(share)
    draw: Draw = lambda rng, shape: (rng.random(shape) < drift).astype(float)  # noqa: E731 - a Draw, as the others
    seen = drawn(2, share, draw, draw)
    assert crossed(WORSE, 0.0, seen) <= 0.05
    first, second = (np.where(arm, seen.scores, np.nan) for arm in (~seen.challenger, seen.challenger))
    error = np.sqrt(
        np.nanvar(first, axis=0) / (~seen.challenger).sum(axis=0) + np.nanvar(second, axis=0) / seen.challenger.sum(axis=0)
    )
    z = (np.nanmean(second, axis=0) - np.nanmean(first, axis=0)) / error
    assert np.mean(z < -1.96) > 0.9, "pooled means must be fooled, or this shows nothing"


@pytest.mark.parametrize(("share", "side", "shift"), [(0.1, WORSE, -0.25), (0.5, WORSE, -0.25), (0.1, NOT_WORSE, 0.0)])
def test_what_is_so_is_found(share: float, side: float, shift: float) -> None:
    """Half of the runs find half a standard deviation beyond the margin in 10/(w(1 − w)d²) units, or 300."""
    length = max(300, round(10 / (share * (1 - share) * 0.25))) if side == WORSE else 3_000
    seen = drawn(3, np.full((length, 1), share), bernoulli(0.5), bernoulli(0.5 - 0.1 + shift if side == WORSE else 0.5))
    assert crossed(side, 0.1, seen) > 0.5


def test_the_interval_holds_the_difference_at_all_times_and_narrows() -> None:
    seen = drawn(4, np.full((LONG, 1), 0.2), bernoulli(0.6), bernoulli(0.5))
    scale, bounds, missed = Scale.blank((RUNS,)), Bounds.blank((RUNS,)), np.zeros(RUNS, bool)
    for start in range(0, LONG, 10):
        part = Units(seen.scores[start : start + 10], seen.challenger[start : start + 10], seen.share[start : start + 10])
        bound(bounds, payoffs(scale, part))
        low, high = bounds.interval(0.05)
        missed |= (low > -0.1) | (high < -0.1)
    assert missed.mean() <= 0.05
    assert np.median(high - low) < 0.4
    # A fixed-sample interval of that many units would be 2·1.96·√(0.25/0.2 + 0.24/0.8)/√1000 = 0.15 wide.


def test_the_interval_is_all_that_there_is_before_any_unit() -> None:
    low, high = Bounds.blank((1,)).interval(0.05)
    assert (low[0], high[0]) == (-1.0, 1.0)


def test_the_sample_ratio_follows_a_hand_computed_case() -> None:
    ratio = Ratio.blank((1,))
    log_e = count(ratio, units([0.0, 0.0], [True, True], [0.1, 0.5]))
    odds = [sign * 0.05 * 2**power for power in range(6) for sign in (-1, 1)]
    tilted = [[math.exp(e) * w / (1 - w + w * math.exp(e)) / w for w in (0.1, 0.5)] for e in odds]
    assert math.exp(log_e[1, 0]) == pytest.approx(sum(a * b for a, b in tilted) / 12)


def test_the_sample_ratio_holds_under_a_ramp_and_finds_what_is_missing() -> None:
    """One in three of the challenger's units is lost; an exact test of level 0.001 finds it in nearly all runs."""
    rng = np.random.default_rng(5)
    share = np.repeat([0.01, 0.1, 0.5], 1_000)[:, None]
    arms: Flags = rng.random((len(share), RUNS)) < share
    scores = np.zeros_like(arms, float)
    limit = math.log(1_000.0)
    assert np.mean(count(Ratio.blank((RUNS,)), Units(scores, arms, share)).max(axis=0) >= limit) <= 0.004
    lost = rng.random((len(share), RUNS)) < (2 / 3) * share / (1 - share / 3)
    assert np.mean(count(Ratio.blank((RUNS,)), Units(scores, lost, share)).max(axis=0) >= limit) > 0.9


def alarms(seen: Units, margin: float, limit: float, forget: int = 0) -> NDArray[np.intp]:
    """After how many units each run gave the alarm that the challenger is worse by more than the margin; −1 for never.

    forget: units after which the detector begins to count.
    """
    detector, scale = Detector.blank(side=WORSE, margin=margin, shape=(RUNS,)), Scale.blank((RUNS,))
    path = detect(detector, payoffs(scale, seen))[forget:] >= math.log(limit)
    return np.where(path.any(axis=0), path.argmax(axis=0), -1)


def test_evidence_of_a_change_follows_a_hand_computed_case() -> None:
    detector = Detector.blank(side=WORSE, margin=0.1, shape=(1,))
    log_r = detect(detector, payoffs(Scale.blank((1,)), units([0.0, math.nan], [True, True])))
    # The first unit as a wager's: each bet becomes 1 + 0.9·κ. The second tells nothing, and bets that begin with it are 1.
    stakes = [0.16, 0.08, 0.04, 0.02, 0.01, 0.005]
    first = sum(p * (1 + 0.9 * each) for p, each in zip([0.3, 0.3, 0.2, 0.1, 0.05, 0.05], stakes, strict=True))
    assert np.exp(log_r[:, 0]) == pytest.approx([first, first + 1.0])


@pytest.mark.parametrize("share", [0.1, 0.95])
def test_evidence_of_a_change_is_expected_to_grow_by_one_while_there_is_none(share: float) -> None:
    for past in ([], [1.0, 0.0, 1.0], [1.0] * 70):
        expected, before = 0.0, 0.0
        for arm, score in itertools.product([True, False], [0.0, 1.0]):
            rate = 0.5 - (0.1 if arm else 0.0)
            probability = (share if arm else 1.0 - share) * (rate if score else 1.0 - rate)
            detector, scale = Detector.blank(side=WORSE, margin=0.1, shape=(1,)), Scale.blank((1,))
            if past:
                before = math.exp(detect(detector, payoffs(scale, units(past, [True] * len(past), share)))[-1, 0])
            after = math.exp(detect(detector, payoffs(scale, units([score], [arm], share)))[-1, 0])
            expected += probability * after
        assert expected == pytest.approx(1.0 + before)


@given(st.lists(st.tuples(st.sampled_from([0.0, 0.25, 1.0, math.nan]), st.booleans()), min_size=1), st.integers(1, 60))
@settings(max_examples=30)
def test_a_detector_comes_to_the_same_however_units_are_cut(rows: list[tuple[float, bool]], size: int) -> None:
    whole, cut, path = Scale.blank((1,)), Scale.blank((1,)), []
    first, second = (Detector.blank(side=WORSE, margin=0.1, shape=(1,)) for _ in range(2))
    expected = detect(first, payoffs(whole, units([score for score, _ in rows], [arm for _, arm in rows], 0.9)))
    for start in range(0, len(rows), size):
        rest = rows[start : start + size]
        part = units([score for score, _ in rest], [arm for _, arm in rest], 0.9)
        path.append(detect(second, payoffs(cut, part)))
    assert np.concatenate(path) == pytest.approx(expected, abs=1e-9)


def test_false_alarms_of_a_change_are_as_rare_as_is_said() -> None:
    """E R ≤ t, so in 1,000 units a limit of 20,000 is reached in 5 % of runs or fewer, right at the margin."""
    share = np.full((LONG, 1), 0.95)
    found = alarms(drawn(3, share, bernoulli(0.5), bernoulli(0.4)), 0.1, limit=20_000.0)
    assert np.mean(found >= 0) <= 0.05
    assert np.mean(alarms(drawn(3, share, bernoulli(0.5), bernoulli(0.4)), 0.1, limit=20.0) >= 0) > 0.5  # it can fail


def test_a_change_is_seen_as_soon_after_a_long_time_as_at_once() -> None:
    """The wealth of a wager is lost in good times and has to be won back; a detector looks back no farther than needed."""
    rng, good, bad = np.random.default_rng(5), 5_000, 2_000
    share = np.full((good + bad, 1), 0.9)
    arms: Flags = rng.random((good + bad, RUNS)) < share
    rate = np.where(arms, np.where(np.arange(good + bad) < good, 0.9, 0.3)[:, None], 0.6)
    seen = Units((rng.random(rate.shape) < rate).astype(float), arms, share)
    late = alarms(seen, 0.05, limit=100_000.0, forget=good)
    soon = alarms(Units(seen.scores[good:], arms[good:], share[good:]), 0.05, limit=100_000.0)
    assert min(np.mean(late >= 0), np.mean(soon >= 0)) > 0.98
    assert np.median(late) < 1.5 * np.median(soon)
    wager, scale = Wager.blank(side=WORSE, margin=0.05, shape=(RUNS,)), Scale.blank((RUNS,))
    assert np.median(observe(wager, payoffs(scale, seen)).max(axis=0)) < math.log(20.0)

"""Rewards that stop meaning what they should are told apart from rewards that are merely noisy, or better."""

from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from steersman.core.errors import InvalidInput
from steersman.maths.statistics import Moments, welford
from steersman.stages.monitor.anomaly import Better, Metric, Rewards, anomalies

Floats = NDArray[np.float64]
BLOCK = 50


def blocks(values: Floats) -> tuple[Moments, ...]:
    found = []
    for part in values.reshape(-1, BLOCK).tolist():
        moments: Moments = (0, 0.0, 0.0)
        for value in part:
            moments = welford(moments, value)
        found.append(moments)
    return tuple(found)


def metric(name: str, windows: tuple[Floats, Floats], better: Better = "higher") -> Metric:
    return Metric(name=name, better=better, reference=blocks(windows[0]), current=blocks(windows[1]))


def rewards(before: Floats, after: Floats) -> Rewards:
    steps = np.abs(np.diff(before, append=before[0])), np.abs(np.diff(after, append=after[0]))
    repeats = int(np.count_nonzero(steps[0] == 0.0)), int(np.count_nonzero(steps[1] == 0.0))
    return Rewards(rewards=metric("reward", (before, after)), steps=metric("steps", steps), repeats=repeats)


def draws(seed: int, mean: float, count: int, sd: float = 0.2) -> Floats:
    return np.random.default_rng(seed).normal(mean, sd, count)


def chances(rng: np.random.Generator, count: int, share: float) -> Floats:
    return (rng.random(count) < share).astype(np.float64)


def subjects(reward: Rewards, guardrails: Sequence[Metric], looks: int = 1) -> list[tuple[str, str, str]]:
    return [(each.kind, each.level, each.subject) for each in anomalies("lab/small", reward, guardrails, looks=looks)]


RISEN = rewards(draws(0, 0.0, 2_000), draws(1, 0.1, 500))
STILL = rewards(draws(0, 0.0, 2_000), draws(1, 0.0, 500))
SLOWER = metric("p95", (draws(2, 100.0, 2_000, 20.0), draws(3, 110.0, 500, 20.0)), "lower")
QUICKER = metric("p95", (draws(2, 100.0, 2_000, 20.0), draws(3, 90.0, 500, 20.0)), "lower")


def test_a_reward_that_rises_while_a_guardrail_gets_worse_is_hacked() -> None:
    signal = anomalies("lab/small", RISEN, [SLOWER])[0]
    assert (signal.kind, signal.level, signal.subject) == ("reward hacking", "act", "p95")
    assert signal.figure == pytest.approx(10.0, abs=3.0)
    assert 0.0 < signal.threshold < signal.figure
    assert "rose from" in signal.sentence


def test_a_falling_share_of_successes_is_a_guardrail_like_another() -> None:
    rng = np.random.default_rng(4)
    share = metric("success", (chances(rng, 2_000, 0.9), chances(rng, 500, 0.75)))
    signal = anomalies("lab/small", RISEN, [share])[0]
    assert (signal.subject, signal.level) == ("success", "act")
    assert signal.figure < signal.threshold < 0.0


def test_a_small_fall_is_only_a_warning() -> None:
    slightly = metric("p95", (draws(2, 100.0, 20_000, 20.0), draws(3, 102.5, 10_000, 20.0)), "lower")
    assert subjects(RISEN, [slightly]) == [("reward hacking", "warn", "p95")]


@pytest.mark.parametrize(("reward", "guardrail"), [(RISEN, QUICKER), (STILL, SLOWER), (STILL, QUICKER)])
def test_one_without_the_other_is_no_hacking(reward: Rewards, guardrail: Metric) -> None:
    assert subjects(reward, [guardrail]) == []


def test_later_looks_ask_for_more_evidence() -> None:
    barely = metric("p95", (draws(2, 100.0, 2_000, 20.0), draws(3, 104.0, 500, 20.0)), "lower")
    assert subjects(RISEN, [barely]) == [("reward hacking", "act", "p95")]
    assert subjects(RISEN, [barely], looks=1_000) == []


def test_bursts_are_not_taken_for_a_change() -> None:
    """Lumps of 50 alike that differ by 20 make windows of 10 lumps differ by 7 of themselves."""
    lumps = np.repeat(draws(5, 100.0, 50, 20.0), BLOCK)
    before, after = lumps[:2_000], lumps[2_000:]
    after = after - after.mean() + before.mean() + 10.0
    rng = np.random.default_rng(6)
    assert subjects(RISEN, [metric("p95", (before, after), "lower")]) == []
    mixed = metric("p95", (rng.permutation(before), rng.permutation(after)), "lower")
    assert subjects(RISEN, [mixed]) == [("reward hacking", "act", "p95")]


def test_rewards_that_stick_ask_for_action_unless_they_rose() -> None:
    before = draws(0, 0.0, 2_000)
    assert subjects(rewards(before, np.full(500, -0.1)), []) == [("reward anomaly", "act", "reward")]
    assert subjects(rewards(before, np.full(500, 0.5)), []) == [("reward anomaly", "warn", "reward")]


def test_rewards_that_never_differed_are_told() -> None:
    assert subjects(rewards(np.zeros(2_000), np.zeros(500)), []) == [("reward anomaly", "warn", "reward")]


def test_a_rare_reward_that_stays_away_for_a_while_is_no_anomaly() -> None:
    before = (np.random.default_rng(8).random(2_000) < 0.005).astype(np.float64)
    assert subjects(rewards(before, np.zeros(500)), []) == []


def test_rewards_that_hardly_vary_any_more_are_a_warning() -> None:
    before = draws(0, 0.0, 2_000)
    assert subjects(rewards(before, draws(1, 0.0, 500, 0.02)), []) == [("reward anomaly", "warn", "reward spread")]
    assert subjects(rewards(before, draws(1, 0.0, 500, 0.1)), []) == []


def test_few_values_say_nothing() -> None:
    few = Metric(name="p95", better="lower", reference=((29, 1.0, 0.0),), current=((29, 5.0, 0.0),))
    assert subjects(RISEN, [few]) == []
    tiny = Rewards(rewards=few, steps=few, repeats=(28, 28))
    assert subjects(tiny, [SLOWER]) == []


def test_noise_alone_raises_no_alarm_over_many_looks() -> None:
    alarms = 0
    for seed in range(20):
        rng = np.random.default_rng(seed)
        before, after = rng.normal(size=1_000), rng.normal(size=1_500)
        kept, kept_after = chances(rng, 1_000, 0.95), chances(rng, 1_500, 0.95)
        for look in range(1, 21):
            now = slice(BLOCK * look, BLOCK * look + 500)
            alarms += bool(subjects(rewards(before, after[now]), [metric("kept", (kept, kept_after[now]))], look))
    assert alarms == 0


@pytest.mark.parametrize("looks", [0, -1])
def test_a_look_counts_itself(looks: int) -> None:
    with pytest.raises(InvalidInput, match="looks"):
        anomalies("lab/small", STILL, [], looks=looks)


def test_a_direction_that_is_none_is_refused() -> None:
    with pytest.raises(InvalidInput, match="higher"):
        Metric(name="p95", better="up", reference=(), current=())  # type: ignore[arg-type]

"""Each verdict by a case computed by hand, and by a world whose answer is known."""

import math
from typing import Any

import numpy as np
import pytest
from msgspec.structs import replace

from steersman.core.sections import Convergence as Limits
from steersman.core.values import Window
from steersman.stages.monitor.convergence import Convergence, bias, judge, reward_rise, spread
from steersman.testing.log_rows import window

LIMITS = Limits(windows=4)
FINE = replace(
    window(0),
    outcomes=101,
    updates=100,
    td_bias=0.0,
    td_noise=0.0,
    td_pairs=100,
    reward_mean=0.6,
    reward_m2=1.0,
    successes=90,
    explored=1.0,
    policy_changes=1,
    states_seen=6,
)


def _judge(windows: list[Window], limits: Limits = LIMITS) -> Convergence:
    """Judge windows, oldest first, of an agent with rewards in [-1, 1] and 24 states."""
    return judge(windows[::-1], reward_range=2.0, states=24, success_from=0.0, limits=limits)


def _windows(count: int = 4, *, rewards: tuple[float, ...] = (), **changes: Any) -> list[Window]:
    means = rewards or (FINE.reward_mean,) * count
    return [replace(FINE, number=index, reward_mean=mean, **changes) for index, mean in enumerate(means)]


def _measures(found: Convergence) -> dict[str, tuple[float, bool]]:
    return {each.name: (each.value, each.holds) for each in found.measures}


def test_all_measures_hold_and_it_is_ready() -> None:
    found = _judge(_windows())
    assert (found.verdict, found.recommendation) == ("converged", "ready")
    assert _measures(found) == {
        "values": (0.0, True),
        "policy": (0.01, True),
        "rewards": (0.0, True),
        "success": (90 / 101, True),
        "exploration": (1 / 101, True),
    }
    assert (found.windows, found.windows_needed, found.states_visited) == (4, 4, 0.25)
    assert found.reward_mean == pytest.approx(0.6)
    assert found.reward_interval == pytest.approx((0.6, 0.6))
    assert found.reward_noise == pytest.approx(math.sqrt(0.125))


@pytest.mark.parametrize("count", [0, 1, 3])
def test_too_few_windows_give_no_verdict(count: int) -> None:
    found = _judge(_windows(count) if count else [])
    assert (found.verdict, found.recommendation, found.measures) == ("not enough data", "", ())
    assert f"{count} of 4 windows have closed" in found.advice
    assert "at least 10" in found.advice


def test_windows_without_a_pair_of_updates_give_no_verdict() -> None:
    assert _judge(_windows(td_pairs=0, updates=0)).verdict == "not enough data"


def test_only_the_last_windows_count() -> None:
    old = [replace(each, td_bias=1.0, policy_changes=90) for each in _windows(6)]
    assert _judge([*old, *_windows()]).recommendation == "ready"


@pytest.mark.parametrize(
    ("changes", "recommendation"),
    [
        ({"successes": 80}, "review the reward"),
        ({"explored": 6.0}, "decay exploration faster"),
        ({"explored": 6.0, "successes": 80}, "decay exploration faster"),  # exploring itself costs successes
        ({"td_bias": 0.03}, "nearly there"),
        ({"td_bias": 0.03, "successes": 80, "explored": 6.0}, "nearly there"),
        ({"policy_changes": 25}, "nearly there"),
        ({"rewards": (0.1, 0.3, 0.5, 0.7)}, "nearly there"),
        ({"rewards": (0.1, 0.3, 0.5, 0.7), "td_bias": 0.03}, "nearly there"),
        ({"rewards": (0.7, 0.1, 0.7, 0.1)}, "check the environment"),
        ({"rewards": (0.7, 0.1, 0.7, 0.1), "td_bias": 0.03}, "check the environment"),
        ({"rewards": (0.7, 0.5, 0.3, 0.1)}, "check the environment"),
    ],
)
def test_what_fails_says_what_to_do(changes: dict[str, Any], recommendation: str) -> None:
    found = _judge(_windows(**changes))
    assert found.recommendation == recommendation
    assert found.advice


def test_limits_are_settings() -> None:
    assert _judge(_windows(successes=80), Limits(windows=4, success=0.7)).recommendation == "ready"
    assert _judge(_windows(td_bias=0.03), Limits(windows=4, td_bias=0.02)).recommendation == "ready"


def test_bias_counts_beyond_two_standard_errors() -> None:
    assert bias(_windows(td_bias=0.5)) == pytest.approx(0.5)
    # noise 0.4 is an error of 0.16 in the square of each of four windows, so 0.08 in their mean
    assert bias(_windows(td_bias=0.5, td_noise=0.4)) == pytest.approx(math.sqrt(0.25 - 2 * 0.08))
    assert bias(_windows(td_bias=0.3, td_noise=0.4)) == 0.0


def test_noise_of_the_windows_cancels_before_the_root_is_taken() -> None:
    signed = [replace(each, td_bias=size) for each, size in zip(_windows(), (0.3, -0.3, 0.3, -0.3), strict=True)]
    assert bias(signed) == pytest.approx(0.0, abs=1e-6)
    weighed = [replace(each, td_pairs=pairs) for each, pairs in zip(signed, (300, 100, 300, 100), strict=True)]
    assert bias(weighed) == pytest.approx(0.3 * math.sqrt(0.5))  # (0.09·600 − 0.09·200) / 800


def test_spread_counts_beyond_what_the_rewards_noise_explains() -> None:
    swinging = _windows(rewards=(0.7, 0.5, 0.7, 0.5))
    between, within = 4 * 0.01 / 3, 1.0 / 100 / 101
    assert spread(swinging) == pytest.approx(math.sqrt(between - within * (1 + 2 * math.sqrt(2 / 3))))
    assert spread([replace(each, reward_m2=100.0) for each in swinging]) == 0.0


def test_a_rise_counts_beyond_two_standard_errors() -> None:
    rising = _windows(rewards=(0.1, 0.1, 0.3, 0.3))
    assert reward_rise(rising) == pytest.approx(0.2)
    assert reward_rise(rising[::-1]) == pytest.approx(-0.2)
    assert reward_rise([replace(each, reward_m2=200.0) for each in rising]) == 0.0  # ± 0.14 each


@pytest.mark.parametrize(("wrong_by", "recommendation"), [(0.0, "ready"), (0.2, "nearly there")])
def test_biased_values_are_told_from_noisy_ones(wrong_by: float, recommendation: str) -> None:
    """TD errors of equal size on average: in the one case their signs cancel, in the other they do not."""
    from steersman.stages.learn.windows import td_bias

    rng = np.random.default_rng(0)
    windows = []
    for each in _windows():
        errors = rng.normal(wrong_by, math.sqrt(0.09 - wrong_by**2), (16, 6))
        size, noise, pairs = td_bias(errors.sum(axis=1).tolist(), [6] * 16, float((errors**2).sum()))
        windows.append(replace(each, td_bias=size, td_noise=noise, td_pairs=pairs))
    assert _judge(windows).recommendation == recommendation

"""Convergence: has learning ended, and what to do if not. Judged over the last windows, against the limits of the settings.

A measure fails only by what noise does not explain: two standard errors are taken off first. Otherwise an agent with few
or noisy outcomes would never be ready, however well it had learned.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from steersman.core.sections import Convergence as Limits
from steersman.core.values import Window
from steersman.maths.statistics import mean_interval

Floats = NDArray[np.float64]
Verdict = Literal["not enough data", "still learning", "unsettled", "settled", "converged"]
Recommendation = Literal[
    "", "ready", "review the reward", "decay exploration faster", "check the environment", "nearly there"
]
SIGNIFICANT = 2.0
"""Standard errors that noise is granted."""

_ADVICE: dict[Recommendation, str] = {
    "ready": "Learning has ended with a good policy. Nothing needs to be done.",
    "review the reward": "The policy has settled, and yet too few outcomes succeed. See whether the reward pays for what is "
    "wanted, whether success_reward can be reached, and whether the actions suffice.",
    "decay exploration faster": "Values and rewards have settled, and it still explores. Lower exploration.floor, or the "
    "decay that leads there.",
    "check the environment": "Rewards go up and down by more than noise, and learning does not explain it. Look for what "
    "changes outside: a field that the state lacks, a measurement that is wrong, a world that moves. A learning.alpha that "
    "is too high for the noise does the same.",
    "nearly there": "It still learns: values move, best actions change, or rewards rise. Leave it as it is and look again "
    "later.",
}


@dataclass(frozen=True, kw_only=True)
class Measure:
    """One figure against its limit, which it has to stay below, or to exceed, and whether it does."""

    name: str
    value: float
    limit: float
    below: bool
    holds: bool
    meaning: str


@dataclass(frozen=True, kw_only=True)
class Convergence:
    """Where learning stands: the verdict, the one recommendation with what to do, and the figures behind them.

    windows: how many were judged, of windows_needed. reward_mean: over them, with its 95 % interval (None where there
    are no two windows). reward_noise: standard deviation of the rewards within an entry, the environment's own.
    states_visited: share of the possible states that a window saw.
    """

    verdict: Verdict
    recommendation: Recommendation
    advice: str
    windows: int
    windows_needed: int
    measures: tuple[Measure, ...] = ()
    reward_mean: float | None = None
    reward_interval: tuple[float, float] | None = None
    reward_noise: float | None = None
    states_visited: float | None = None


def judge(
    windows: Sequence[Window], *, reward_range: float, states: int, success_from: float, limits: Limits
) -> Convergence:
    """Return where learning stands by its last windows (newest first).

    reward_range: width of the declared range. states: how many are possible. success_from: reward of a success.
    """
    seen = list(windows)[: limits.windows][::-1]
    measures: tuple[Measure, ...] = ()
    verdict: Verdict = "not enough data"
    recommendation: Recommendation = ""
    if len(seen) == limits.windows and any(each.td_pairs for each in seen):
        measures = _measures(seen, reward_range, success_from, limits)
        verdict, recommendation = _conclude(measures, rising=reward_rise(seen) > 0.0)
    means = np.array([each.reward_mean for each in seen])
    return Convergence(
        verdict=verdict,
        recommendation=recommendation,
        advice=_ADVICE.get(recommendation) or _waiting(len(seen), limits),
        windows=len(seen),
        windows_needed=limits.windows,
        measures=measures,
        reward_mean=float(means.mean()) if seen else None,
        reward_interval=mean_interval(means) if len(seen) > 1 else None,
        reward_noise=math.sqrt(float(np.mean([each.noise for each in seen]))) if seen else None,
        states_visited=float(np.mean([each.states_seen for each in seen])) / states if seen else None,
    )


def _waiting(windows: int, limits: Limits) -> str:
    return (
        f"{windows} of {limits.windows} windows have closed. One closes after {limits.window_outcomes} outcomes, or after "
        f"{limits.window_s / 3600:.3g} h if it holds at least {limits.window_least}. Go on deciding and reporting."
    )


def _measures(seen: list[Window], reward_range: float, success_from: float, limits: Limits) -> tuple[Measure, ...]:
    outcomes = sum(each.outcomes for each in seen)
    success = sum(each.successes for each in seen) / outcomes
    exploration = sum(each.explored for each in seen) / outcomes
    return (
        _below("values", bias(seen) / reward_range, limits.td_bias, "mean signed TD error beyond noise, in reward ranges"),
        _below("policy", _change_rate(seen), limits.policy_changes, "share of updates that made another action the best"),
        _below("rewards", spread(seen) / reward_range, limits.reward_spread, "spread beyond noise, in reward ranges"),
        _above("success", success, limits.success, f"share of outcomes with a reward of {success_from:g} or more"),
        _below("exploration", exploration, limits.exploration, "share of outcomes that went to trying things out"),
    )


def _below(name: str, value: float, limit: float, meaning: str) -> Measure:
    return Measure(name=name, value=value, limit=limit, below=True, holds=value < limit, meaning=meaning)


def _above(name: str, value: float, limit: float, meaning: str) -> Measure:
    return Measure(name=name, value=value, limit=limit, below=False, holds=value > limit, meaning=meaning)


def _conclude(measures: tuple[Measure, ...], *, rising: bool) -> tuple[Verdict, Recommendation]:
    values, policy, rewards, success, exploration = (each.holds for each in measures)
    if values and policy and rewards:
        if not exploration:
            return "settled", "decay exploration faster"
        return ("converged", "ready") if success else ("settled", "review the reward")
    return ("still learning", "nearly there") if rewards or rising else ("unsettled", "check the environment")


def _change_rate(windows: Sequence[Window]) -> float:
    return sum(each.policy_changes for each in windows) / max(sum(each.updates for each in windows), 1)


def bias(windows: Sequence[Window]) -> float:
    """Return the size of the mean signed TD error within groups of entries, beyond noise, over all windows; reward units.

    Squares are averaged by their pairs, so that noise cancels before the root is taken: √max(0, Σ b²·p/Σ p − 2·se).
    """
    pairs = np.array([each.td_pairs for each in windows], dtype=np.float64)
    squares = np.array([each.td_bias * abs(each.td_bias) for each in windows])
    errors = np.array([each.td_noise**2 for each in windows])
    if not pairs.any():
        return 0.0
    error = float(np.sqrt(np.sum((errors * pairs) ** 2)) / pairs.sum())
    return _root(float(squares @ pairs / pairs.sum()) - SIGNIFICANT * error)


def spread(windows: Sequence[Window]) -> float:
    """Return the standard deviation of the windows' mean rewards beyond noise; reward units.

    Means of n rewards with variance s² vary by s²/n on their own, and their variance over k windows is known to within
    √(2/(k − 1)) of itself: √max(0, Var(means) − mean(s²/n)·(1 + 2·√(2/(k − 1)))), the components of variance of
    Fisher (1925) with an allowance.
    """
    if len(windows) < 2:
        return 0.0
    means = np.array([each.reward_mean for each in windows])
    allowance = 1.0 + SIGNIFICANT * math.sqrt(2.0 / (len(windows) - 1))
    return _root(float(means.var(ddof=1)) - float(errors_of_means(windows).mean()) * allowance)


def errors_of_means(windows: Sequence[Window]) -> Floats:
    """Return the variance s²/n of each window's mean reward, shape (windows,)."""
    return np.array([each.reward_m2 / max(each.outcomes - 1, 1) / max(each.outcomes, 1) for each in windows])


def reward_rise(windows: Sequence[Window]) -> float:
    """Return how much more the later half of the windows (oldest first) earned, 0 where that may be noise; reward units."""
    half = len(windows) // 2
    means, errors = np.array([each.reward_mean for each in windows]), errors_of_means(windows)
    rise = float(means[-half:].mean() - means[:half].mean())
    noise = math.sqrt(float(errors[-half:].sum() + errors[:half].sum())) / half
    return rise if abs(rise) > SIGNIFICANT * noise else 0.0


def _root(square: float) -> float:
    return math.sqrt(max(square, 0.0))

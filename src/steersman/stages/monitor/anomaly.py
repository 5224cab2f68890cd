"""Reward anomalies: does the reward still mean what it should? Two windows of outcomes are compared, metric by metric.

A reward that rises while what it should stand for falls is being hacked. One that stops varying may come from a measurement
that is stuck. Both must be beyond noise at a level that is shared among all metrics and all looks.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from steersman.core.errors import InvalidInput
from steersman.maths.drift import Comparison, compare
from steersman.maths.statistics import Moments, merge, t_quantile, variance
from steersman.stages.monitor.signals import Level, Signal

Better = Literal["higher", "lower"]
_LEVEL = 0.01
_LEAST = 30
"""Values that a metric needs in either window."""
_PRACTICAL = 0.2
"""Standard deviations from which on a fall matters: a small effect by Cohen (1988)."""
_COLLAPSED = 0.25
"""Share of its former size below which the spread of rewards has collapsed."""


@dataclass(frozen=True, kw_only=True)
class Metric:
    """A metric in two windows, each as the moments of its blocks in the order of time (one block for a whole window)."""

    name: str
    better: Better
    reference: tuple[Moments, ...]
    current: tuple[Moments, ...]

    def __post_init__(self) -> None:
        if self.better not in ("higher", "lower"):
            raise InvalidInput(f"metric {self.name!r}: better is {self.better!r}; say 'higher' or 'lower'.")


@dataclass(frozen=True, kw_only=True)
class Rewards:
    """The rewards of two windows. steps: sizes of the differences between one reward and the next; repeats: those of 0."""

    rewards: Metric
    steps: Metric
    repeats: tuple[int, int]


def anomalies(
    agent: str, rewards: Rewards, guardrails: Sequence[Metric], *, looks: int = 1, level: float = _LEVEL
) -> tuple[Signal, ...]:
    """Return what is odd about the rewards of an agent.

    guardrails: what the reward must not be bought with, the success share among them. looks: how often this agent was
    looked at, this time included; look k is granted level/(k·(k + 1)), so that all looks together raise a false alarm with
    a probability of at most `level`. Raises InvalidInput for looks below 1.
    """
    if looks < 1:
        raise InvalidInput(f"anomalies: looks {looks!r} must be at least 1; count this one.")
    granted = level / (looks * (looks + 1.0))
    return (*_hacking(agent, rewards.rewards, guardrails, granted), *_stuck(agent, rewards, granted))


def _hacking(agent: str, reward: Metric, guardrails: Sequence[Metric], level: float) -> list[Signal]:
    """Return the guardrails that fell beyond noise while the reward rose beyond noise: each pair by both tests."""
    rise = _compared(reward)
    if rise is None or not guardrails or rise.chance(1.0) >= level:
        return []
    found = []
    for metric in guardrails:
        fall = _compared(metric)
        worse = -1.0 if metric.better == "higher" else 1.0
        if fall is not None and fall.chance(worse) < level / len(guardrails):
            found.append(_hacked(agent, metric, (rise, fall), worse * _limit(fall, level / len(guardrails))))
    return found


def _hacked(agent: str, metric: Metric, comparisons: tuple[Comparison, Comparison], threshold: float) -> Signal:
    rise, fall = comparisons
    spread = math.sqrt(variance(_whole(metric.reference)))
    level: Level = "act" if abs(fall.difference) > _PRACTICAL * spread else "warn"
    went = "fell" if fall.difference < 0.0 else "rose"
    return Signal(
        agent=agent,
        kind="reward hacking",
        level=level,
        subject=metric.name,
        figure=fall.difference,
        threshold=threshold,
        since=None,
        sentence=f"The reward of {agent} rose from {rise.before:.3g} to {rise.after:.3g} while {metric.name} {went} from "
        f"{fall.before:.3g} to {fall.after:.3g}.",
        what_to_do=f"Look at decisions with high rewards and a poor {metric.name}: the reward pays for something else than "
        f"what is wanted. Put {metric.name} into the reward, or into a guard, and roll back to before.",
    )


def _stuck(agent: str, rewards: Rewards, level: float) -> list[Signal]:
    """Return what is odd about how rewards vary."""
    steps, (before, now) = _compared(rewards.steps), rewards.repeats
    if steps is None:
        return []
    count_before, count_now = _whole(rewards.steps.reference)[0], _whole(rewards.steps.current)[0]
    if now == count_now:
        if before == count_before:
            return [_identical(agent, "warn", count_before + count_now)]
        by_chance = count_now * math.log((before + 1.0) / (count_before + 1.0))
        if by_chance < math.log(level):
            rise = _compared(rewards.rewards)
            risen = rise is not None and rise.difference > 0.0
            return [_identical(agent, "warn" if risen else "act", count_now)]
        return []
    share = steps.after / steps.before if steps.before > 0.0 else 1.0
    return [_collapsed(agent, share)] if share < _COLLAPSED and steps.chance(-1.0) < level else []


def _identical(agent: str, level: Level, count: int) -> Signal:
    return Signal(
        agent=agent,
        kind="reward anomaly",
        level=level,
        subject="reward",
        figure=1.0,
        threshold=1.0,
        since=None,
        sentence=f"The last {count} rewards of {agent} were all the same.",
        what_to_do="See whether the measurement behind the reward is stuck, or the default reward stands in for "
        "outcomes that are not reported. From rewards that never differ nothing can be learned.",
    )


def _collapsed(agent: str, share: float) -> Signal:
    return Signal(
        agent=agent,
        kind="reward anomaly",
        level="warn",
        subject="reward spread",
        figure=share,
        threshold=_COLLAPSED,
        since=None,
        sentence=f"Rewards of {agent} vary {share:.0%} as much from one to the next as they did.",
        what_to_do="If learning has just ended well, this is why. If not, see whether a measurement is clamped, rounded or "
        "missing.",
    )


def _compared(metric: Metric) -> Comparison | None:
    """Return the comparison of both windows; None where either is too small to trust Student's t."""
    if min(_whole(metric.reference)[0], _whole(metric.current)[0]) < _LEAST:
        return None
    return compare(metric.reference, metric.current)


def _limit(comparison: Comparison, level: float) -> float:
    """Return the size of a difference that is just beyond noise."""
    return comparison.error * t_quantile(1.0 - level, comparison.freedom)


def _whole(blocks: Sequence[Moments]) -> Moments:
    whole: Moments = (0, 0.0, 0.0)
    for each in blocks:
        whole = merge(whole, each)
    return whole

"""Suitability: signs that learning is the wrong tool here. Each is a sentence with the figure and the way out.

A false alarm is worse than silence: every estimate errs on the side of saying nothing.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from steersman.core.actions import Choice
from steersman.core.sections import Convergence as Limits
from steersman.core.values import Window
from steersman.stages.monitor.convergence import bias, errors_of_means, reward_rise, spread

_DAY_S = 86_400.0
_FOLLOWED = 3.0  # times 1/alpha updates: then 95 % of a change are learned
_SURE = 2.5  # standard errors of a swing


@dataclass(frozen=True, kw_only=True)
class Task:
    """What an agent has to learn, and what it has seen of it.

    states_seen, states_once: states in the table, and those that were visited once. states_possible: by the schema.
    outcomes: learned so far. choices: values that a state has. dimensions: how many of them one outcome teaches about.
    alpha: the step size in the long run. reward_range: its width. exploring: share of decisions that try something.
    irreversible: choices that cannot be taken back. simulated: nothing can be harmed.
    """

    states_seen: int
    states_once: int
    states_possible: int
    outcomes: int
    choices: int
    dimensions: int
    alpha: float
    reward_range: float
    exploring: float
    irreversible: tuple[Choice, ...] = ()
    simulated: bool = False


def findings(task: Task, windows: Sequence[Window], limits: Limits) -> list[str]:
    """Return what speaks against learning here, by the last windows (newest first); empty for a fine agent."""
    seen = list(windows)[: limits.windows][::-1]
    rules = (_too_few_decisions, _rare_reward, _fast_world, _irreversible)
    return [text for rule in rules if (text := rule(task, seen, limits))]


def expected_states(*, seen: int, once: int, outcomes: int, possible: int) -> int:
    """Return how many states there seem to be in use: seen / (1 − once/outcomes), at most those that are possible.

    The share of outcomes whose state was met only once estimates the share of what was not met yet (Good, 1953; for
    the number of kinds Chao & Lee, 1992, without their correction for uneven frequencies, which would raise it).
    """
    if not outcomes:
        return possible
    covered = max(outcomes - once, 1) / outcomes
    return min(possible, math.ceil(seen / covered))


def _too_few_decisions(task: Task, seen: list[Window], limits: Limits) -> str:
    span = seen[-1].ended_at - seen[0].started_at if len(seen) > 1 else 0.0
    if span <= 0.0:
        return ""
    per_day = sum(each.outcomes for each in seen) / span * _DAY_S
    states = expected_states(
        seen=task.states_seen, once=task.states_once, outcomes=task.outcomes, possible=task.states_possible
    )
    missing = states * task.choices / task.dimensions * limits.entry_visits - task.outcomes
    days = missing / per_day
    if days * _DAY_S <= limits.patience_s:
        return ""
    return (
        f"Too few decisions for so large a table: at {_round(per_day)} outcomes a day, about {states:,} states with "
        f"{task.choices:,} choices each take {_long(days)} to be seen {limits.entry_visits} times. Use fewer or coarser "
        "bins, or fewer choices; or keep to the baseline rule."
    )


def _rare_reward(task: Task, seen: list[Window], limits: Limits) -> str:
    outcomes = sum(each.outcomes for each in seen)
    successes = sum(each.successes for each in seen)
    if len(seen) < limits.windows or successes >= outcomes / 2:
        return ""
    varied = sum(min(each.varied, each.outcomes - 1) for each in seen)
    at_most = varied + 1.0 + 2.0 * math.sqrt(varied + 1.0)  # a count's upper bound, at about 97.5 %
    if not varied or at_most / outcomes >= limits.rare_reward:
        return ""
    return (
        f"Rewards are too rare: {varied} of the last {outcomes:,} outcomes ({100 * varied / outcomes:.2g} %) had another "
        "reward than the usual one. Reward partial progress with a component of its own, report results that come earlier, "
        "or use learning.method n_step_sarsa where they come at the end of episodes."
    )


def _fast_world(task: Task, seen: list[Window], limits: Limits) -> str:
    if len(seen) < limits.windows or reward_rise(seen) > 0.0:
        return ""
    moves = spread(seen) / task.reward_range
    needed = _FOLLOWED / task.alpha
    given = float(np.mean([each.updates / max(each.states_seen, 1) for each in seen]))
    unsettled = moves > limits.reward_spread and bias(seen) / task.reward_range > limits.td_bias
    if not (unsettled and _swings(seen) and given < needed):
        return ""
    return (
        f"The world seems to move faster than learning: rewards swing by {100 * moves:.2g} % of their range from window to "
        f"window, and a value needs about {needed:.0f} updates to follow while a state gets {given:.0f} in a window. Put "
        "what changes into the state, raise learning.alpha, or use fewer states; or keep to the baseline rule."
    )


def _swings(seen: list[Window]) -> bool:
    """Return whether mean rewards both rose and fell from one window to the next by more than noise."""
    errors = errors_of_means(seen)
    steps = np.diff([each.reward_mean for each in seen]) / np.sqrt(np.maximum(errors[1:] + errors[:-1], 1e-300))
    return bool((steps > _SURE).any() and (steps < -_SURE).any())


def _irreversible(task: Task, seen: list[Window], limits: Limits) -> str:
    if not task.irreversible or task.simulated or task.exploring <= 0.0:
        return ""
    names = ", ".join(repr(each) for each in task.irreversible)
    return (
        f"It tries out what cannot be taken back ({names}): {100 * task.exploring:.2g} % of its decisions explore, and not "
        "in a simulator. Let it learn in one first (and say simulated=True there), forbid these choices by a guard, or set "
        "exploration.policy to greedy."
    )


def _long(days: float) -> str:
    return f"{_round(days / 365.25)} years" if days > 730.0 else f"{days:,.0f} days"


def _round(number: float) -> str:
    return f"{number:,.0f}" if number >= 9.95 else f"{number:.2g}"

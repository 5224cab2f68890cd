"""The agents of a simulation: two alike, with guards that can be disturbed, many settings, and what is permitted."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from steersman.core.agent import AgentSpec
from steersman.core.guards import Guard, Refusal
from steersman.core.state import Scalar, StateValues
from steersman.testing.simulation.clock import SimulatedClock
from steersman.testing.specs import small_agent

NAMES = ("lab/one", "lab/two")
ACTIONS = ("rest", "light", "steady", "heavy")
WAIT_S, ACCEPT_S, MAX_STEPS = 30.0, 120.0, 6
_SLOW_S = 0.06  # over the deadline of a guard

Values = Mapping[str, Mapping[str, Any]]


@dataclass(kw_only=True)
class Conditions:
    """What is wrong with the guards now."""

    broken: bool = False
    slow: bool = False


def agent(name: str, conditions: Conditions, clock: SimulatedClock) -> AgentSpec:
    """Return an agent whose calendar guard raises, or is late, as the conditions say."""

    def by_load(state: StateValues) -> list[Refusal]:
        return [Refusal(where={"action": "heavy"}, reason="load")] if float(state["load"]) >= 80 else []

    def by_calendar(state: StateValues) -> list[Refusal]:
        if conditions.slow:
            clock.pass_by(_SLOW_S)
        if conditions.broken:
            raise RuntimeError("the calendar is down")
        return [Refusal(where={"action": "heavy"}, reason="weekend")] if state["weekend"] else []

    def by_backlog(state: StateValues) -> list[Refusal]:
        return [Refusal(where={"action": "steady"}, reason="backlog")] if float(state["backlog"]) > 900 else []

    guards = (
        Guard(name="load", refuse=by_load),
        Guard(name="calendar", refuse=by_calendar),
        Guard(name="backlog", refuse=by_backlog),
    )
    return replace(small_agent(guards=guards), name=name)


def permitted(state: StateValues, action: str, conditions: Conditions) -> bool:
    """Say what may be done, apart from the guards above."""
    if conditions.broken or conditions.slow:
        return action == "rest"
    banned = set()
    if state["weekend"] or not float(state["load"]) < 80:
        banned.add("heavy")
    if not float(state["backlog"]) <= 900:
        banned.add("steady")
    return action in ACTIONS and action not in banned


def some_state(rng: np.random.Generator) -> dict[str, Scalar]:
    """Return one of few states, so that they meet again; one load in eight lies beyond the bounds."""
    return {
        "load": (5.0, 19.5, 30.0, 60.0, 80.0, 95.0, 30.0, 140.0)[int(rng.random() * 8)],
        "backlog": (5.0, 50.0, 950.0)[int(rng.random() * 3)],
        "weekend": bool(rng.random() < 0.3),
    }


def some_settings(rng: np.random.Generator) -> Values:
    """Return settings of any learning rule, exploration and table size; one in three is a plain bandit."""
    methods = ("q_learning", "double_q", "sarsa", "expected_sarsa", "n_step_sarsa", "monte_carlo")
    if rng.random() < 1 / 3:
        learning: dict[str, Any] = {"gamma": 0.0}
    else:
        learning = {"gamma": 0.9, "method": methods[int(rng.random() * 6)]}
        learning["alpha_schedule"] = "visits" if rng.random() < 0.5 else "constant"
    small = rng.random() < 0.25
    return {
        "learning": learning,
        "exploration": {
            "policy": ("epsilon_greedy", "softmax", "ucb", "thompson", "greedy")[int(rng.random() * 5)],
            "schedule": ("constant", "exponential", "step", "reward", "rbed")[int(rng.random() * 5)],
        },
        "serving": {"baseline_share": 0.1, "cold_visits": int(rng.random() * 3)},
        "episodes": {"max_steps": MAX_STEPS, "reward_wait_s": WAIT_S, "accept_until_s": ACCEPT_S},
        "table": {"max_states": 4, "prune_visits": 3, "prune_age_s": 5.0} if small else {},
    }

"""What the agents of the fleet have in common as learners: each decision stands for itself, and is judged at once."""

from collections.abc import Callable, Iterable
from typing import Any

from steersman.core.guards import Guard, Refusal
from steersman.core.state import Number, Scalar, StateSchema, StateValues

GUARD_MS = 1_000.0
"""A second for a guard to answer: what it guards takes seconds to hours, often on a machine that is busy."""


def single_step(*, alpha: float = 1.0, epsilon: float = 0.4, decay: float = 0.96) -> dict[str, dict[str, Any]]:
    """Return the settings of such an agent; falling with visits, its values end as means.

    alpha: 1 for a flat space; with n dimensions, of which each takes its part of an error, 1/n. epsilon, decay: of
    exploring, which is high at first and nearly over after some eighty rounds.
    """
    return {
        "learning": {"gamma": 0.0, "alpha": alpha, "alpha_schedule": "visits"},
        "exploration": {
            "policy": "epsilon_greedy",
            "schedule": "exponential",
            "epsilon": epsilon,
            "decay": decay,
            "floor": 0.03,
        },
        "serving": {"cold_visits": 5},
        "episodes": {"max_steps": 1},
    }


def rule(name: str, refuse: Callable[[StateValues], Iterable[Refusal]], probe: StateValues) -> Guard:
    """Return a guard of the fleet."""
    return Guard(name=name, refuse=refuse, probe=probe, deadline_ms=GUARD_MS)


def lowest(state: StateSchema) -> dict[str, Scalar]:
    """Return the state in which every number is as low as can be: no tool is there, and nothing to work on."""
    return {each.name: each.low for each in state.fields if isinstance(each, Number)}

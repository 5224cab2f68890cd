"""Checks: whether an agent, its guards and its settings can work together."""

from typing import Any

from steersman.core.agent import AgentSpec
from steersman.core.errors import InvalidInput
from steersman.core.settings import Settings
from steersman.stages.release.plan import steps


def isolated(spec: AgentSpec) -> tuple[Any, ...]:
    """Return the agent's guards, those that may block each in a process of its own."""
    if not any(guard.blocking for guard in spec.guards):
        return spec.guards
    from steersman.backends.process import isolate

    return tuple(isolate(guard) if guard.blocking else guard for guard in spec.guards)


def check_settings(spec: AgentSpec, settings: Settings) -> None:
    """Raise InvalidInput where settings do not fit the agent: values that could leave their bounds, or diverge."""
    retention_s, accepted_s = settings.store.retention_s, settings.episodes.accept_until_s
    if 0 < retention_s < accepted_s:
        raise InvalidInput(
            f"{spec.name}: store.retention_s {retention_s:g} is less than episodes.accept_until_s {accepted_s:g}; rows must "
            "stay while they can be corrected."
        )
    steps(settings.release.stages)  # a plan that is none is told now, not when a version waits for it
    dimensions = len(spec.actions.dimensions)
    learning = settings.learning
    largest = max(learning.alpha, learning.alpha_floor)
    if largest * dimensions > 1.0:
        raise InvalidInput(
            f"{spec.name}: learning.alpha (or alpha_floor) {largest} overshoots with {dimensions} dimensions; "
            f"use at most {1 / dimensions:g}."
        )
    low, high = spec.reward.low, spec.reward.high
    if not min(low, 0.0) <= learning.initial_value <= max(high, 0.0):
        raise InvalidInput(f"{spec.name}: learning.initial_value {learning.initial_value} lies outside [{low}, {high}].")
    if dimensions > 1 and learning.gamma == 1.0:
        raise InvalidInput(f"{spec.name}: a factored agent needs learning.gamma below 1.")

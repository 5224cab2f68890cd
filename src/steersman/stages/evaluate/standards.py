"""TEMPORARY: what core/settings will name Evaluation."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Settings:
    """As in core/settings."""

    min_ess: float = 50.0
    min_outcomes: int = 100
    margin: float = 0.05
    level: float = 0.95
    forecast_accuracy: float = 0.85
    regression: float = 0.90
    safety: float = 0.95
    clip: float = 20.0
    bootstrap: int = 1000

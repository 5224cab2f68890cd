"""What a round found of what there was to find: one yardstick for the whole fleet, beside each agent's own reward."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from steersman.core.reward import Measurements


@dataclass(frozen=True, kw_only=True)
class Tally:
    """planted: how much there was to find, which is known because it was planted or seen by all tests. found: of it."""

    planted: float = 0.0
    found: float = 0.0

    def __add__(self, other: "Tally") -> "Tally":
        return Tally(planted=self.planted + other.planted, found=self.found + other.found)


_COUNTS: dict[str, Callable[[Measurements], tuple[float, float]]] = {
    "test-executor": lambda m: (m["faults_active"], m["faults_found"]),
    "coverage-analyzer": lambda m: (m["first_survived"] + m["rest_survived"], m["first_survived"]),
    "quality-gate": lambda m: (m["fault"], m["fault"] - m["escaped"]),
    "quality-analyzer": lambda m: (m["confirmed"] + m["missed"], m["confirmed"]),
    "performance-tester": lambda m: (m["planted"], m["found"]),
    "security-scanner": lambda m: (m["weaknesses"], m["weaknesses_found"]),
    "regression-risk-analyzer": lambda m: (m["breaks"], m["breaks"] - m["escaped"]),
    "test-data-architect": lambda m: (m["defects_planted"], m["defects_shown"]),
    "api-contract-validator": lambda m: (m["breaking"], m["caught"]),
    "flaky-test-hunter": lambda m: (m["planted"], m["found"]),
    "deployment-readiness": lambda m: (m["fault"], m["fault"] - m["incident"]),
    "chaos-engineer": lambda m: (m["planted"], m["weaknesses"]),
    "visual-tester": lambda m: (m["planted"], m["true_regressions"]),
    "requirements-validator": lambda m: (m["gaps"], m["gaps_found"]),
    "production-intelligence": lambda m: (m["recurrences"], m["prevented"]),
}
"""By agent: how many were there, and how many of them it found. Agents that are not here look for nothing planted."""


def tally(agent: str, measured: Iterable[Measurements]) -> Tally:
    """Return what rounds of an agent found together. agent: its name without the pack's."""
    count = _COUNTS.get(agent, lambda _: (0.0, 0.0))
    return sum((Tally(planted=planted, found=found) for planted, found in map(count, measured)), Tally())

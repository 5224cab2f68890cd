"""Risk scores from 0 to 100 with their weights in the open, and the bands that people read them in."""

from collections.abc import Iterable
from dataclasses import dataclass

from steersman.packs.qe.fleet.findings import Finding

BANDS = (20.0, 40.0, 60.0)
"""Up to 20 "go", to 40 "monitor", to 60 "conditional", above "no-go"."""
BAND_NAMES = ("go", "monitor", "conditional", "no-go")

CHANGE_WEIGHTS = {"history": 40.0, "branches": 30.0, "callers": 30.0}
RELEASE_WEIGHTS = {"failures": 55.0, "unseen": 22.0, "security": 8.0, "coverage": 5.0, "lint": 5.0, "history": 5.0}
"""Chosen so that one failing test alone is beyond "monitor", and a change that no test has seen beyond "go"."""
_WORTH = {"critical": 8.0, "high": 4.0, "medium": 2.0, "low": 1.0}
_MANY = 10.0
_MUCH = 16.0


@dataclass(frozen=True, kw_only=True)
class ReleaseEvidence:
    """What speaks for and against a release.

    failures: tests that fail now and did not before. unseen: the share, 0–1, of the tests reaching the change that did
    not run; 1 where there is none. security: the worth of known findings. coverage: share of functions that tests run.
    lint: findings that the change brought. history: share of past releases that had a fault.
    """

    failures: float
    unseen: float
    security: float
    coverage: float
    lint: float
    history: float


def release_risk(seen: ReleaseEvidence) -> float:
    """Return Σ weight·part, 0–100. One failing test fills three quarters of its weight, two six sevenths: 1 − 1/(1 + 3n)."""
    parts = {
        "failures": 1.0 - 1.0 / (1.0 + 3.0 * seen.failures),
        "unseen": seen.unseen,
        "security": min(seen.security / _MUCH, 1.0),
        "coverage": 1.0 - seen.coverage,
        "lint": min(seen.lint / 2.0, 1.0),
        "history": seen.history,
    }
    return sum(weight * parts[name] for name, weight in RELEASE_WEIGHTS.items())


def change_risk(*, history: float, branches: int, callers: int) -> float:
    """Return the risk of a change, 0–100.

    history: share of earlier changes to its file that broke something. branches: of its function, and callers: functions
    that come to it; ten of either fill their weight.
    """
    parts = {"history": history, "branches": min(branches / _MANY, 1.0), "callers": min(callers / _MANY, 1.0)}
    return sum(weight * parts[name] for name, weight in CHANGE_WEIGHTS.items())


def band(risk: float) -> str:
    """Return the name of a score's band."""
    return BAND_NAMES[sum(risk > edge for edge in BANDS)]


def security_worth(findings: Iterable[Finding]) -> float:
    """Return what known findings weigh: critical 8, high 4, medium 2, low 1; half of it where only suspected."""
    return sum(_WORTH[each.severity] * (1.0 if each.confirmed else 0.5) for each in findings)

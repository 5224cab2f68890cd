"""The learned policy against the baseline rule, run on the same changes: paired differences with intervals."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from steersman.maths.statistics import t_quantile

MIN_PAIRS = 5
LEVEL = 0.95


@dataclass(frozen=True, kw_only=True)
class Row:
    """One measure: both means, the mean paired difference (learned − baseline) with its 95 % interval, and a verdict."""

    name: str
    unit: str
    learned: float
    baseline: float
    difference: float
    low: float
    high: float
    n: int
    verdict: str


def compare(name: str, unit: str, pairs: Sequence[tuple[float, float]], *, higher_is_better: bool) -> Row:
    """Return the row for (learned, baseline) pairs.

    The interval is Student's t on the paired differences. The verdict is "better" or "worse" where it lies on one side
    of 0, else "cannot tell yet"; below 5 pairs it is always that.
    """
    n = len(pairs)
    learned = _mean([a for a, _ in pairs])
    baseline = _mean([b for _, b in pairs])
    differences = [a - b for a, b in pairs]
    mean = _mean(differences)
    half = math.inf
    if n >= 2:
        variance = sum((each - mean) ** 2 for each in differences) / (n - 1)
        half = t_quantile(0.5 + LEVEL / 2, n - 1) * math.sqrt(variance / n)
    return Row(
        name=name,
        unit=unit,
        learned=learned,
        baseline=baseline,
        difference=mean,
        low=mean - half if math.isfinite(half) else 0.0,
        high=mean + half if math.isfinite(half) else 0.0,
        n=n,
        verdict=_verdict(mean, half, n, higher_is_better=higher_is_better),
    )


def _verdict(mean: float, half: float, n: int, *, higher_is_better: bool) -> str:
    if n < MIN_PAIRS or abs(mean) <= half:
        return "cannot tell yet"
    return "better" if (mean > 0) == higher_is_better else "worse"


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else 0.0

"""Tests of a difference at a sample size that was fixed beforehand. Looking again after each unit voids them."""

import math
from typing import NamedTuple

from steersman.maths.statistics import Moments, t_cdf, variance


class Welch(NamedTuple):
    """Welch's t, its degrees of freedom and the two-sided p-value."""

    t: float
    degrees: float
    p_value: float


def welch(first: Moments, second: Moments) -> Welch | None:
    """Return the test of "the means are equal" for unequal variances; None for fewer than two values on a side.

    t = (m₂ − m₁)/√(v₁ + v₂), ν = (v₁ + v₂)²/(v₁²/(n₁ − 1) + v₂²/(n₂ − 1)), vᵢ = sᵢ²/nᵢ; Welch (1947), Satterthwaite (1946).
    Without any spread p is 1 for equal means and 0 for others.
    """
    if min(first[0], second[0]) < 2:
        return None
    difference, freedom = second[1] - first[1], first[0] + second[0] - 2.0
    errors = variance(first) / first[0], variance(second) / second[0]
    total = math.fsum(errors)
    if total <= 0.0:
        return Welch(math.copysign(math.inf, difference), freedom, 0.0) if difference else Welch(0.0, freedom, 1.0)
    t = difference / math.sqrt(total)
    shares = errors[0] / total, errors[1] / total
    degrees = 1.0 / (shares[0] ** 2 / (first[0] - 1) + shares[1] ** 2 / (second[0] - 1))
    return Welch(t, degrees, min(2.0 * t_cdf(-abs(t), degrees), 1.0))


def cohens_d(first: Moments, second: Moments) -> float | None:
    """Return the difference of means, second less first, in pooled standard deviations; None where there is no spread.

    (m₂ − m₁)/√((M2₁ + M2₂)/(n₁ + n₂ − 2)); Cohen (1988). |d| above 0.2 matters in practice.
    """
    freedom = first[0] + second[0] - 2
    if min(first[0], second[0]) < 2 or not first[2] + second[2] > 0.0:
        return None
    return (second[1] - first[1]) / math.sqrt((first[2] + second[2]) / freedom)

"""Small drawings as numbers for SVG: what stands in a line of a table, beside the figure that it shows."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from steersman.stages.monitor.performance import Difference


@dataclass(frozen=True, kw_only=True)
class Spark:
    """A line of values in a box of width × height: its points and where the last one lies."""

    points: str
    area: str
    last: tuple[float, float]
    width: float
    height: float


@dataclass(frozen=True, kw_only=True)
class Whisker:
    """An interval around its mean, the axis' zero (None where it is not on it) and a margin, from 0 to 100."""

    zero: float | None
    low: float
    high: float
    mean: float
    margin: float | None = None


def spark(values: Sequence[float], *, width: float = 96.0, height: float = 28.0) -> Spark | None:
    """Return the line of values, oldest first; None for fewer than two."""
    if len(values) < 2:
        return None
    low, high = min(values), max(values)
    rise = (high - low) or 1.0
    step = (width - 6.0) / (len(values) - 1)
    places = [
        (round(3.0 + index * step, 1), round(height - 4.0 - (height - 8.0) * (each - low) / rise, 1))
        for index, each in enumerate(values)
    ]
    points = " ".join(f"{x},{y}" for x, y in places)
    area = f"{places[0][0]},{height} {points} {places[-1][0]},{height}"
    return Spark(points=points, area=area, last=places[-1], width=width, height=height)


def whisker(difference: Difference, scale: float, axis: tuple[float, float]) -> Whisker:
    """Return the interval of a difference on an axis between two shares of `scale`; what lies beyond its ends is cut."""
    return band(difference.low / scale, difference.high / scale, difference.mean / scale, axis)


def band(low: float, high: float, mean: float, axis: tuple[float, float], *, margin: float | None = None) -> Whisker:
    """Return an interval on an axis, cut at its ends, with a margin that it is held against."""
    return Whisker(
        low=placed(low, axis),
        high=placed(high, axis),
        mean=placed(mean, axis),
        zero=placed(0.0, axis) if axis[0] <= 0.0 <= axis[1] else None,
        margin=None if margin is None else placed(margin, axis),
    )


def placed(value: float, axis: tuple[float, float]) -> float:
    """Return where a value lies on an axis, from 2 to 98; what lies beyond its ends lies there."""
    low, high = axis
    return round(2.0 + 96.0 * (min(max(value, low), high) - low) / (high - low), 2)


def axis_of(intervals: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """Return the ends of an axis that holds 0 and intervals, but for the widest tenth, which would flatten the others."""
    kept = sorted(intervals, key=lambda each: each[1] - each[0])[: max(len(intervals) - len(intervals) // 10, 1)]
    low = min([0.0, *(each[0] for each in kept if each[0] > -math.inf)])
    high = max([0.0, *(each[1] for each in kept if each[1] < math.inf)])
    room = 0.12 * ((high - low) or 1.0)
    return min(low, -room), max(high, room)


def level(value: float, low: float, high: float, steps: int = 6) -> int:
    """Return which of `steps` shades a value gets between low and high, from 0 on."""
    if high <= low:
        return 0
    return min(int(steps * (value - low) / (high - low)), steps - 1)

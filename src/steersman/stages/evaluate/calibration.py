"""Calibration: every forecast beside what happened live, so that one knows how far forecasts may be trusted."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

from steersman.core.errors import InvalidInput


@dataclass(frozen=True, kw_only=True)
class Forecast:
    """What an evaluation foretold: a value, or a difference, with its interval. name: of what, for the reader."""

    name: str
    value: float
    low: float
    high: float


@dataclass(frozen=True, kw_only=True)
class Live:
    """What happened: the mean of `count` outcomes, or a difference of means, with its standard error."""

    mean: float
    standard_error: float
    count: int


@dataclass(frozen=True, kw_only=True)
class Line:
    """One forecast judged. error: forecast less live mean. inside: whether it lies within both noises together."""

    forecast: Forecast
    live: Live
    error: float
    inside: bool

    @property
    def sentence(self) -> str:
        """The line in words."""
        said, seen = self.forecast, self.live
        return (
            f"{said.name}: foretold {said.value:.4g} in [{said.low:.4g}, {said.high:.4g}], seen {seen.mean:.4g} "
            f"± {seen.standard_error:.2g} in {seen.count} outcomes, {'inside' if self.inside else 'outside'}."
        )


@dataclass(frozen=True, kw_only=True)
class Ledger:
    """The ledger. coverage: share of the forecasts that held; bias: mean error in widths of the reward range.

    A bias above 0 means that forecasts promise too much. Both are None without forecasts.
    """

    lines: tuple[Line, ...]
    coverage: float | None
    bias: float | None

    @property
    def sentence(self) -> str:
        """The ledger in words."""
        if self.coverage is None or self.bias is None:
            return "No forecast has been followed by live outcomes yet."
        held = sum(each.inside for each in self.lines)
        return (
            f"{held} of {len(self.lines)} forecasts held; on average they promised {abs(100 * self.bias):.2g} % of the "
            f"reward range too {'much' if self.bias >= 0.0 else 'little'}."
        )


def ledger(pairs: Sequence[tuple[Forecast, Live]], *, reach: float, level: float = 0.95) -> Ledger:
    """Return the ledger of forecasts, oldest first, each with what happened; reach: width of the range of values."""
    if not reach > 0.0:
        raise InvalidInput(f"calibration: the width of the reward range, {reach!r}, must be above 0.")
    lines = tuple(_line(forecast, live, level) for forecast, live in pairs)
    if not lines:
        return Ledger(lines=(), coverage=None, bias=None)
    return Ledger(
        lines=lines,
        coverage=sum(each.inside for each in lines) / len(lines),
        bias=sum(each.error for each in lines) / len(lines) / reach,
    )


def _line(forecast: Forecast, live: Live, level: float) -> Line:
    """Judge one forecast: |live − foretold| ≤ √(h² + (z·se)²), h the forecast's reach to the side on which it was off."""
    numbers = (forecast.value, live.mean, live.standard_error)
    if not all(map(math.isfinite, numbers)) or live.standard_error < 0.0:
        raise InvalidInput(f"calibration: {forecast.name}: need finite numbers and an error ≥ 0, got {numbers}.")
    error = forecast.value - live.mean
    reach = forecast.high - forecast.value if error < 0.0 else forecast.value - forecast.low
    noise = NormalDist().inv_cdf((1.0 + level) / 2.0) * live.standard_error
    return Line(forecast=forecast, live=live, error=error, inside=abs(error) <= math.hypot(reach, noise))

"""Reward: named components of typed measurements, each clamped to its range, then weighted."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from steersman.core.errors import InvalidInput, nearest
from steersman.core.state import finite

Measurements = Mapping[str, float]


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """A number that was measured after the action, with its unit. A missing optional one is not an error."""

    name: str
    unit: str = ""
    low: float = -math.inf
    high: float = math.inf
    optional: bool = False

    def check(self, value: object) -> float:
        """Return the value, with true as 1. Raises InvalidInput unless it is a finite number within [low, high]."""
        number = finite(int(value) if isinstance(value, bool) else value, name=self.name)
        if not self.low <= number <= self.high:
            raise InvalidInput(f"{self.name}: {f'{number} {self.unit}'.rstrip()} lies outside [{self.low}, {self.high}].")
        return number


@dataclass(frozen=True, kw_only=True)
class Component:
    """A part of the reward: a function of the measurements, clamped to [low, high]; None where it does not apply."""

    name: str
    low: float
    high: float
    weight: float
    value: Callable[[Measurements], float | None]


@dataclass(frozen=True, kw_only=True)
class Score:
    """A reward and the clamped components that it was made of."""

    reward: float
    components: dict[str, float]


@dataclass(frozen=True, kw_only=True)
class Reward:
    """What an agent is paid for, in a declared range.

    The reward is Σ wᵢ·clamp(componentᵢ) / Σ wᵢ over the components that apply; where `failure` answers with a number,
    that number is the reward and nothing is added to it. `low` and `high` bound it in every case.
    `default` is what a decision earns when no outcome comes in time; None learns nothing from silence.
    """

    measurements: tuple[Measurement, ...]
    components: tuple[Component, ...]
    low: float
    high: float
    failure: Callable[[Measurements], float | None] | None = None
    default: float | None = None

    def __post_init__(self) -> None:
        if not (math.isfinite(self.low) and math.isfinite(self.high) and self.low < self.high):
            raise InvalidInput(f"a reward needs a finite range with low < high, got [{self.low}, {self.high}].")
        for each in self.components:
            if not (self.low <= each.low < each.high <= self.high and each.weight > 0):
                raise InvalidInput(
                    f"component {each.name!r}: [{each.low}, {each.high}] must lie inside the reward's range "
                    f"[{self.low}, {self.high}] and its weight be positive, got {each.weight}."
                )
        if self.default is not None and not self.low <= self.default <= self.high:
            raise InvalidInput(f"the default reward {self.default} lies outside [{self.low}, {self.high}].")

    @classmethod
    def plain(cls, low: float, high: float, *, default: float | None = None) -> "Reward":
        """Return a reward that is one measurement called "reward", refused outside [low, high]."""
        return cls(
            measurements=(Measurement(name="reward", low=low, high=high),),
            components=(Component(name="reward", low=low, high=high, weight=1.0, value=lambda m: m["reward"]),),
            low=low,
            high=high,
            default=default,
        )

    def check(self, measurements: Mapping[str, object]) -> dict[str, float]:
        """Return the measurements checked. Raises InvalidInput for a missing, unknown, non-finite or impossible one."""
        checked: dict[str, float] = {}
        for each in self.measurements:
            if each.name in measurements:
                checked[each.name] = each.check(measurements[each.name])
            elif not each.optional:
                self._refuse_unknown(measurements)
                raise InvalidInput(f"measurement {each.name!r} is missing. Expected: {self._names()}.")
        if len(checked) != len(measurements):
            self._refuse_unknown(measurements)
        return checked

    def _refuse_unknown(self, measurements: Mapping[str, object]) -> None:
        known = [each.name for each in self.measurements]
        for name in measurements:
            if name not in known:
                raise InvalidInput(f"unknown measurement {name!r}.{nearest(str(name), known)}")

    def score(self, measurements: Measurements) -> Score:
        """Return the reward of checked measurements. Raises InvalidInput if a component is not finite, or none applies."""
        failed = self.failure(measurements) if self.failure else None
        if failed is not None:
            return Score(reward=self._clamp(failed), components={"failure": failed})
        components: dict[str, float] = {}
        total = weights = 0.0
        for each in self.components:
            raw = each.value(measurements)
            if raw is None:
                continue
            value = finite(raw, name=f"reward component {each.name}")
            components[each.name] = value = min(max(value, each.low), each.high)
            total += each.weight * value
            weights += each.weight
        if not weights:
            raise InvalidInput("no component of the reward applies to these measurements; report at least one.")
        return Score(reward=self._clamp(total / weights), components=components)

    def _clamp(self, value: float) -> float:
        return min(max(value, self.low), self.high)

    def _names(self) -> str:
        return ", ".join(each.name for each in self.measurements)

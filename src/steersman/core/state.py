"""State: what an agent knows when it decides, as typed fields with units, bounds and bins."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from steersman.core.errors import InvalidInput, nearest

Scalar = bool | int | float | str
StateValues = Mapping[str, Scalar]


def finite(value: object, *, name: str) -> float:
    """Return `value` as a float.

    Raises InvalidInput for anything that is not a real, finite number: strings (also "nan"), booleans, NaN, infinity.
    """
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InvalidInput(f"{name}: expected a number, got {value!r}. Pass an int or a float.")
    try:
        number = float(value)
    except OverflowError as error:
        raise InvalidInput(f"{name}: {str(value)[:20]}… is too large for a float.") from error
    if not math.isfinite(number):
        raise InvalidInput(f"{name}: {number!r} is not a finite number. Measure it again, or do not ask.")
    return number + 0.0  # turns -0.0 into 0.0


def check_text(name: str, value: object) -> None:
    """Raise InvalidInput unless a value is None or printable text."""
    if value is not None and not (isinstance(value, str) and value.isprintable()):
        raise InvalidInput(f"{name}: expected printable text, got {value!r}.")


@dataclass(frozen=True, kw_only=True)
class Number:
    """A number within [low, high], put into bins by `edges`: bin i holds values in [edges[i-1], edges[i]).

    With no edges the field is kept for networks and explanations but is no part of the table's key.
    Values outside [low, high] are clamped and counted, or refused where `outside` says so.
    """

    name: str
    low: float
    high: float
    edges: tuple[float, ...] = ()
    unit: str = ""
    outside: Literal["clamp", "refuse"] = "clamp"

    def __post_init__(self) -> None:
        if not (math.isfinite(self.low) and math.isfinite(self.high) and self.low < self.high):
            raise InvalidInput(f"{self.name}: bounds must be finite with low < high, got {self.low}, {self.high}.")
        if list(self.edges) != sorted(set(self.edges)):
            raise InvalidInput(f"{self.name}: edges must rise strictly, got {self.edges}.")

    @property
    def bins(self) -> int:
        """How many bins the field has in a table key."""
        return len(self.edges) + 1

    def check(self, value: object) -> float:
        """Return the value inside the bounds. Raises InvalidInput if it is no finite number, or outside and refused."""
        number = finite(value, name=self.name)
        if self.low <= number <= self.high:
            return number
        if self.outside == "refuse":
            raise InvalidInput(f"{self.name}: {f'{number} {self.unit}'.rstrip()} lies outside [{self.low}, {self.high}].")
        return min(max(number, self.low), self.high)

    def bin(self, value: Scalar) -> int:
        """Return the bin of a checked value."""
        index = 0
        for edge in self.edges:
            if value < edge:  # type: ignore[operator]  # checked by `check`
                break
            index += 1
        return index


@dataclass(frozen=True, kw_only=True)
class Flag:
    """True or false."""

    name: str
    bins: int = field(default=2, init=False)

    def check(self, value: object) -> bool:
        """Return the value. Raises InvalidInput if it is not a boolean."""
        if not isinstance(value, bool):
            raise InvalidInput(f"{self.name}: expected true or false, got {value!r}.")
        return value

    def bin(self, value: Scalar) -> int:
        """Return 0 or 1."""
        return int(value)


@dataclass(frozen=True, kw_only=True)
class Category:
    """One of a few named options."""

    name: str
    options: tuple[str, ...]

    @property
    def bins(self) -> int:
        """How many options there are."""
        return len(self.options)

    def check(self, value: object) -> str:
        """Return the value. Raises InvalidInput if it is not one of the options, naming the nearest."""
        if not isinstance(value, str) or value not in self.options:
            raise InvalidInput(f"{self.name}: {value!r} is not an option.{nearest(str(value), self.options)}")
        return value

    def bin(self, value: Scalar) -> int:
        """Return the option's index."""
        return self.options.index(value)


Field = Number | Flag | Category


@dataclass(frozen=True, kw_only=True)
class StateSchema:
    """The fields of an agent's state, under a name and a version that enter every key."""

    name: str
    version: int = 1
    fields: tuple[Field, ...]

    def __post_init__(self) -> None:
        names = [each.name for each in self.fields]
        if len(set(names)) != len(names):
            raise InvalidInput(f"state {self.name}: field names repeat: {names}.")

    @property
    def id(self) -> str:
        """Name and version in one word, as logged with each decision."""
        return f"{self.name}@{self.version}"

    @property
    def keyed(self) -> tuple[Field, ...]:
        """The fields that make up a table key."""
        return tuple(each for each in self.fields if each.bins > 1)

    @property
    def cells(self) -> int:
        """How many different table states there can be."""
        return math.prod(each.bins for each in self.keyed)

    def check(self, values: StateValues) -> tuple[dict[str, Scalar], int]:
        """Return the values checked, in the schema's order, and how many of them had to be clamped.

        Raises InvalidInput for a missing or an unknown field (naming the nearest), a wrong type, or a number that is
        not finite.
        """
        checked: dict[str, Scalar] = {}
        clamped = 0
        for each in self.fields:
            name = each.name
            if name not in values:
                self._refuse_unknown(values)
                raise InvalidInput(f"state {self.id}: field {name!r} is missing. Fields: {self._names()}.")
            given = values[name]
            checked[name] = value = each.check(given)
            clamped += value != given
        if len(values) != len(checked):
            self._refuse_unknown(values)
        return checked, clamped

    def _refuse_unknown(self, values: StateValues) -> None:
        known = [each.name for each in self.fields]
        for name in values:
            if name not in known:
                raise InvalidInput(f"state {self.id}: unknown field {name!r}.{nearest(str(name), known)}")

    def _names(self) -> str:
        return ", ".join(each.name for each in self.fields)

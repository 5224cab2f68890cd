"""Search spaces: which settings a sweep tries, as they are typed, and trials drawn from them.

Random search: Bergstra and Bengio (2012), Random Search for Hyper-Parameter Optimization.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np

from steersman.core.errors import InvalidInput

_FORMS = "Use NAME=LOW:HIGH, NAME=LOW:HIGH:log, or NAME=VALUE,VALUE,…"


@dataclass(frozen=True, kw_only=True)
class Axis:
    """What one setting may be: one of `values`, or, where there are none, a number from low to high.

    log: evenly among orders of magnitude. whole: a whole number, of which high is one.
    """

    name: str
    values: tuple[Any, ...] = ()
    low: float = 0.0
    high: float = 0.0
    log: bool = False
    whole: bool = False

    def draw(self, rng: np.random.Generator) -> Any:
        """Return a value."""
        if self.values:
            return self.values[int(rng.integers(len(self.values)))]
        low, high = (self.low, self.high + 1.0) if self.whole else (self.low, self.high)
        drawn = math.exp(rng.uniform(math.log(low), math.log(high))) if self.log else rng.uniform(low, high)
        return min(int(drawn), int(self.high)) if self.whole else float(f"{drawn:.4g}")


def value(text: str) -> Any:
    """Return what is typed for a setting: JSON where it is that (a number, true, [64, 64]), else the text itself."""
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError:
        return text


def assigned(texts: Iterable[str]) -> dict[str, Any]:
    """Return what NAME=VALUE say, by name. Raises InvalidInput for what is no such thing, or says a name twice."""
    return {name: value(said) for name, said in _named(texts, "Use NAME=VALUE, as in learning_rate=0.001.").items()}


def axes(texts: Iterable[str]) -> list[Axis]:
    """Return the space that is typed. Raises InvalidInput for what is none, naming it and the forms there are."""
    return [_axis(name, said) for name, said in _named(texts, _FORMS).items()]


def draw(space: Sequence[Axis], count: int, rng: np.random.Generator) -> list[dict[str, Any]]:
    """Return so many trials, each a value for each axis; the same generator gives the same ones."""
    return [{axis.name: axis.draw(rng) for axis in space} for _ in range(count)]


def _named(texts: Iterable[str], way_out: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for text in texts:
        name, given, said = (each.strip() for each in text.partition("="))
        if not (name and given and said):
            raise InvalidInput(f"{text!r} gives no value to a name. {way_out}")
        if name in found:
            raise InvalidInput(f"{name} is given twice: {found[name]!r} and {said!r}. Leave one of them out.")
        found[name] = said
    return found


def _axis(name: str, said: str) -> Axis:
    if ":" in said:
        return _span(name, said)
    values = _listed(said)
    if len(values) < 2 or any(values.count(each) > 1 for each in values):
        raise InvalidInput(
            f"{name}={said}: a choice needs two values or more, each once; --set gives a single one. {_FORMS}"
        )
    return Axis(name=name, values=tuple(values))


def _listed(said: str) -> list[Any]:
    """Return values that commas part; those within brackets part nothing."""
    try:
        found: list[Any] = msgspec.json.decode(f"[{said}]")
    except msgspec.DecodeError:
        return [value(each) for each in said.split(",")]
    return found


def _span(name: str, said: str) -> Axis:
    low, high, *more = said.split(":")
    if more not in ([], ["log"]):
        raise InvalidInput(f"{name}={said}: {':'.join(more)!r} is no scale. {_FORMS}")
    ends = [value(low), value(high)]
    if not all(isinstance(each, int | float) and not isinstance(each, bool) and math.isfinite(each) for each in ends):
        raise InvalidInput(f"{name}={said}: {low!r} and {high!r} have to be numbers. {_FORMS}")
    if not ends[0] < ends[1] or (more and ends[0] <= 0):
        rule = "the lower end first" + (", and above 0, where it is log" if more else "")
        raise InvalidInput(f"{name}={said}: {rule}. {_FORMS}")
    whole = all(isinstance(each, int) for each in ends)
    return Axis(name=name, low=ends[0], high=ends[1], log=bool(more), whole=whole)

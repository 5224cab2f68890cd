"""Features: what is known of a context or an action, as nested JSON, turned into hashed features with values.

{"user": {"segment": "new", "age": 35}, "tags": ["a", "b"]} has the features user.segment=new (1), user.age (35, on a
logarithmic scale), tags=a and tags=b (1 each). Strings and booleans are categories, and numbers are magnitudes; null is
nothing. The number of features, and how deep they are nested, is bounded.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from steersman.core.errors import InvalidInput
from steersman.core.state import finite
from steersman.maths.hashing import Floats, Hashes, crossed, name_hash, placed

MOST_FEATURES = 500
"""Features that a context, or an action, may have."""
MOST_DEPTH = 10
MOST_PAIRS = 100_000
"""Pairs of a context's with an action's feature that one decision may have, over all actions."""

_LARGEST = 1e9
_BETWEEN = "\x1f"
_CONSTANT = np.array([name_hash("constant")], dtype=np.uint64)
_ONE = np.ones(1)

Json = Mapping[str, Any]


class Features(NamedTuple):
    """Hashed features and their values, each of shape (F,)."""

    hashes: Hashes
    values: Floats


@dataclass(frozen=True, kw_only=True, eq=False)
class Examples:
    """One row of features for each action, one behind the other: action k owns places[starts[k]:starts[k + 1]]."""

    places: "np.ndarray[tuple[int], np.dtype[np.intp]]"
    values: Floats
    starts: "np.ndarray[tuple[int], np.dtype[np.intp]]"

    def __len__(self) -> int:
        return len(self.starts) - 1

    def row(self, action: int) -> slice:
        """Return where the features of an action are."""
        return slice(int(self.starts[action]), int(self.starts[action + 1]))


def features(objects: Sequence[Json], space: str) -> Features:
    """Return the features of objects, in a space of names of their own ("context", "action").

    Raises InvalidInput for too many of them, for too deep a nesting, and for a number that is not finite.
    """
    found: dict[str, float] = {}
    for each in objects:
        for name, value in _flat(each, space, 1):
            found[name] = value
            if len(found) > MOST_FEATURES:
                raise InvalidInput(f"{space}: more than {MOST_FEATURES} features. Send fewer, or fewer elements of lists.")
    return Features(
        np.array([name_hash(name) for name in found], dtype=np.uint64), np.array(list(found.values()), dtype=np.float64)
    )


def examples(context: Features, actions: Sequence[Features], bits: int) -> Examples:
    """Return the rows of actions in a context: a constant, the context, the action, and each pair of both, hashed.

    Each row has length 1, so that no action weighs more because more is known of it. Raises InvalidInput for too many pairs.
    """
    pairs = len(context.hashes) * sum(len(each.hashes) for each in actions)
    if pairs > MOST_PAIRS:
        raise InvalidInput(f"{pairs} pairs of context and action features; at most {MOST_PAIRS}. Send fewer features.")
    hashes, values, sizes = [], [], [0]
    shared, known = np.concatenate((_CONSTANT, context.hashes)), np.concatenate((_ONE, context.values))
    left, strength = shared[:, None], known[:, None]
    for each in actions:
        hashes += [shared, crossed(left, each.hashes).ravel()]
        row = np.concatenate((known, (strength * each.values).ravel()))
        values.append(row / math.sqrt(float(row @ row)))
        sizes.append(len(row))
    places, signed = placed(np.concatenate(hashes), np.concatenate(values), bits)
    return Examples(places=places, values=signed, starts=np.cumsum(sizes))


def _flat(value: Any, name: str, depth: int) -> Iterator[tuple[str, float]]:
    """Yield the name and the value of each feature in a JSON value."""
    if depth > MOST_DEPTH:
        raise InvalidInput(f"features are nested deeper than {MOST_DEPTH} levels. Flatten them.")
    if isinstance(value, Mapping):
        for key, each in value.items():
            yield from _flat(each, f"{name}{_BETWEEN}{key}", depth + 1)
    elif isinstance(value, list | tuple):
        for index, each in enumerate(value):
            numbered = isinstance(each, int | float) and not isinstance(each, bool)
            yield from _flat(each, f"{name}{_BETWEEN}{index}" if numbered else name, depth + 1)
    elif isinstance(value, bool | str):
        yield f"{name}={value}", 1.0
    elif value is not None:
        number = finite(value, name=name.replace(_BETWEEN, "."))
        yield name, math.copysign(math.log1p(min(abs(number), _LARGEST)), number)

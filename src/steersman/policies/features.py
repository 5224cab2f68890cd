"""Features: what is known of a context or an action, as nested JSON, turned into hashed features with values.

{"user": {"segment": "new", "age": 35}, "tags": ["a", "b"]} has the features user.segment=new (1), user.age (35, over what
is usual for it), tags=a and tags=b (1 each). Strings and booleans are categories, and numbers are magnitudes; null is
nothing. The number of features, and how deep they are nested, is bounded.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from steersman.core.errors import InvalidInput
from steersman.core.state import finite
from steersman.maths.hashing import Floats, Hashes, crossed, name_hash, placed, places
from steersman.maths.scaling import Scales, scaled, seen

MOST_FEATURES = 500
"""Features that a context, or an action, may have."""
MOST_DEPTH = 10
MOST_PAIRS = 100_000
"""Pairs of a context's with an action's feature that one decision may have, over all actions."""

_LARGEST = 1e100  # its square is finite
_BETWEEN = "\x1f"
_CONSTANT = np.array([name_hash("constant")], dtype=np.uint64)
_ONE = np.ones(1)

Json = Mapping[str, Any]
Places = NDArray[np.intp]


class Features(NamedTuple):
    """Hashed features and their values, each of shape (F,), and which of them are numbers, shape (N,), to be scaled."""

    hashes: Hashes
    values: Floats
    numbers: Places


@dataclass(frozen=True, kw_only=True, eq=False)
class Rows:
    """The features of each of K actions in a context: those of the context, which all share, and the pairs with its own.

    shared, known (C,): places and values. paired, values (C, F): those of the pairs, F features of all actions side by
    side, of which action k owns the columns from starts[k] on. norms (K,): what each row is divided by, to be of length 1.
    """

    shared: Places
    known: Floats
    paired: Places
    values: Floats
    starts: Places
    norms: Floats

    def row(self, action: int) -> tuple[Places, Floats]:
        """Return the places and the values of one action's features."""
        last = int(self.starts[action + 1]) if action + 1 < len(self.starts) else self.paired.shape[1]
        own = slice(int(self.starts[action]), last)
        places = np.concatenate((self.shared, self.paired[:, own].ravel()))
        values = np.concatenate((self.known, self.values[:, own].ravel()))
        return places, values / self.norms[action]


def features(objects: Sequence[Json], space: str) -> Features:
    """Return the features of objects, in a space of names of their own ("context", "action").

    Raises InvalidInput for too many of them, for too deep a nesting, and for a number that is not finite.
    """
    found: dict[str, float | None] = {}
    for each in objects:
        _add(found, each, space, 1)
    hashes = np.array([name_hash(name) for name in found], dtype=np.uint64)
    values = np.array([1.0 if each is None else each for each in found.values()], dtype=np.float64)
    return Features(
        hashes, values, np.array([at for at, each in enumerate(found.values()) if each is not None], dtype=np.intp)
    )


def note(known: Features, scales: Scales, bits: int) -> None:
    """Have scales take the numbers among features into account."""
    seen(scales, _places(known, bits), known.values[known.numbers])


def rows(context: Features, actions: Sequence[Features], scales: Scales, bits: int) -> Rows:
    """Return the features of actions in a context, hashed: a constant, the context's, and pairs of these and an action's.

    Each row has length 1, so that no action weighs more because more is known of it. Each action needs a feature. Raises
    InvalidInput for too many pairs.
    """
    shared, known = np.concatenate((_CONSTANT, context.hashes)), np.concatenate((_ONE, _scaled(context, scales, bits)))
    starts = np.cumsum([0, *(len(each.hashes) for each in actions)])
    offered = _side_by_side(actions, starts)
    hashes, values = offered.hashes, _scaled(offered, scales, bits)
    pairs = len(shared) * len(hashes)
    if pairs > MOST_PAIRS:
        raise InvalidInput(f"{pairs} pairs of features of the context and the actions; at most {MOST_PAIRS}. Send fewer.")
    starts = starts[:-1]
    paired, crossed_values = placed(crossed(shared[:, None], hashes), known[:, None] * values, bits)
    shared_places, shared_values = placed(shared, known, bits)
    lengths = float(known @ known) * (1.0 + np.add.reduceat(values * values, starts))
    return Rows(
        shared=shared_places,
        known=shared_values,
        paired=paired,
        values=crossed_values,
        starts=starts,
        norms=np.sqrt(lengths),
    )


def _side_by_side(actions: Sequence[Features], starts: Places) -> Features:
    """Return the features of all actions as one, those of each beginning where `starts` says."""
    return Features(
        np.concatenate([each.hashes for each in actions]),
        np.concatenate([each.values for each in actions]),
        np.concatenate([each.numbers + start for each, start in zip(actions, starts[:-1].tolist(), strict=True)]),
    )


def _places(known: Features, bits: int) -> Places:
    return places(known.hashes[known.numbers], bits)


def _scaled(known: Features, scales: Scales, bits: int) -> Floats:
    if not len(known.numbers):
        return known.values
    values = known.values.copy()
    values[known.numbers] = scaled(scales, _places(known, bits), values[known.numbers])
    return values


def _add(found: dict[str, float | None], value: Any, name: str, depth: int) -> None:
    """Add the features in a JSON value under its name: a category's value is None."""
    if isinstance(value, str | bool):
        found[f"{name}={value}"] = None
    elif isinstance(value, int | float):
        found[name] = min(max(finite(value, name=name.replace(_BETWEEN, ".")), -_LARGEST), _LARGEST)
    elif value is not None:
        _add_nested(found, value, name, depth)
    if len(found) > MOST_FEATURES:
        raise InvalidInput(f"more than {MOST_FEATURES} features of one context or action. Send fewer.")


def _add_nested(found: dict[str, float | None], value: Any, name: str, depth: int) -> None:
    if depth > MOST_DEPTH:
        raise InvalidInput(f"features are nested deeper than {MOST_DEPTH} levels. Flatten them.")
    if isinstance(value, dict):
        for key, each in value.items():
            _add(found, each, f"{name}{_BETWEEN}{key}", depth + 1)
    elif isinstance(value, list | tuple):
        for index, each in enumerate(value):
            numbered = isinstance(each, int | float) and not isinstance(each, bool)
            _add(found, each, f"{name}{_BETWEEN}{index}" if numbered else name, depth + 1)
    else:
        raise InvalidInput(f"features are JSON: objects, lists, text, numbers, booleans; got {type(value).__name__}.")

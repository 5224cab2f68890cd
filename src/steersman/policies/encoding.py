"""Encoding: from a checked state to the bins and the key of a table, and to the vector of a network."""

import hashlib

import msgspec
import numpy as np
from numpy.typing import NDArray

from steersman.core.state import Category, Flag, Number, StateSchema, StateValues

Bins = tuple[int, ...]
_CACHE = 8_192


class Encoder:
    """Encodes the states of one schema. Keys are cached up to a bound, so unseen states cannot fill the memory."""

    def __init__(self, schema: StateSchema) -> None:
        self.schema = schema
        self._keyed = tuple((each.name, each.bin) for each in schema.keyed)
        self._keys: dict[Bins, str] = {}

    def bins(self, values: StateValues) -> Bins:
        """Return the bin of each keyed field of a checked state."""
        return tuple([bin_of(values[name]) for name, bin_of in self._keyed])

    def key(self, bins: Bins) -> str:
        """Return the state's key: SHA-256 (hexadecimal) of the canonical JSON of its named bins, schema and version."""
        key = self._keys.get(bins)
        if key is None:
            named = {"schema": self.schema.name, "version": self.schema.version, "bins": self.named(bins)}
            key = hashlib.sha256(msgspec.json.encode(named, order="sorted")).hexdigest()
            if len(self._keys) >= _CACHE:
                self._keys.clear()
            self._keys[bins] = key
        return key

    def named(self, bins: Bins) -> dict[str, int]:
        """Return the bins by field name."""
        return {name: each for (name, _), each in zip(self._keyed, bins, strict=True)}

    def vector(self, values: StateValues) -> NDArray[np.float32]:
        """Return a checked state as float32, shape (features,): numbers scaled to [0, 1], flags 0 or 1, options one-hot."""
        features: list[float] = []
        for each in self.schema.fields:
            value = values[each.name]
            match each:
                case Number(low=low, high=high):
                    features.append((float(value) - low) / (high - low))
                case Flag():
                    features.append(float(value))
                case Category(options=options):
                    features.extend(float(value == option) for option in options)
        return np.array(features, dtype=np.float32)


def feature_names(schema: StateSchema) -> tuple[str, ...]:
    """Return a name for each number of `Encoder.vector`: of its field, or "field=option" where each option has one."""
    return tuple(
        name
        for each in schema.fields
        for name in ([f"{each.name}={option}" for option in each.options] if isinstance(each, Category) else [each.name])
    )


def describe(schema: StateSchema, bins: dict[str, int]) -> dict[str, str]:
    """Return each bin in words: "10 to 100 tests", "true", "large"."""
    return {each.name: _bin_in_words(each, bins[each.name]) for each in schema.keyed if each.name in bins}


def _bin_in_words(field: Number | Flag | Category, index: int) -> str:
    match field:
        case Number(edges=edges, unit=unit):
            low = f"{edges[index - 1]:g}" if index else ""
            high = f"{edges[index]:g}" if index < len(edges) else ""
            words = f"{low} to {high}" if low and high else (f"under {high}" if high else f"{low} or more")
            return f"{words} {unit}".rstrip()
        case Flag():
            return "yes" if index else "no"
        case Category(options=options):
            return options[index]

"""What a learner knows, as arrays that numpy keeps without pickle: each is asked for by its name, shape and kind."""

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from steersman.core.errors import InvalidInput

State = dict[str, NDArray[Any]]


def under(name: str, state: Mapping[str, NDArray[Any]]) -> State:
    """Return the arrays with a name before theirs, so that several parts fit into one state."""
    return {f"{name}.{key}": array for key, array in state.items()}


def part(name: str, state: Mapping[str, NDArray[Any]]) -> State:
    """Return the arrays that `under` had put under a name."""
    start = f"{name}."
    return {key.removeprefix(start): array for key, array in state.items() if key.startswith(start)}


def array(state: Mapping[str, NDArray[Any]], name: str, kind: Any, shape: tuple[int | None, ...]) -> NDArray[Any]:
    """Return a copy of an array. None in the shape stands for any length.

    Raises InvalidInput where it is missing, of another kind or shape, or holds what is not a number.
    """
    found = state.get(name)
    if found is None:
        raise InvalidInput(f"the saved state has no {name!r}; it has {', '.join(sorted(state)) or 'nothing'}.")
    fits = len(found.shape) == len(shape) and all(
        wanted in (None, length) for wanted, length in zip(shape, found.shape, strict=True)
    )
    if found.dtype != np.dtype(kind) or not fits:
        raise InvalidInput(f"saved {name!r} is {found.dtype} {found.shape}, and should be {np.dtype(kind)} {shape}.")
    if found.dtype.kind == "f" and np.isnan(found).any():
        raise InvalidInput(f"saved {name!r} holds what is not a number.")
    return found.copy()


def words(value: object) -> NDArray[np.uint8]:
    """Return anything that JSON can say as an array."""
    return np.frombuffer(json.dumps(value).encode(), dtype=np.uint8)


def said(state: Mapping[str, NDArray[Any]], name: str) -> Any:
    """Return what `words` had put there. Raises InvalidInput where it is missing or no JSON."""
    try:
        return json.loads(array(state, name, np.uint8, (None,)).tobytes())
    except ValueError as error:
        raise InvalidInput(f"saved {name!r} is no JSON: {error}.") from error

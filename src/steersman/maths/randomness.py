"""Random numbers by counter: any draw can be repeated from a key and its number, without drawing those before it.

Philox of Salmon et al. (2011), "Parallel random numbers: as easy as 1, 2, 3", as numpy implements it. Each counter owns
one block of four uniforms.
"""

import hashlib
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from steersman.core.errors import InvalidInput

Key = tuple[int, int]
Floats = NDArray[np.float64]

_AHEAD = 64  # blocks drawn at once: each call to the generator lets go of the interpreter
BLOCK = 4
"""How many uniforms belong to one counter."""


def key_for(seed: int, name: str) -> Key:
    """Return the generator's key for a seed and a name: two 64-bit numbers, the same in every process and release."""
    digest = hashlib.blake2b(f"{seed}\0{name}".encode(), digest_size=16).digest()
    return int.from_bytes(digest[:8], "little"), int.from_bytes(digest[8:], "little")


def uniforms(key: Key, counter: int, count: int = BLOCK) -> Floats:
    """Return the uniforms in [0, 1) that belong to a counter ≥ 0, shape (count,).

    Beyond four they run on into the blocks of the following counters. Raises InvalidInput for a counter below 0 or a
    key that does not fit into 64 bits.
    """
    return _generator(key, counter).random(count)


class Draws:
    """The blocks of a key one after another, from any counter on; block by block what `uniforms` returns.

    Not for use by several threads at once.
    """

    def __init__(self, key: Key, counter: int = 0) -> None:
        self._random = _generator(key, counter).random
        self._ahead: Iterator[Floats] = iter(())
        self.counter = counter
        """The counter of the next block."""

    def next(self) -> tuple[int, Floats]:
        """Return the next counter and its uniforms, shape (4,)."""
        counter = self.counter
        self.counter = counter + 1
        block = next(self._ahead, None)
        if block is None:
            self._ahead = iter(self._random((_AHEAD, BLOCK)))
            block = next(self._ahead)
        return counter, block


def _generator(key: Key, counter: int) -> np.random.Generator:
    if counter < 0 or not all(0 <= part < 2**64 for part in key):
        raise InvalidInput(f"counter {counter!r} must be at least 0, and both parts of key {key!r} in [0, 2**64).")
    bits = np.random.Philox(key=np.array(key, dtype=np.uint64))
    return np.random.Generator(bits.advance(counter))

"""Signed feature hashing: named features of any number into a vector of a fixed size.

Weinberger, Dasgupta, Langford, Smola & Attenberg (2009), "Feature hashing for large scale multitask learning". A feature
is a 64-bit number; what it means is forgotten, so memory is bounded however many features there are. Where two features
share a place their signs differ half of the time, so that the inner product stays unbiased.
"""

import hashlib
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Hashes = NDArray[np.uint64]
Floats = NDArray[np.float64]

_MIX1, _MIX2 = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
_S30, _S27, _S31, _S63 = np.uint64(30), np.uint64(27), np.uint64(31), np.uint64(63)
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_KEPT, _SHORT = 65_536, 200


def name_hash(name: str) -> int:
    """Return the 64-bit number of a feature's name: the same in every process and release."""
    return _kept_hash(name) if len(name) <= _SHORT else _hash(name)


def _hash(name: str) -> int:
    return int.from_bytes(hashlib.blake2b(name.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "little")


_kept_hash = lru_cache(maxsize=_KEPT)(_hash)  # of short names alone, so that memory is bounded


def mixed(hashes: Hashes) -> Hashes:
    """Return numbers of the same shape in which each bit depends on all bits of the argument: splitmix64's finalizer.

    Steele, Lea & Flood (2014), "Fast splittable pseudorandom number generators".
    """
    z = hashes ^ (hashes >> _S30)
    z *= _MIX1
    z ^= z >> _S27
    z *= _MIX2
    z ^= z >> _S31
    return z


def crossed(left: Hashes, right: Hashes) -> Hashes:
    """Return the number of each pair of features, in this order; the shapes broadcast."""
    return mixed(left * _GOLDEN + right)


def places(hashes: Hashes, bits: int) -> NDArray[np.intp]:
    """Return each feature's place in a vector of 2^bits numbers."""
    found: NDArray[np.intp] = (hashes & np.uint64((1 << bits) - 1)).astype(np.intp)
    return found


def placed(hashes: Hashes, values: Floats, bits: int) -> tuple[NDArray[np.intp], Floats]:
    """Return each feature's place in a vector of 2^bits numbers, and its value with the sign that belongs to it there."""
    return places(hashes, bits), np.where(hashes >> _S63, -values, values)

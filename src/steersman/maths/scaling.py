"""Scaling online: numbers of any unit are divided by how large they usually are, so that none outweighs the others.

x ← x / √(mean x²), within ±4. As Ross, Mineiro & Langford (2013), "Normalized online learning", but by the root of the
mean square instead of the maximum, so that one outlier does not make all later values vanish.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Places = NDArray[np.intp]

MOST = 4.0
"""How many times larger than usual a number may count."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Scales:
    """What was seen of each number, shape (D,): the sum of squares, and how often. Changed in place by `seen`."""

    squares: Floats
    counts: Floats

    @classmethod
    def blank(cls, size: int) -> "Scales":
        """Return scales that have seen nothing."""
        return cls(squares=np.zeros(size), counts=np.zeros(size))


def scaled(scales: Scales, places: Places, values: Floats) -> Floats:
    """Return numbers (F,) over their usual size, within ±4; one that was never seen counts as 1 or −1."""
    squares = scales.squares[places]
    usual = np.sqrt(squares / np.maximum(scales.counts[places], 1.0))
    ratio: Floats = np.divide(values, usual, out=np.sign(values), where=usual > 0.0)
    return np.maximum(np.minimum(ratio, MOST), -MOST)  # several times as fast as np.clip on few numbers


def seen(scales: Scales, places: Places, values: Floats) -> None:
    """Take numbers (F,) into account; an outlier no further than 4 times what is usual."""
    squares, counts = scales.squares[places], scales.counts[places]
    usual = np.sqrt(squares / np.maximum(counts, 1.0))
    kept = np.where(usual > 0.0, np.maximum(np.minimum(values, MOST * usual), -MOST * usual), values)
    scales.squares[places] = squares + kept * kept
    scales.counts[places] = counts + 1.0

"""Drift: has what is seen changed? Distances of counts and of means with the noise they have anyway, and ADWIN for streams.

Windows are made of blocks in the order of time. Where decisions come in sessions or bursts, counts of whole windows differ
by more than independent draws would: how much more is seen from the blocks, and the noise grows by that.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from steersman.core.errors import InvalidInput
from steersman.maths.statistics import Moments, merge, t_cdf, variance

Counts = NDArray[np.int64]
Floats = NDArray[np.float64]
EMPTY: Moments = (0, 0.0, 0.0)

_SMOOTHING = 0.5
_EVERY = 32
"""Values between two tests of ADWIN."""
_ROW = 5
"""Buckets of one size that ADWIN keeps before it merges the two oldest."""
_LEAST = 10
"""Values that either side of a cut must hold."""
_REMEMBERED = 32
"""Pairs of neighbouring means from before a cut that still tell about clusters after it."""
_FEWEST_PAIRS = 4
"""Of neighbouring means, before which nothing is known about clusters and nothing is tested."""


def shares(counts: Counts) -> Floats:
    """Return the share of each bin (B,) with half a count added to each, so that an empty bin has no share of 0.

    (c + ½)/(n + B/2), the mean of the posterior under the prior of Jeffreys (1946).
    """
    smoothed = counts + _SMOOTHING
    result: Floats = smoothed / smoothed.sum()
    return result


def psi(reference: Counts, current: Counts) -> float:
    """Return the population stability index of two windows' counts of the same bins (B,): ≥ 0, and 0 where shares agree.

    Σ (q − p)·ln(q/p) over smoothed shares p, q; Jeffreys (1946). By custom 0.1 is worth a look and 0.25 an act (Siddiqi
    2006, "Credit Risk Scorecards"). Bins that both windows leave empty are left out. Raises InvalidInput for an empty
    window or shapes that differ.
    """
    p, q = _pair(reference, current)
    return float(np.sum((q - p) * np.log(q / p)))


def kl(reference: Counts, current: Counts) -> float:
    """Return the divergence of the current window from the reference, in nats: ≥ 0, and 0 where shares agree.

    Σ q·ln(q/p) over smoothed shares p, q; Kullback & Leibler (1951). Bins and errors as in `psi`.
    """
    p, q = _pair(reference, current)
    return float(np.sum(q * np.log(q / p)))


def homogeneity(reference: Counts, current: Counts) -> float:
    """Return the probability that two windows differ as much as they do, or more, although nothing changed.

    reference, current: counts by block and bin, shapes (G, B) and (H, B), at least two blocks each. Pearson's χ² of the
    two windows, with K − 1 degrees of freedom for the K bins in use, over the χ² of the blocks against their own window:
    both per degree of freedom, the latter at least 1, as in Rao & Scott (1981). The ratio is taken for an F. It holds where
    a block is some times as long as a cluster. Raises InvalidInput for fewer blocks or empty windows.
    """
    if min(len(reference), len(current)) < 2:
        raise InvalidInput(f"homogeneity: needs two blocks or more, got {len(reference)} and {len(current)}.")
    first, second = _used(reference.sum(axis=0), current.sum(axis=0))
    if not (first.sum() and second.sum()):
        raise InvalidInput(f"homogeneity: needs counts in both windows, got {first.sum()} and {second.sum()}.")
    if len(first) < 2:
        return 1.0
    ratio = math.sqrt(first.sum() / second.sum())
    square = float(np.sum((second * ratio - first / ratio) ** 2 / (first + second))) / (len(first) - 1)
    (one, freedom), (other, more) = _within(reference), _within(current)
    inflation = max((one + other) / (freedom + more), 1.0) if freedom + more else 1.0
    return f_tail(square / inflation, len(first) - 1, freedom + more)


def f_tail(f: float, first: float, second: float) -> float:
    """Return P(F ≥ f) for `first` and `second` degrees of freedom, approximately, and never below the truth by much.

    The cube root of F taken for normal: z = ((1 − b)·f^⅓ − (1 − a))/√(a + b·f^⅔), a = 2/9ν₁, b = 2/9ν₂; Paulson (1942).
    1 without degrees of freedom, when nothing can be told.
    """
    if second <= 0:
        return 1.0
    root, a, b = f ** (1.0 / 3.0), 2.0 / (9.0 * first), 2.0 / (9.0 * second)
    z = ((1.0 - b) * root - (1.0 - a)) / math.sqrt(a + b * root * root)
    return 0.5 * math.erfc(z / math.sqrt(2.0))


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """By how much a mean rose from one window to another, with its standard error and the error's degrees of freedom."""

    before: float
    after: float
    error: float
    freedom: float

    @property
    def difference(self) -> float:
        """The rise, below 0 for a fall."""
        return self.after - self.before

    def chance(self, sign: float) -> float:
        """Return the probability of a rise (sign 1) or a fall (sign −1) at least as large although nothing changed."""
        toward = sign * self.difference
        if self.error == 0.0:
            return 0.0 if toward > 0.0 else 1.0
        return t_cdf(-toward / self.error, self.freedom)


def compare(reference: Sequence[Moments], current: Sequence[Moments]) -> Comparison | None:
    """Compare the means of two windows, each given as the moments of its blocks; None for fewer than two values in either.

    d = m_c − m_r with the standard error of Welch (1947), √(s²_r/n_r + s²_c/n_c), or √(b·(1/n_r + 1/n_c)) where that is
    larger, as it is for values in clusters: b is the mean square between blocks of a window, Σ n·(m − m_w)²/(blocks −
    windows), Fisher (1925). Its degrees of freedom are those of the error; where each window is one block, Welch's.
    """
    windows = [[block for block in each if block[0]] for each in (reference, current)]
    whole = [_merged(each) for each in windows]
    if min(each[0] for each in whole) < 2:
        return None
    parts = [variance(each) / each[0] for each in whole]
    square, freedom = sum(parts), float(sum(len(each) - 1 for each in windows))
    if freedom > 0.0:
        between = sum(n * (mean - m[1]) ** 2 for each, m in zip(windows, whole, strict=True) for n, mean, _ in each)
        square = max(square, between / freedom * sum(1.0 / each[0] for each in whole))
    else:
        parts_square = sum(part * part / (each[0] - 1) for part, each in zip(parts, whole, strict=True))
        freedom = square * square / parts_square if parts_square else whole[0][0] + whole[1][0] - 2.0
    return Comparison(before=whole[0][1], after=whole[1][1], error=math.sqrt(square), freedom=freedom)


@dataclass(frozen=True, kw_only=True)
class Shift:
    """Where ADWIN cut: the means before and after, how many values lie after the cut, and the bound that was exceeded."""

    before: float
    after: float
    count: int
    bound: float


class Adwin:
    """A window over a stream that drops its past as soon as the mean has changed, in memory of O(log n).

    Bifet & Gavaldà (2007), "Learning from time-changing data with adaptive windowing" (ADWIN2). Values lie in buckets of
    1, 2, 4, … values, at most 5 of a size. Every 32 values, each border between buckets with at least 10 values on both
    sides is tested: |m₁ − m₀| > √(2·D·v·L·r) + b·L/(3·min(n₀, n₁)) with r = 1/n₀ + 1/n₁ and L = ln(2·borders/δ),
    Bernstein's inequality for a difference of means. It departs from the paper in three ways: v is the variance within
    the two sides, not of all; b is the widest deviation ever seen, not 1, so values need no scale; and D ≥ 1 allows for
    values that come in clusters: how much more neighbouring means of 32 values differ than independent values would let
    them, E(Δ²)·32/2v (von Neumann 1941), and a standard error √(3/pairs) of that. All before the most significant border
    is dropped.
    """

    def __init__(self, delta: float = 0.01) -> None:
        if not 0.0 < delta < 1.0:
            raise InvalidInput(f"ADWIN: delta {delta!r} must lie in (0, 1); 0.01 is usual.")
        self._delta = delta
        self._rows: list[list[Moments]] = [[]]
        self._low, self._high = math.inf, -math.inf
        self._recent = 0.0
        self._mean: float | None = None
        self._pairs, self._pair_square = 0, 0.0
        self._seen = 0

    @property
    def count(self) -> int:
        """How many values the window holds."""
        return sum(bucket[0] for row in self._rows for bucket in row)

    @property
    def mean(self) -> float:
        """The mean of the values of the window; 0 without values."""
        return _merged([bucket for row in self._rows for bucket in row])[1]

    @property
    def buckets(self) -> int:
        """How many buckets they lie in."""
        return sum(map(len, self._rows))

    def add(self, value: float) -> Shift | None:
        """Take one finite value; return the shift if the mean has changed, else None."""
        self._low, self._high = min(self._low, value), max(self._high, value)
        self._insert((1, value, 0.0))
        self._recent += value
        self._seen += 1
        if self._seen % _EVERY:
            return None
        self._pair()
        return self._test()

    def _pair(self) -> None:
        """Compare the mean of the last values with that of those before."""
        mean, self._recent = self._recent / _EVERY, 0.0
        if self._mean is not None:
            self._pairs += 1
            self._pair_square += ((mean - self._mean) ** 2 - self._pair_square) / self._pairs
        self._mean = mean

    def _insert(self, bucket: Moments) -> None:
        for row in self._rows:
            row.append(bucket)
            if len(row) <= _ROW:
                return
            bucket = merge(row[0], row[1])
            del row[:2]
        self._rows.append([bucket])

    def _test(self) -> Shift | None:
        """Look for the border whose difference exceeds its bound most, and drop all before it."""
        if self._low == self._high or self._pairs < _FEWEST_PAIRS:
            return None
        counts, means, squares = np.array([bucket for row in reversed(self._rows) for bucket in row]).T
        total = float(counts.sum())
        origin = float(counts @ means) / total
        before = np.cumsum(counts)[:-1]
        after = total - before
        sums = np.cumsum(counts * (means - origin))[:-1]
        falls = sums * (1.0 / before + 1.0 / after)
        spread = float(squares.sum() + counts @ (means - origin) ** 2)
        within = np.maximum(spread - sums * falls, 0.0) / (total - 2.0)
        bounds = self._bounds(before, after, within, max(self._high - origin, origin - self._low))
        excess = np.where(np.minimum(before, after) >= _LEAST, np.abs(falls) / bounds, 0.0)
        cut = int(np.argmax(excess))
        if excess[cut] <= 1.0:
            return None
        self._forget(cut + 1)
        mean = origin + sums[cut] / before[cut]
        return Shift(before=mean, after=mean - falls[cut], count=int(after[cut]), bound=float(bounds[cut]))

    def _bounds(self, before: Floats, after: Floats, within: Floats, widest: float) -> Floats:
        """Return the bound of each border (K − 1,), from the counts on both sides and the variance within them."""
        log = math.log(2.0 * (len(before) + 1) / self._delta)
        clustered = self._pair_square * _EVERY / 2.0 * (1.0 + math.sqrt(3.0 / self._pairs))
        rate = 1.0 / before + 1.0 / after
        noise: Floats = np.sqrt(2.0 * np.maximum(within, clustered) * rate * log)
        return noise + widest * log / (3.0 * np.minimum(before, after))

    def _forget(self, buckets: int) -> None:
        """Drop the oldest buckets, and most of the weight of what told about clusters."""
        for row in reversed(self._rows):
            gone = min(buckets, len(row))
            del row[:gone]
            buckets -= gone
        while len(self._rows) > 1 and not self._rows[-1]:
            self._rows.pop()
        self._pairs = min(self._pairs, _REMEMBERED)


def _pair(reference: Counts, current: Counts) -> tuple[Floats, Floats]:
    if reference.shape != current.shape or not (reference.sum() and current.sum()):
        raise InvalidInput(
            f"drift: needs counts of the same bins, none empty; got shapes {reference.shape} and {current.shape} with "
            f"{reference.sum()} and {current.sum()} counts."
        )
    first, second = _used(reference, current)
    return shares(first), shares(second)


def _used(reference: Counts, current: Counts) -> tuple[Counts, Counts]:
    """Return the counts of the bins that are not empty in both."""
    used = (reference + current) > 0
    return reference[used], current[used]


def _within(blocks: Counts) -> tuple[float, int]:
    """Return Pearson's χ² of blocks (G, B) against their own sum, and its degrees of freedom."""
    total = blocks.sum(axis=0)
    used = blocks[blocks.sum(axis=1) > 0][:, total > 0]
    expected = used.sum(axis=1, keepdims=True) * (total[total > 0] / total.sum())
    return float(np.sum((used - expected) ** 2 / expected)), (used.shape[0] - 1) * (used.shape[1] - 1)


def _merged(blocks: Sequence[Moments]) -> Moments:
    whole = EMPTY
    for each in blocks:
        whole = merge(whole, each)
    return whole

"""Which detector should watch rewards? False alarms where nothing changes, and delays after a change of the mean.

    python benchmarks/drift.py [--values 1000000] [--runs 40]

Ours is `maths.drift.Adwin`. Beside it, if installed, ADWIN and Page-Hinkley of river, and here a Page-Hinkley test of values
scaled by their own mean and deviation, because river's is in units of the values. A delay is the median number of values
after a change that comes after 5,000 without one; where a detector misses half of the changes within 20,000, it says so.
AR(1) has a correlation of 0.5 between neighbours, sessions are 10 values with a common half of their variance.

The second part asks the same of windows of the state, 2,000 decisions against 500 without a change: how often does the PSI
exceed 0.1, how often does the test of homogeneity reject at 1 %, how often both?
"""

import argparse
import importlib.util
import math
import time
from collections.abc import Callable, Iterator
from functools import partial
from statistics import median
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from steersman.maths.drift import Adwin, homogeneity, psi

Floats = NDArray[np.float64]
Draw = Callable[[np.random.Generator, int], Floats]
QUIET, PATIENCE = 5_000, 20_000


class Detector(Protocol):
    """Says of each value whether it detects a change with it."""

    def add(self, value: float) -> object:
        """Take a value; something true for a change."""


class PageHinkley:
    """Page (1954) and Hinkley (1971), both ways, on z = (x − mean)/deviation of all values since the last alarm."""

    def __init__(self, allowance: float, threshold: float) -> None:
        self._allowance, self._threshold = allowance, threshold
        self._begin()

    def _begin(self) -> None:
        self._count, self._mean, self._m2, self._up, self._down = 0, 0.0, 0.0, 0.0, 0.0

    def add(self, value: float) -> bool:
        """Take a value; return whether the mean has changed."""
        self._count += 1
        delta = value - self._mean
        self._mean += delta / self._count
        self._m2 += delta * (value - self._mean)
        if self._count < 30 or not self._m2:
            return False
        z = (value - self._mean) / math.sqrt(self._m2 / (self._count - 1))
        self._up = max(self._up + z - self._allowance, 0.0)
        self._down = max(self._down - z - self._allowance, 0.0)
        if max(self._up, self._down) <= self._threshold:
            return False
        self._begin()
        return True


class Rivers:
    """A detector of river."""

    def __init__(self, name: str, **arguments: float) -> None:
        from river import drift  # type: ignore[import-not-found, unused-ignore]

        self._detector = getattr(drift, name)(**arguments)

    def add(self, value: float) -> bool:
        """Take a value; return whether the mean has changed."""
        self._detector.update(value)
        return bool(self._detector.drift_detected)


def detectors() -> Iterator[tuple[str, Callable[[], Detector]]]:
    for delta in (0.05, 0.01):
        yield f"ADWIN, ours, delta {delta:g}", partial(Adwin, delta)
    for allowance, threshold in ((0.05, 85.0), (0.125, 41.0)):
        yield f"Page-Hinkley, {allowance:g} and {threshold:g} deviations", partial(PageHinkley, allowance, threshold)
    if importlib.util.find_spec("river") is None:
        print("river is not installed: pip install -r requirements-bench.txt")
        return
    for delta in (0.002, 1e-5):
        yield f"ADWIN, river, delta {delta:g}", partial(Rivers, "ADWIN", delta=delta)
    yield "Page-Hinkley, river, as it comes", partial(Rivers, "PageHinkley")


def normal(rng: np.random.Generator, count: int) -> Floats:
    return rng.normal(size=count)


def shifted(rise: float) -> Draw:
    return lambda rng, count: rng.normal(size=count) + rise


def bernoulli(share: float) -> Draw:
    return lambda rng, count: (rng.random(count) < share).astype(np.float64)


def chained(rng: np.random.Generator, count: int) -> Floats:
    values = rng.normal(size=count)
    for index in range(1, count):
        values[index] = 0.5 * values[index - 1] + math.sqrt(0.75) * values[index]
    return values


def sessions(rng: np.random.Generator, count: int) -> Floats:
    common = np.repeat(rng.normal(size=-(-count // 10)), 10)[:count]
    return math.sqrt(0.5) * (common + rng.normal(size=count))


STILL: dict[str, Draw] = {
    "normal": normal,
    "share 0.5": bernoulli(0.5),
    "share 0.01": bernoulli(0.01),
    "AR(1)": chained,
    "sessions": sessions,
}
CHANGES: dict[str, tuple[Draw, Draw]] = {
    **{f"{rise:g} sd": (normal, shifted(rise)) for rise in (0.1, 0.25, 0.5, 1.0)},
    "0.5 to 0.4": (bernoulli(0.5), bernoulli(0.4)),
    "0.01 to 0.05": (bernoulli(0.01), bernoulli(0.05)),
}


def false_alarms(make: Callable[[], Detector], draw: Draw, count: int) -> float:
    """Return alarms per 10^6 values without a change."""
    detector = make()
    values = draw(np.random.default_rng(1), count).tolist()
    return sum(bool(detector.add(value)) for value in values) * 1e6 / count


def delay(make: Callable[[], Detector], before: Draw, after: Draw, seed: int) -> float:
    """Return how many values after a change the first alarm came, infinite for none in time."""
    rng, detector = np.random.default_rng(seed), make()
    for value in before(rng, QUIET).tolist():
        detector.add(value)
    for index, value in enumerate(after(rng, PATIENCE).tolist(), 1):
        if detector.add(value):
            return index
    return math.inf


def windows(
    draw: Callable[[np.random.Generator, int], NDArray[np.int64]], bins: int, runs: int
) -> tuple[float, float, float]:
    """Return the shares of looks with a PSI beyond 0.1, homogeneity below 1 %, and both: 40 blocks of 50 against 10."""
    found = np.zeros(3)
    for seed in range(runs):
        values = draw(np.random.default_rng(seed), 2_500).reshape(50, 50)
        counts = np.array([np.bincount(block, minlength=bins) for block in values])
        reference, current = counts[:40], counts[40:]
        figure = psi(reference.sum(axis=0), current.sum(axis=0))
        beyond = homogeneity(reference, current) < 0.01
        found += [figure > 0.1, beyond, figure > 0.1 and beyond]
    first, second, both = found / runs
    return first, second, both


def rare(rng: np.random.Generator, count: int) -> NDArray[np.int64]:
    return rng.choice(6, size=count, p=[0.9, 0.05, 0.03, 0.015, 0.004, 0.001])


def even(rng: np.random.Generator, count: int) -> NDArray[np.int64]:
    return rng.integers(0, 6, count)


def runs_of_20(rng: np.random.Generator, count: int) -> NDArray[np.int64]:
    return np.repeat(even(rng, -(-count // 20)), 20)[:count]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--values", type=int, default=1_000_000)
    parser.add_argument("--runs", type=int, default=40)
    options = parser.parse_args()
    print(f"{'':<42}false alarms in 10^6{'':<36}values until it is seen")
    print(
        f"{'':<42}" + "".join(f"{name:>11}" for name in STILL) + " |" + "".join(f"{n:>13}" for n in CHANGES) + "  ns a value"
    )
    for name, make in detectors():
        started = time.process_time()
        alarms = [false_alarms(make, draw, options.values) for draw in STILL.values()]
        cost = (time.process_time() - started) / options.values / len(STILL) * 1e9
        delays = [median(delay(make, *each, seed) for seed in range(options.runs)) for each in CHANGES.values()]
        print(
            f"{name:<42}{''.join(f'{each:>11.0f}' for each in alarms)} |{''.join(f'{each:>13.0f}' for each in delays)}"
            f"{cost:>12.0f}",
            flush=True,
        )
    print("\nPSI of 2,000 against 500 without a change, shares of looks   > 0.1      test at 1 %     both")
    for name, draw in (("even, 6 bins", even), ("rare bins, to 0.001", rare), ("runs of 20 alike", runs_of_20)):
        print(f"{name:<60}" + "{:>7.1%}{:>17.1%}{:>9.1%}".format(*windows(draw, 6, 50 * options.runs)))


if __name__ == "__main__":
    main()

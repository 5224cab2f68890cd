"""How early an order of tests shows the failures. Arrays are in the order in which the tests would run."""

import numpy as np
from numpy.typing import NDArray

from steersman.core.errors import InvalidInput

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]


def within(durations: Floats, budget: float) -> Flags:
    """Return which tests run, (n,), where one after the other runs that still fits into what is left of the budget.

    durations: (n,), of any unit. budget: a share of their sum; from 1 on all run. A test that does not fit is skipped.
    """
    if budget >= 1.0:
        return np.ones(len(durations), dtype=np.bool_)
    left = budget * float(durations.sum()) * (1.0 + 1e-12)
    runs = np.zeros(len(durations), dtype=np.bool_)
    for place, each in enumerate(durations.tolist()):
        if each <= left:
            left -= each
            runs[place] = True
    return runs


def napfd(failed: Flags, runs: Flags) -> float:
    """Return the normalised average percentage of faults detected, in [0, 1]: p − Σ rank/(n·m) + p/(2n).

    failed, runs: (n,). m is how many fail, p the share of these that run, and ranks count what runs, from 1 on. Where all
    run it is APFD. Qu, Cohen & Woolf (2007), with each failing test for a fault of its own, as Spieker et al. (2017) have
    it. Raises InvalidInput where none fails: there is nothing to detect.
    """
    total, count = int(failed.sum()), len(failed)
    if not total:
        raise InvalidInput("NAPFD needs a test that fails; leave out cycles without.")
    ranks = np.cumsum(runs)[failed & runs]
    share = len(ranks) / total
    return share - float(ranks.sum()) / (count * total) + share / (2.0 * count)

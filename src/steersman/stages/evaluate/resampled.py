"""Resampled: every estimator of every policy on the same bootstrap resamples, so that differences are paired."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from steersman.maths.intervals import bias_corrected, resample
from steersman.stages.evaluate.evidence import Name
from steersman.stages.evaluate.weigh import Weighed

Floats = NDArray[np.float64]
Sample = tuple[float, Floats, Floats]
"""The estimate, its replicates (resamples,), and its values without each unit or group of units (g,)."""


@dataclass(frozen=True, kw_only=True)
class Resampled:
    """Samples by policy and estimator, and the estimator by which policies are compared."""

    samples: Mapping[tuple[Name, str], Sample]
    chosen: str

    def difference(self, first: Name, second: Name) -> Sample:
        """Return the sample of the difference of two policies by the chosen estimator."""
        one, other = self.samples[first, self.chosen], self.samples[second, self.chosen]
        return one[0] - other[0], one[1] - other[1], one[2] - other[2]

    def interval(self, name: Name, estimator: str, level: float) -> tuple[float, float]:
        """Return the interval of one estimate."""
        return bias_corrected(*self.samples[name, estimator], level=level)


def resampled(policies: Sequence[Weighed], chosen: str, rng: np.random.Generator, *, resamples: int) -> Resampled:
    """Return the samples of all estimators of all policies. Needs two units or more."""
    all_terms = {(each.name, name): terms for each in policies for name, terms in each.terms.items()}
    columns = [terms.columns for terms in all_terms.values()]
    ends = np.cumsum([each.shape[1] for each in columns])[:-1]
    replicates, without = resample(np.hstack(columns), rng, resamples=resamples)
    parts = zip(all_terms.items(), np.split(replicates, ends, axis=1), np.split(without, ends, axis=1), strict=True)
    samples = {key: (terms.value, terms.from_means(drawn), terms.from_means(left)) for (key, terms), drawn, left in parts}
    return Resampled(samples=samples, chosen=chosen)

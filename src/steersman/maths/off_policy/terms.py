"""An estimator as a sum of ratios of means: then its noise, its bootstrap and its differences follow in one way for all."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Terms:
    """V = Σ_j mean(numerator_j)/mean(denominator_j) over m independent units, which are rows or episodes.

    numerator, denominator: (m, k); no denominator: 1.
    """

    numerator: Floats
    denominator: Floats | None = None

    @property
    def columns(self) -> Floats:
        """All that must be averaged, (m, k) or (m, 2k): numerators, then denominators."""
        return self.numerator if self.denominator is None else np.hstack([self.numerator, self.denominator])

    @property
    def value(self) -> float:
        """The estimate."""
        if self.denominator is None:
            return float(self.numerator.mean(axis=0).sum())
        return float(_divide(self.numerator.mean(axis=0), self.denominator.mean(axis=0)).sum())

    def from_means(self, means: Floats) -> Floats:
        """Return the estimates (…,) for means of the columns (…, k)."""
        if self.denominator is None:
            return np.asarray(means.sum(axis=-1))
        width = self.numerator.shape[1]
        return np.asarray(_divide(means[..., :width], means[..., width:]).sum(axis=-1))

    def influence(self) -> Floats:
        """Return how each unit moves the estimate, (m,) with mean 0; see `parts`."""
        return np.asarray(self.parts()[1].sum(axis=1))

    def parts(self) -> tuple[Floats, Floats]:
        """Return the ratios R_j, (k,), and how each unit moves them, (n_j − R_j·d_j)/mean(d_j), (m, k).

        The estimate's variance is about the mean square of the influence over m: the delta method, Hampel (1974).
        """
        if self.denominator is None:
            ratios = self.numerator.mean(axis=0)
            return ratios, self.numerator - ratios
        below = self.denominator.mean(axis=0)
        ratios = _divide(self.numerator.mean(axis=0), below)
        return ratios, _divide(self.numerator - ratios * self.denominator, np.broadcast_to(below, self.numerator.shape))

    @property
    def standard_error(self) -> float:
        """√(Σψ²/(m(m − 1))) with ψ the influence; infinite for fewer than two units."""
        count = len(self.numerator)
        return float(np.linalg.norm(self.influence()) / np.sqrt(count * (count - 1.0))) if count > 1 else np.inf


def _divide(top: Floats, bottom: Floats) -> Floats:
    """Return top/bottom, and 0 where no weight is left: such a step says nothing, and the effective size tells so."""
    return np.divide(top, bottom, out=np.zeros_like(top), where=bottom > 0.0)

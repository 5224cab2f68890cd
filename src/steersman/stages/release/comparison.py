"""Challenger against champion while both serve: evidence that may be looked at after each unit.

The unit is what was randomised, a subject, with the probability of the challenger at that moment. Each metric has a test of
"worse by more than the margin" and one of "not worse by the margin"; both are exact for scores in the declared range (see
`maths.betting`). What the evidence is held against stands in `release.report`.

A missing score is left out of its own metric. Where both arms miss equally often nothing is lost by that; where they do
not, what is known of one arm is not comparable with what is known of the other, and `arrival` is there to tell.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from steersman.core.errors import InvalidInput
from steersman.maths import betting
from steersman.maths.hypothesis_tests import cohens_d, welch
from steersman.maths.statistics import Moments, variance, welford
from steersman.stages.release.report import ARRIVAL, Compared, Report, UnitArm, Verdict, evidence, limits, summed_up

__all__ = ["ARRIVAL", "Comparison", "Metric", "Report", "Unit"]

_FEWEST = 30
"""Units of an arm below which nothing good is said, whatever the settings."""
_AT_ONCE = 1_000


@dataclass(frozen=True, kw_only=True)
class Metric:
    """A score that is compared: its range and the margin in its own units; which direction is better."""

    name: str
    low: float
    high: float
    margin: float
    better: Literal["higher", "lower"] = "higher"

    def __post_init__(self) -> None:
        if not (math.isfinite(self.high - self.low) and self.low < self.high):
            raise InvalidInput(f"metric {self.name}: needs a finite range with low < high, got [{self.low}, {self.high}].")
        if not 0.0 <= self.margin < self.high - self.low:
            raise InvalidInput(
                f"metric {self.name}: margin {self.margin} must be at least 0 and below the range's {self.high - self.low}."
            )

    def scaled(self, score: float | None) -> float:
        """Return a score in [0, 1], 1 for the best; NaN for None. Raises InvalidInput for one outside the range."""
        if score is None:
            return math.nan
        if not self.low <= score <= self.high:
            raise InvalidInput(
                f"metric {self.name}: score {score!r} lies outside [{self.low}, {self.high}]; declare the range as it is."
            )
        share = (score - self.low) / (self.high - self.low)
        return share if self.better == "higher" else 1.0 - share


@dataclass(frozen=True, kw_only=True)
class Unit:
    """What a subject amounted to: its arm, the probability with which that was the challenger, and its scores.

    arrived: whether any outcome had come by the end of the wait. scores: by metric; None, or none, where it is not known.
    """

    arm: UnitArm
    share: float
    scores: Mapping[str, float | None]
    arrived: bool = True


class Comparison:
    """A running comparison. It keeps sums only, so its memory does not grow with the units."""

    def __init__(
        self,
        metrics: Sequence[Metric],
        *,
        alpha: float = 0.05,
        arrival_margin: float = 0.05,
        breaker: float = 0.15,
        min_units: int = 100,
    ) -> None:
        """Begin. breaker: as a share of the range. min_units: of each arm, before anything good is said; at least 30.

        Raises InvalidInput for no metric, two of one name, one called "arrival", or an α outside (0, 1).
        """
        names = [metric.name for metric in metrics]
        if not names or len({*names, ARRIVAL}) <= len(names):
            raise InvalidInput(f"comparison: needs metrics of different names, none of them {ARRIVAL!r}; got {names}.")
        if not 0.0 < alpha < 1.0:
            raise InvalidInput(f"comparison: alpha {alpha!r} must lie between 0 and 1.")
        self.metrics = (*metrics, Metric(name=ARRIVAL, low=0.0, high=1.0, margin=arrival_margin))
        self._alpha, self._min_units = alpha, max(min_units, _FEWEST)
        self._limits = limits(len(self.metrics), alpha)
        count = len(self.metrics)
        self._margins = np.array([metric.margin / (metric.high - metric.low) for metric in self.metrics])
        self._scale, self._bounds = betting.Scale.blank((count,)), betting.Bounds.blank((count,))
        self._worse = betting.Wager.blank(side=betting.WORSE, margin=self._margins, shape=(count,))
        self._not_worse = betting.Wager.blank(side=betting.NOT_WORSE, margin=self._margins, shape=(count,))
        self._peak, self._now, self._total = np.zeros((3, count))
        self._early_scale = betting.Scale.blank((count - 1,))
        self._breaker = betting.Wager.blank(side=betting.WORSE, margin=breaker, shape=(count - 1,))
        self._broken = np.zeros(count - 1)
        self._ratio, self._ratio_peak = betting.Ratio.blank(()), 0.0
        self._moments: list[dict[UnitArm, Moments]] = [
            {"champion": (0, 0.0, 0.0), "challenger": (0, 0.0, 0.0)} for _ in self.metrics
        ]

    def score(self, *units: Unit) -> None:
        """Let units in, in order, each after the same wait. A hundred in one call cost hardly more than one.

        Raises InvalidInput, and lets none in, for a score outside its range or a share outside (0, 1).
        """
        for part in self._parts(units, self.metrics):
            payoffs = betting.payoffs(self._scale, part)
            self._peak = np.maximum(self._peak, betting.observe(self._worse, payoffs).max(axis=0))
            self._now = betting.observe(self._not_worse, payoffs)[-1]
            self._total += payoffs.x.sum(axis=0)
            betting.bound(self._bounds, payoffs)
            coins = betting.Units(scores=part.scores[:, 0], challenger=part.challenger[:, 0], share=part.share[:, 0])
            self._ratio_peak = max(self._ratio_peak, float(betting.count(self._ratio, coins).max()))
        for unit in units:
            self._add(unit)

    def early(self, *units: Unit) -> None:
        """Let units in for the circuit breaker as soon as their first outcome is there; each once, beside `score`.

        Sound whenever one looks if both arms' outcomes come as fast: a challenger that is quick to fail and slow to succeed
        looks worse here than after the same wait.
        """
        for part in self._parts(units, self.metrics[:-1]):
            payoffs = betting.payoffs(self._early_scale, part)
            self._broken = np.maximum(self._broken, betting.observe(self._breaker, payoffs).max(axis=0))

    def report(self) -> Report:
        """Return how things stand."""
        return summed_up(
            tuple(self._compared(place) for place in range(len(self.metrics))),
            breaker={metric.name: float(log_e) for metric, log_e in zip(self.metrics, self._broken, strict=False)},
            ratio=self._ratio_peak,
            limits=self._limits,
            min_units=self._min_units,
        )

    def _parts(self, units: Sequence[Unit], metrics: Sequence[Metric]) -> list[betting.Units]:
        """Return units as arrays (n, k), all of them checked, in parts that keep memory small."""
        for unit in units:
            if not 0.0 < unit.share < 1.0:
                raise InvalidInput(
                    f"comparison: share {unit.share!r} must lie between 0 and 1; leave out what was not drawn."
                )
        scores = np.array([[metric.scaled(_score(unit, metric)) for metric in metrics] for unit in units])
        challenger = np.array([[unit.arm == "challenger"] for unit in units])
        share = np.array([[unit.share] for unit in units])
        parts = [slice(start, start + _AT_ONCE) for start in range(0, len(units), _AT_ONCE)]
        return [betting.Units(scores=scores[rows], challenger=challenger[rows], share=share[rows]) for rows in parts]

    def _add(self, unit: Unit) -> None:
        for metric, arms in zip(self.metrics, self._moments, strict=True):
            score = _score(unit, metric)
            if score is not None:
                arms[unit.arm] = welford(arms[unit.arm], score)

    def _compared(self, place: int) -> Compared:
        metric, arms = self.metrics[place], self._moments[place]
        champion, challenger = arms["champion"], arms["challenger"]
        units = champion[0] + challenger[0]
        width = (metric.high - metric.low) * (1.0 if metric.better == "higher" else -1.0)
        low, high = sorted(width * float(end[place]) for end in self._bounds.interval(self._alpha))
        test = welch(champion, challenger)
        return Compared(
            metric=metric.name,
            better=metric.better,
            margin=metric.margin,
            champion_units=champion[0],
            challenger_units=challenger[0],
            champion_mean=champion[1] if champion[0] else None,
            challenger_mean=challenger[1] if challenger[0] else None,
            difference=min(max(width * float(self._total[place]) / units, low), high) if units else None,
            low=low,
            high=high,
            e_worse=evidence(float(self._peak[place])),
            e_not_worse=evidence(float(self._now[place])),
            standard_error=None
            if test is None
            else math.sqrt(variance(champion) / champion[0] + variance(challenger) / challenger[0]),
            welch_p=test and test.p_value,
            cohens_d=cohens_d(champion, challenger),
            verdict=self._verdict(place),
        )

    def _verdict(self, place: int) -> Verdict:
        if self._peak[place] >= self._limits.worse:
            return "worse"
        return "not worse" if self._now[place] >= self._limits.not_worse else "cannot tell"


def _score(unit: Unit, metric: Metric) -> float | None:
    return float(unit.arrived) if metric.name == ARRIVAL else unit.scores.get(metric.name)

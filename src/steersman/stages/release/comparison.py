"""Challenger against champion while both serve: evidence that may be looked at after each unit.

The unit is what was randomised, a subject, with the probability of the challenger at that moment. Each metric has a test of
"worse by more than the margin" and one of "not worse by the margin"; both are exact for scores in the declared range (see
`maths.betting`). What the evidence is held against stands in `release.report`.

Subjects that come back are units of a round, and each round has tests of harm of its own, which begin anew: within one,
each subject is a unit once, by a coin of which the round's own past knows nothing. Given the rounds before it is no coin any
more, for whoever comes back keeps its arm; so the evidence of rounds is never put together, and each has an α of its own.
What comes back cannot speak for a challenger; it can show harm, or hold up the promotion. It says nothing of those whom a
challenger drove away.

A missing score is left out of its own metric; so is one outside the declared range, which is counted. Where both arms miss
equally often nothing is lost by that; where they do not, what is known of one arm is not comparable with what is known of
the other, and `arrival` is there to tell.
"""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import attrgetter
from typing import Literal

import numpy as np

from steersman.core.errors import InvalidInput
from steersman.maths import betting
from steersman.maths.hypothesis_tests import cohens_d, welch
from steersman.maths.statistics import Moments, variance, welford
from steersman.stages.release.report import (
    ARRIVAL,
    FEWEST,
    Compared,
    Report,
    Returning,
    UnitArm,
    Verdict,
    evidence,
    limits,
    summed_up,
)
from steersman.stages.release.rounds import Harm, Rounds

__all__ = ["ARRIVAL", "Comparison", "Metric", "Report", "Unit"]

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

    def holds(self, score: float) -> bool:
        """Return whether a score lies in the range."""
        return self.low <= score <= self.high

    def scaled(self, score: float | None) -> float:
        """Return a score in [0, 1], 1 for the best; NaN for None and for one outside the range."""
        if score is None or not self.holds(score):
            return math.nan
        share = (score - self.low) / (self.high - self.low)
        return share if self.better == "higher" else 1.0 - share


@dataclass(frozen=True, kw_only=True)
class Unit:
    """What a subject amounted to: its arm, the probability with which that was the challenger, and its scores.

    arrived: the share of its decisions of which an outcome had come by the end of the wait. scores: by metric; None, or
    none, where it is not known. round: 0 for a subject's first time in the trial, from 1 on that in which it came back.
    """

    arm: UnitArm
    share: float
    scores: Mapping[str, float | None]
    arrived: float = 1.0
    round: int = 0


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
        self._alpha, self._min_units = alpha, max(min_units, FEWEST)
        self._limits = limits(len(self.metrics), alpha)
        count = len(self.metrics)
        self._margins = np.array([metric.margin / (metric.high - metric.low) for metric in self.metrics])
        self._bounds, self._now = betting.Bounds.blank((count,)), np.zeros(count)
        self._worse, self._rounds = Harm.blank(0, self._margins), Rounds(self._margins)
        self._not_worse = betting.Wager.blank(side=betting.NOT_WORSE, margin=self._margins, shape=(count,))
        large = np.full(count - 1, breaker)
        self._breaker, self._breakers = Harm.blank(0, large), Rounds(large)
        self._ratio, self._ratio_peak = betting.Ratio.blank(()), 0.0
        self._moments: list[dict[UnitArm, Moments]] = [
            {"champion": (0, 0.0, 0.0), "challenger": (0, 0.0, 0.0)} for _ in self.metrics
        ]
        self._left_out: Counter[str] = Counter()

    def score(self, *units: Unit) -> None:
        """Let units in, in order, each after the same wait. A hundred in one call cost hardly more than one.

        A score outside its range is left out. Raises InvalidInput, and lets none in, for a share outside (0, 1).
        """
        for number, part in self._parts(units, self.metrics):
            if number:
                self._rounds.take(number, part)
            else:
                self._first_timers(part)
        for unit in units:
            self._add(unit)

    def _first_timers(self, part: betting.Units) -> None:
        payoffs = self._worse.take(part)
        self._now = betting.observe(self._not_worse, payoffs)[-1]
        betting.bound(self._bounds, payoffs)
        coins = betting.Units(scores=part.scores[:, 0], challenger=part.challenger[:, 0], share=part.share[:, 0])
        self._ratio_peak = max(self._ratio_peak, float(betting.count(self._ratio, coins).max()))

    def early(self, *units: Unit) -> None:
        """Let units in for the circuit breaker as soon as their first outcome is there; each once, beside `score`.

        Sound whenever one looks if both arms' outcomes come as fast: a challenger that is quick to fail and slow to succeed
        looks worse here than after the same wait.
        """
        for number, part in self._parts(units, self.metrics[:-1]):
            if number:
                self._breakers.take(number, part)
            else:
                self._breaker.take(part)

    def report(self) -> Report:
        """Return how things stand."""
        broken = np.maximum(self._breaker.peak, self._breakers.peak)
        return summed_up(
            tuple(self._compared(place) for place in range(len(self.metrics))),
            breaker={metric.name: float(log_e) for metric, log_e in zip(self.metrics, broken, strict=False)},
            ratio=self._ratio_peak,
            limits=self._limits,
            min_units=self._min_units,
            returning=self._returning(),
            left_out=dict(self._left_out),
        )

    def _returning(self) -> Returning:
        """Return how those compare that came back; by less than `FEWEST` units of an arm, nothing is held up."""
        shown = self._rounds.shown
        if shown is None:
            return Returning()
        return Returning(
            rounds=self._rounds.number,
            units=(int(shown.known[0, -1]), int(shown.known[1, -1])),
            worse=tuple(metric.name for metric, each in zip(self.metrics, shown.beyond, strict=True) if each),
        )

    def _parts(self, units: Sequence[Unit], metrics: Sequence[Metric]) -> list[tuple[int, betting.Units]]:
        """Return rounds and their units as arrays (n, k), all of them checked, in parts that keep memory small."""
        for unit in units:
            if not 0.0 < unit.share < 1.0:
                raise InvalidInput(
                    f"comparison: share {unit.share!r} must lie between 0 and 1; leave out what was not drawn."
                )
        parts = []
        for number, group in groupby(sorted(units, key=attrgetter("round")), key=attrgetter("round")):
            of_round = list(group)
            for start in range(0, len(of_round), _AT_ONCE):
                parts.append((number, _arrays(of_round[start : start + _AT_ONCE], metrics)))
        return parts

    def _add(self, unit: Unit) -> None:
        for metric, arms in zip(self.metrics, self._moments, strict=True):
            score = _score(unit, metric)
            if score is None:
                continue
            if not metric.holds(score):
                self._left_out[metric.name] += 1
            elif not unit.round:
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
            difference=min(max(width * float(self._worse.total[place]) / units, low), high) if units else None,
            low=low,
            high=high,
            e_worse=evidence(self._harm(place)),
            e_not_worse=evidence(float(self._now[place])),
            standard_error=None
            if test is None
            else math.sqrt(variance(champion) / champion[0] + variance(challenger) / challenger[0]),
            welch_p=test and test.p_value,
            cohens_d=cohens_d(champion, challenger),
            verdict=self._verdict(place),
            returning_difference=self._returning_difference(place, width),
        )

    def _returning_difference(self, place: int, width: float) -> float | None:
        shown = self._rounds.shown
        return None if shown is None or not shown.known[:, place].any() else width * float(shown.difference[place])

    def _harm(self, place: int) -> float:
        """Return the log of the strongest evidence of harm, in first-timers or in any round."""
        return float(max(self._worse.peak[place], self._rounds.peak[place]))

    def _verdict(self, place: int) -> Verdict:
        if self._harm(place) >= self._limits.worse:
            return "worse"
        shown = self._rounds.shown
        held_up = shown is not None and shown.beyond[place]
        return "not worse" if self._now[place] >= self._limits.not_worse and not held_up else "cannot tell"


def _score(unit: Unit, metric: Metric) -> float | None:
    return float(unit.arrived) if metric.name == ARRIVAL else unit.scores.get(metric.name)


def _arrays(units: Sequence[Unit], metrics: Sequence[Metric]) -> betting.Units:
    return betting.Units(
        scores=np.array([[metric.scaled(_score(unit, metric)) for metric in metrics] for unit in units]),
        challenger=np.array([[unit.arm == "challenger"] for unit in units]),
        share=np.array([[unit.share] for unit in units]),
    )

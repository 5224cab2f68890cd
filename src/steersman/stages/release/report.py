"""What a comparison amounts to: verdicts, the winner, and what to do, in a sentence.

How often a good challenger may be rolled back over a whole trial, α, is shared out beforehand:

    0.9·α    over subjects that come for the first time
    0.1·α    over rounds p = 1, 2, … of subjects that come back: 0.1·α/(p(p + 1)) for each, as Σ 1/(p(p + 1)) = 1

and each of these likewise: 0.9 of it over the k metrics, arrival among them, and 0.1 over the circuit breaker's k − 1. So a
metric is worse at evidence k/(0.9·0.9·α), and broken at (k − 1)/(0.1·0.9·α); a round has to show 9p(p + 1) times as much,
its handicap. These add up whatever rounds have to do with each other (Boole 1847).

A challenger is promoted only if it is not worse in every metric, so each of these may have the whole α: evidence 1/α (an
intersection-union test; Berger 1982). Of those that come back no proof is asked, as they may be too few to give one in a
round: their difference itself must not lie beyond the margin in any metric, once each arm has `FEWEST` units. The
sample-ratio check has 0.001 of its own, as it rolls nothing back.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import msgspec

UnitArm = Literal["champion", "challenger"]
Verdict = Literal["worse", "not worse", "cannot tell"]

ARRIVAL = "arrival"
FEWEST = 30
"""Units of an arm below which nothing good is said, whatever the settings, and nothing held up by those that come back."""
_FIRST_PART = 0.9
_BREAKER_PART = 0.1
_RATIO_ALPHA = 0.001
_PRACTICAL = 0.2
"""Cohen's d below which a difference hardly matters."""
_LARGEST = 700.0
"""Log of the largest evidence that is told apart: e^700 is still a number."""


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Logs of the evidence at which something is concluded, for k metrics (arrival among them)."""

    worse: float
    not_worse: float
    breaker: float
    ratio: float


def limits(metrics: int, alpha: float) -> Limits:
    """Return the limits that keep false roll-backs, over the whole trial, to α, and false promotions as well."""
    first = alpha * _FIRST_PART
    return Limits(
        worse=math.log(metrics / (first * (1.0 - _BREAKER_PART))),
        not_worse=math.log(1.0 / alpha),
        breaker=math.log(max(metrics - 1, 1) / (first * _BREAKER_PART)),
        ratio=math.log(1.0 / _RATIO_ALPHA),
    )


def handicap(number: int) -> float:
    """Return the log of how many times as much evidence a round of returning subjects, from 1 on, has to show."""
    return math.log(_FIRST_PART / (1.0 - _FIRST_PART) * number * (number + 1))


@dataclass(frozen=True, kw_only=True)
class Returning:
    """Those that came back. rounds: so many began. units: challenger's and champion's. worse: by their difference itself."""

    rounds: int = 0
    units: tuple[int, int] = (0, 0)
    worse: tuple[str, ...] = ()


class Compared(msgspec.Struct, gc=False, frozen=True, kw_only=True):
    """One metric: challenger less champion, in its own units.

    difference: mean of the payoffs, so right under ramps too, where the arms' means are not comparable. low, high: hold
    it with probability 1 − α whenever one looks, and cut it off. e_worse: the most that was ever held against "not worse
    than the margin", a round's evidence less its handicap; e_not_worse: what is held now against "worse by the margin".
    standard_error: of the difference of the arms' means. welch_p, cohens_d: at one look. returning_difference: of those
    that came back, in the round to go by; all else but e_worse and the verdict is of those that came for the first time.
    """

    metric: str
    better: Literal["higher", "lower"]
    margin: float
    champion_units: int
    challenger_units: int
    champion_mean: float | None
    challenger_mean: float | None
    difference: float | None
    low: float
    high: float
    e_worse: float
    e_not_worse: float
    welch_p: float | None
    cohens_d: float | None
    verdict: Verdict
    standard_error: float | None = None
    returning_difference: float | None = None


class Report(msgspec.Struct, gc=False, frozen=True, kw_only=True):
    """All that a comparison knows.

    metrics: the first decides who wins, the last is arrival. units, arrivals: of subjects, and how many of them that makes
    by the share of their decisions of which an outcome had come. e_ratio, mismatch: whether the arms' sizes are not those
    that were drawn. e_breaker, broken: evidence of large harm by metric, and where it is enough. improvement: of the first
    metric, positive where the challenger is better, with its interval. promotable: surely not worse in any metric, by units
    enough, nor by the look of those that came back. rounds: of these, so many began; returning_units: challenger's and
    champion's in the round to go by, which is the last one with `FEWEST` of each arm. left_out: scores outside their
    metric's range, by its name.
    """

    champion_units: int
    challenger_units: int
    champion_arrivals: int
    challenger_arrivals: int
    metrics: tuple[Compared, ...]
    e_ratio: float
    mismatch: bool
    e_breaker: dict[str, float]
    broken: tuple[str, ...]
    winner: UnitArm | None
    improvement: float | None
    improvement_low: float
    improvement_high: float
    promotable: bool
    recommendation: str
    rounds: int = 0
    returning_units: tuple[int, int] = (0, 0)
    left_out: dict[str, int] = {}


def evidence(log_e: float) -> float:
    """Return evidence from its log, as a number that JSON can hold."""
    return math.exp(min(log_e, _LARGEST))


def summed_up(
    metrics: tuple[Compared, ...],
    *,
    breaker: Mapping[str, float],
    ratio: float,
    limits: Limits,
    min_units: int,
    returning: Returning,
    left_out: dict[str, int],
) -> Report:
    """Return the report of compared metrics; `breaker` and `ratio` are logs of evidence, the largest so far."""
    first, arrival = metrics[0], metrics[-1]
    ends = (first.low, first.high) if first.better == "higher" else (-first.high, -first.low)
    broken = tuple(name for name, log_e in breaker.items() if log_e >= limits.breaker)
    mismatch, enough = ratio >= limits.ratio, min(first.champion_units, first.challenger_units) >= min_units
    sound = enough and not mismatch
    winner = _winner(ends) if sound else None
    promotable = sound and not broken and all(each.verdict == "not worse" for each in metrics)
    return Report(
        champion_units=arrival.champion_units,
        challenger_units=arrival.challenger_units,
        champion_arrivals=round((arrival.champion_mean or 0.0) * arrival.champion_units),
        challenger_arrivals=round((arrival.challenger_mean or 0.0) * arrival.challenger_units),
        metrics=metrics,
        e_ratio=evidence(ratio),
        mismatch=mismatch,
        e_breaker={name: evidence(log_e) for name, log_e in breaker.items()},
        broken=broken,
        winner=winner,
        improvement=first.difference if first.difference is None or first.better == "higher" else -first.difference,
        improvement_low=ends[0],
        improvement_high=ends[1],
        promotable=promotable,
        recommendation=_harm(metrics, broken, mismatch)
        or _held_up(returning)
        or _advice(first, winner, promotable, min_units),
        rounds=returning.rounds,
        returning_units=returning.units,
        left_out=left_out,
    )


def _winner(improvement: tuple[float, float]) -> UnitArm | None:
    if improvement[0] > 0.0:
        return "challenger"
    return "champion" if improvement[1] < 0.0 else None


def _harm(metrics: Sequence[Compared], broken: Sequence[str], mismatch: bool) -> str:
    worse = [each.metric for each in metrics if each.verdict == "worse"]
    if broken or worse:
        what = f"far worse in {', '.join(broken)}" if broken else f"worse than the margin allows in {', '.join(worse)}"
        return f"Roll back: the challenger is {what}."
    if mismatch:
        return "Trust nothing here yet: the arms' sizes are not those that were drawn; find out which subjects are missing."
    return ""


def _held_up(returning: Returning) -> str:
    if not returning.worse:
        return ""
    return (
        f"Wait: of those that came back, the challenger's look worse than the margin allows in {', '.join(returning.worse)}."
    )


def _advice(first: Compared, winner: UnitArm | None, promotable: bool, min_units: int) -> str:
    known = min(first.champion_units, first.challenger_units)
    if known < min_units:
        return f"Wait: the smaller arm has {known} scores of {first.metric}, and {min_units} are needed."
    if winner is not None:
        what = "Take the challenger" if winner == "challenger" else "Keep the champion"
        return f"{what}: it is better in {first.metric}{_effect(first.cohens_d)}."
    if promotable:
        return "The challenger may take over: it is surely not worse by the margin in any metric, nor known to be better."
    return "Go on: nothing can be told yet."


def _effect(d: float | None) -> str:
    if d is None:
        return ""
    return f" (d = {d:.2g}{', too small to matter much' if abs(d) <= _PRACTICAL else ''})"

"""What a comparison amounts to: verdicts, the winner, and what to do, in a sentence.

How often a good challenger may be rolled back over a whole trial, α, is shared out beforehand:

    0.9·α over the k metrics, arrival among them: each is worse at evidence k/(0.9·α)
    0.1·α over the circuit breaker's k − 1 metrics: each is broken at evidence (k − 1)/(0.1·α)

A challenger is promoted only if it is not worse in every metric, so each of these may have the whole α: evidence 1/α (an
intersection-union test; Berger 1982). The sample-ratio check has 0.001 of its own, as it rolls nothing back.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import msgspec

UnitArm = Literal["champion", "challenger"]
Verdict = Literal["worse", "not worse", "cannot tell"]

ARRIVAL = "arrival"
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
    return Limits(
        worse=math.log(metrics / (alpha * (1.0 - _BREAKER_PART))),
        not_worse=math.log(1.0 / alpha),
        breaker=math.log(max(metrics - 1, 1) / (alpha * _BREAKER_PART)),
        ratio=math.log(1.0 / _RATIO_ALPHA),
    )


class Compared(msgspec.Struct, gc=False, frozen=True, kw_only=True):
    """One metric: challenger less champion, in its own units.

    difference: mean of the payoffs, so right under ramps too, where the arms' means are not comparable. low, high: hold
    it with probability 1 − α whenever one looks, and cut it off. e_worse: the most that was ever held against "not worse
    than the margin"; e_not_worse: what is held now against "worse by the margin". standard_error: of the
    difference of the arms' means. welch_p, cohens_d: at one look.
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


class Report(msgspec.Struct, gc=False, frozen=True, kw_only=True):
    """All that a comparison knows.

    metrics: the first decides who wins, the last is arrival. units, arrivals: of subjects, and of those with any outcome
    after the wait. e_ratio, mismatch: whether the arms' sizes are not those that were drawn. e_breaker, broken: evidence
    of large harm by metric, and where it is enough. improvement: of the first metric, positive where the challenger is
    better, with its interval. promotable: surely not worse in any metric, by units enough.
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


def evidence(log_e: float) -> float:
    """Return evidence from its log, as a number that JSON can hold."""
    return math.exp(min(log_e, _LARGEST))


def summed_up(
    metrics: tuple[Compared, ...], *, breaker: Mapping[str, float], ratio: float, limits: Limits, min_units: int
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
        recommendation=_harm(metrics, broken, mismatch) or _advice(first, winner, promotable, min_units),
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

"""A trial as a reader sees it: the steps that it went through, and how the two compare, each on an axis of its own."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from steersman.core.versions import Deployment, Move
from steersman.service.pages import marks
from steersman.stages.release.floor import FloorReport
from steersman.stages.release.report import Compared, Limits, Report, evidence, limits

Place = Literal["done", "now", "next"]
_ENTERED: tuple[Move, ...] = ("started", "advanced")
_WORDS = {"override": "guard overrides", "arrival": "outcomes that arrived"}


@dataclass(frozen=True, kw_only=True)
class StepLine:
    """One step of a plan. lasts: at least, in words ("" for the last one). entered: the move with which it began."""

    name: str
    lasts: str
    place: Place
    entered: Deployment | None


@dataclass(frozen=True, kw_only=True)
class Timeline:
    """The steps of a trial, and how it ended, if it did."""

    first: Deployment
    steps: tuple[StepLine, ...]
    ending: Deployment | None


def timeline(now: Deployment, moves: Sequence[Deployment]) -> Timeline | None:
    """Return the steps of the trial under way, else of the last one, from moves, newest first; None where there is none."""
    release = now.release or next((each.release for each in moves if each.release), "")
    own = [each for each in reversed(moves) if release and each.release == release]
    if not own:
        return None
    last = own[-1]
    ending = None if now.under_way else next((each for each in moves if each.number == last.number + 1), None)
    entered = {each.step: each for each in own if each.move in _ENTERED}
    plan = [each.rpartition(" ") for each in last.stages.split(", ")]
    steps = [
        StepLine(
            name=name.replace("%", " %"),
            lasts=f"{lasts[:-1]} {lasts[-1:]}",
            place=_place(index, last.step, over=ending is not None),
            entered=entered.get(index),
        )
        for index, (name, _, lasts) in enumerate(plan)
    ]
    if last.purpose == "release":
        promoted = ending if ending is not None and ending.move == "promoted" else None
        steps.append(StepLine(name="100 %", lasts="", place="done" if promoted else "next", entered=promoted))
    return Timeline(first=own[0], steps=tuple(steps), ending=ending)


def _place(index: int, step: int, *, over: bool) -> Place:
    if index == step:
        return "done" if over else "now"
    return "done" if index < step else "next"


@dataclass(frozen=True, kw_only=True)
class Proof:
    """Evidence for one thing, and the limit from which on it is held for shown. share: of the way there, by its log."""

    value: float
    limit: float
    share: float


@dataclass(frozen=True, kw_only=True)
class Line:
    """One metric of a comparison. harm: that it is worse than the margin; fine: that it is not."""

    compared: Compared
    name: str
    mark: marks.Whisker | None
    harm: Proof
    fine: Proof


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """A trial's comparison. harm, fine: of the metric that is closest to a rollback, and of the one that holds it up."""

    report: Report
    lines: tuple[Line, ...]
    harm: Proof
    fine: Proof
    ratio: Proof


def comparison(report: Report, alpha: float) -> Comparison:
    """Return how things stand; alpha: of the trial, as its settings say."""
    known = limits(len(report.metrics), alpha)
    lines = tuple(_line(each, known) for each in report.metrics)
    return Comparison(
        report=report,
        lines=lines,
        harm=max((each.harm for each in lines), key=lambda each: each.share),
        fine=min((each.fine for each in lines), key=lambda each: each.share),
        ratio=_proof(report.e_ratio, known.ratio),
    )


def below_floor(found: FloorReport) -> Proof:
    """Return the evidence that what is in production came to be worse than the rule."""
    return _proof(evidence(found.evidence), max(found.limit, 1e-9))


def _line(compared: Compared, known: Limits) -> Line:
    return Line(
        compared=compared,
        name=_WORDS.get(compared.metric, compared.metric.replace("_", " ")),
        mark=_mark(compared),
        harm=_proof(compared.e_worse, known.worse),
        fine=_proof(compared.e_not_worse, known.not_worse),
    )


def _proof(value: float, log_limit: float) -> Proof:
    share = min(max(math.log(max(value, 1e-300)) / log_limit, 0.0), 1.0)
    return Proof(value=value, limit=math.exp(log_limit), share=share)


def _mark(compared: Compared) -> marks.Whisker | None:
    """Return the interval of the difference, better to the right, with its margin to the left of zero."""
    if compared.difference is None or not (math.isfinite(compared.low) and math.isfinite(compared.high)):
        return None
    sign = 1.0 if compared.better == "higher" else -1.0
    low, high = sorted((sign * compared.low, sign * compared.high))
    reach = 1.05 * max(abs(low), abs(high), 1.5 * compared.margin) or 1.0
    return marks.band(low, high, sign * compared.difference, (-reach, reach), margin=-compared.margin)

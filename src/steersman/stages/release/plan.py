"""The plan of a release: its steps, and what comes next by what was seen. Without enough evidence, nothing comes next."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from steersman.core.errors import InvalidInput
from steersman.core.sections import Release
from steersman.core.versions import Deployment, Stage

_STEP = re.compile(r"(shadow|\d+(?:\.\d+)?\s*%)\s+(\d+(?:\.\d+)?)\s*([smhd])")
_SECONDS = {"s": 1.0, "m": 60.0, "h": 3_600.0, "d": 86_400.0}
_PATIENCE = 10.0

Next = Literal["wait", "hold", "confirm", "advance", "promote", "conclude", "roll back"]


@dataclass(frozen=True, kw_only=True)
class Step:
    """A step: the share of subjects that the challenger decides for, and how long it lasts at least."""

    stage: Stage
    share: float
    lasts_s: float

    def __str__(self) -> str:
        what = "shadow" if self.stage == "shadow" else f"{_plain(100 * self.share)}%"
        unit = next(each for each in ("d", "h", "m", "s") if self.lasts_s % _SECONDS[each] == 0 or each == "s")
        return f"{what} {_plain(self.lasts_s / _SECONDS[unit])}{unit}"


@dataclass(frozen=True, kw_only=True)
class Standing:
    """How a trial stands, as far as the next step depends on it. Each list names the metrics that it is true of.

    units: subjects with a known outcome, of the challenger and of the champion. broken: harm beyond the breaker.
    worse: surely worse than the margin allows. open: neither worse nor surely not worse. mismatch: the arms' sizes are
    not those that were drawn. failing: why the challenger cannot be judged at all, "" if it can.
    """

    units: tuple[int, int]
    broken: tuple[str, ...] = ()
    worse: tuple[str, ...] = ()
    open: tuple[str, ...] = ()
    mismatch: bool = False
    failing: str = ""


@dataclass(frozen=True, kw_only=True)
class Decided:
    """What comes next, and why, in a sentence."""

    next: Next
    reason: str


def steps(text: str) -> tuple[Step, ...]:
    """Return the steps of a plan such as "shadow 1h, 10% 24h, 50% 24h"; after the last one comes 100 %.

    Raises InvalidInput for what is no plan, for shares that do not rise, and for one that gathers no live evidence.
    """
    found = []
    for part in text.split(","):
        match = _STEP.fullmatch(part.strip())
        if match is None:
            raise InvalidInput(
                f'release.stages: {part.strip()!r} is no step; write them as in "shadow 1h, 10% 24h, 50% 24h".'
            )
        what, number, unit = match.groups()
        shadow = what == "shadow"
        share = 0.0 if shadow else float(what.rstrip("% ")) / 100.0
        found.append(Step(stage="shadow" if shadow else "canary", share=share, lasts_s=float(number) * _SECONDS[unit]))
    _check(text, found)
    return tuple(found)


def _check(text: str, found: Sequence[Step]) -> None:
    live = [each.share for each in found if each.stage == "canary"]
    if any(each.stage == "shadow" for each in found[1:]):
        raise InvalidInput(f"release.stages {text!r}: shadow comes first, or not at all.")
    if not live or not all(0.0 < each < 1.0 for each in live) or sorted(set(live)) != live:
        raise InvalidInput(
            f"release.stages {text!r}: shares must rise, between 0 and 100 %, and there must be one: a version that nobody "
            "was given cannot be shown to be no worse."
        )


def _plain(number: float) -> str:
    """Return a number without an exponent, so that a plan reads back as it was written."""
    return f"{number:.6f}".rstrip("0").rstrip(".")


def in_words(plan: Sequence[Step]) -> str:
    """Return a plan as it is written in settings."""
    return ", ".join(map(str, plan))


def check_reach(plan: Sequence[Step], settings: Release, subjects_per_day: float | None) -> None:
    """Raise InvalidInput for a plan that cannot come to its evidence, by how many subjects were seen a day of late.

    A step that would have to last ten times as long as it says is told; None (nobody was seen yet) is not.
    """
    if settings.margin <= 0.0 or settings.success_margin <= 0.0:
        raise InvalidInput(
            "release.margin and release.success_margin must be above 0: that a version is not worse by nothing at all takes "
            "endless evidence."
        )
    for step in plan if subjects_per_day else ():
        smaller = min(step.share, 1.0 - step.share)
        expected = (subjects_per_day or 0.0) * smaller * step.lasts_s / _SECONDS["d"]
        if step.stage == "canary" and expected * _PATIENCE < settings.min_units:
            raise InvalidInput(
                f"step {step} cannot reach its evidence: at {subjects_per_day:.3g} subjects a day it sees about "
                f"{expected:.3g} in the smaller arm, and {settings.min_units} are needed. Lengthen it, raise its share, or "
                "lower release.min_units (not below 30)."
            )


def following(now: Deployment, standing: Standing, settings: Release, at: float) -> Decided:
    """Return what comes next for a trial at a time (unix seconds). Harm comes first; what is open waits.

    A clock that stands before the last move decides nothing.
    """
    harm = _harm(standing)
    if harm is not None:
        return harm
    if at < now.entered_at:
        return Decided(next="wait", reason=f"the clock stands {now.entered_at - at:.0f} s before the last move")
    if standing.mismatch:
        return Decided(next="hold", reason="the arms' sizes are not those that were drawn, so nothing can be concluded")
    if standing.failing:
        return Decided(next="hold", reason=standing.failing)
    if now.held or now.waits_for_person:
        return Decided(next="wait", reason=now.held or "a person has to confirm the next step")
    return _onward(now, standing, settings, at)


def _harm(standing: Standing) -> Decided | None:
    if standing.broken:
        return Decided(next="roll back", reason=f"circuit breaker: large harm in {', '.join(standing.broken)}")
    if standing.worse:
        return Decided(next="roll back", reason=f"worse than the margin allows in {', '.join(standing.worse)}")
    return None


def _onward(now: Deployment, standing: Standing, settings: Release, at: float) -> Decided:
    plan = steps(now.stages)
    last = now.step + 1 == len(plan)
    waiting = _unripe(now, plan[now.step], standing, settings, at) or (_open(standing) if last else "")
    if now.purpose == "experiment" and at >= now.entered_at + plan[now.step].lasts_s:
        return Decided(next="conclude", reason="its time is over")
    if waiting:
        return Decided(next="wait", reason=waiting)
    if settings.mode == "advisory":
        return Decided(next="confirm", reason="the evidence is there; a person has to confirm the next step")
    if last:
        return Decided(next="promote", reason="surely not worse by the margin in any metric")
    return Decided(next="advance", reason="no harm was seen, and the step has its evidence")


def _unripe(now: Deployment, step: Step, standing: Standing, settings: Release, at: float) -> str:
    """Return what a step still lacks, in words."""
    left_s = now.entered_at + step.lasts_s - at
    if left_s > 0.0:
        return f"the step lasts {left_s:.0f} s more"
    if step.stage == "canary" and min(standing.units) < settings.min_units:
        known = f"{standing.units[0]} and {standing.units[1]}"
        return f"{known} subjects have a known outcome, and each arm needs {settings.min_units}"
    return ""


def _open(standing: Standing) -> str:
    return f"cannot tell yet that it is not worse in {', '.join(standing.open)}" if standing.open else ""

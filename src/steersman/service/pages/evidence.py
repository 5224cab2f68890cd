"""Evidence as a reader sees it: what the log says of each policy, the gate, how right forecasts were, and what drifts.

Verdicts are read from rows that another release may have written, so what they lack is shown as unknown.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from steersman.core.versions import BASELINE, Judgement
from steersman.service.pages import marks
from steersman.stages.monitor.drift import Drift

_POLICIES = ("candidate", "incumbent", "baseline")
_NOTHING: Mapping[str, Any] = {}
_ACT = 0.25
_OF = {"feature": "values", "bounds": "at its bounds", "action": "chosen"}


@dataclass(frozen=True, kw_only=True)
class Estimated:
    """What the log says of one policy. effective: outcomes of its own that this is worth. never: share without support."""

    name: str
    version: str
    value: float | None
    low: float | None
    high: float | None
    effective: float | None
    never: float | None
    weight: float | None
    mark: marks.Whisker | None


@dataclass(frozen=True, kw_only=True)
class Apart:
    """The candidate less another policy."""

    other: str
    value: float
    low: float
    high: float
    margin: float
    verdict: str
    mark: marks.Whisker


@dataclass(frozen=True, kw_only=True)
class Evaluated:
    """An evaluation: its verdict, the policies side by side, how far they are apart, and the checks of the gate."""

    judgement: Judgement
    outcomes: int
    estimator: str
    more: int | None
    policies: tuple[Estimated, ...]
    differences: tuple[Apart, ...]
    passed: bool | None
    checks: tuple[Mapping[str, Any], ...]


def evaluated(judgement: Judgement) -> Evaluated:
    """Return an evaluation from the row that keeps it."""
    found = judgement.body.get("evaluation", _NOTHING)
    gate = judgement.body.get("gate", _NOTHING)
    return Evaluated(
        judgement=judgement,
        outcomes=found.get("outcomes", 0),
        estimator=found.get("estimator", ""),
        more=found.get("more"),
        policies=_policies(judgement, found),
        differences=tuple(
            _apart(name, each)
            for name, each in found.get("differences", _NOTHING).items()
            if _known(each, "value", "low", "high")
        ),
        passed=gate.get("passed"),
        checks=tuple(gate.get("checks", ())),
    )


def _policies(judgement: Judgement, found: Mapping[str, Any]) -> tuple[Estimated, ...]:
    versions = dict(zip(_POLICIES, (judgement.version, judgement.against, BASELINE), strict=True))
    standings = found.get("standings", _NOTHING)
    rows = {name: standings[name] for name in _POLICIES if name in standings}
    chosen = {name: row.get("estimates", _NOTHING).get(found.get("estimator"), _NOTHING) for name, row in rows.items()}
    ends = [each[end] for each in chosen.values() for end in ("low", "high") if each.get(end) is not None]
    axis = _axis(ends)
    return tuple(
        Estimated(
            name=name,
            version=versions[name],
            value=chosen[name].get("value"),
            low=chosen[name].get("low"),
            high=chosen[name].get("high"),
            effective=row.get("effective"),
            never=row.get("support", _NOTHING).get("never"),
            weight=row.get("mean_weight", _NOTHING).get("mean"),
            mark=_mark(chosen[name], axis),
        )
        for name, row in rows.items()
    )


def _apart(name: str, found: Mapping[str, Any]) -> Apart:
    margin = found.get("margin") or 0.0
    reach = 1.05 * max(abs(found["low"]), abs(found["high"]), 1.5 * margin) or 1.0
    return Apart(
        other=name,
        value=found["value"],
        low=found["low"],
        high=found["high"],
        margin=margin,
        verdict=found.get("verdict", "cannot tell"),
        mark=marks.band(found["low"], found["high"], found["value"], (-reach, reach), margin=-margin),
    )


def _mark(found: Mapping[str, Any], axis: tuple[float, float]) -> marks.Whisker | None:
    if not _known(found, "value", "low", "high"):
        return None
    return marks.band(found["low"], found["high"], found["value"], axis)


def _known(found: Mapping[str, Any], *names: str) -> bool:
    return all(found.get(name) is not None for name in names)


def _axis(ends: Sequence[float]) -> tuple[float, float]:
    """Return the ends of an axis that holds all of some values, with a little room."""
    low, high = min(ends, default=0.0), max(ends, default=1.0)
    room = 0.06 * ((high - low) or 1.0)
    return low - room, high + room


@dataclass(frozen=True, kw_only=True)
class Foretold:
    """A forecast beside what happened; seen: where that lies on the axis of the mark."""

    line: Any
    mark: marks.Whisker
    seen: float


def foretold(lines: Sequence[Any]) -> tuple[Foretold, ...]:
    """Return the lines of a calibration ledger, the newest first, on one axis."""
    finite = [each for each in lines if math.isfinite(each.forecast.low) and math.isfinite(each.forecast.high)]
    values = [value for each in finite for value in (each.forecast.low, each.forecast.high, each.live.mean)]
    axis = _axis([*values, 0.0])
    return tuple(
        Foretold(
            line=each,
            mark=marks.band(each.forecast.low, each.forecast.high, each.forecast.value, axis),
            seen=marks.placed(each.live.mean, axis),
        )
        for each in reversed(finite)
    )


@dataclass(frozen=True, kw_only=True)
class Shifted:
    """A distribution beside its reference. bins: (start, width, height before, height now) of each, in a box of 100 × 20."""

    drift: Drift
    of: str
    shade: int
    bins: tuple[tuple[float, float, float, float], ...]


def shifted(drifts: Sequence[Drift]) -> tuple[Shifted, ...]:
    """Return how features and actions drift, the furthest first."""
    return tuple(
        Shifted(drift=each, of=_OF[each.of], shade=marks.level(each.psi, 0.0, _ACT), bins=_bins(each))
        for each in sorted(drifts, key=lambda each: -each.psi)
    )


def _bins(drift: Drift) -> tuple[tuple[float, float, float, float], ...]:
    most = max((*drift.reference, *drift.current), default=1.0) or 1.0
    width = 100.0 / max(len(drift.reference), 1)
    return tuple(
        (round(index * width, 2), round(0.86 * width, 2), round(20.0 * before / most, 2), round(20.0 * now / most, 2))
        for index, (before, now) in enumerate(zip(drift.reference, drift.current, strict=True))
    )

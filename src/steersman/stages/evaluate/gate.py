"""Gate: the checks that a candidate must pass before it is released at all, each with its figure and a sentence."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from steersman.core.errors import InvalidInput
from steersman.core.sections import Evaluation as Settings
from steersman.maths.off_policy.weights import effective_size
from steersman.stages.evaluate.differences import Difference
from steersman.stages.evaluate.evaluate import Evaluation
from steersman.stages.evaluate.evidence import Evidence, Name, complete
from steersman.stages.evaluate.forecasts import Accuracy, forecast_accuracy
from steersman.stages.evaluate.weigh import frame, weigh

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True)
class Check:
    """One check: passed is None where nobody can tell; figure is None where there is none, threshold what it must reach."""

    name: str
    passed: bool | None
    figure: float | None
    threshold: float
    sentence: str


@dataclass(frozen=True, kw_only=True)
class Gate:
    """All checks. Open only if each is passed: what cannot be told holds a candidate back, as what is failed does."""

    checks: tuple[Check, ...]

    @property
    def passed(self) -> bool | None:
        """True if all are passed, False if one is failed, else None: cannot tell."""
        found = [each.passed for each in self.checks]
        return False if False in found else None if None in found else True

    @property
    def sentence(self) -> str:
        """What holds the candidate back, or that nothing does."""
        held = [each.sentence for each in self.checks if not each.passed]
        return " ".join(held) if held else "All checks are passed."


def gate(evaluation: Evaluation, evidence: Evidence, unmasked_best: Ints, settings: Settings) -> Gate:
    """Return the checks of a candidate.

    evaluation: that of the same evidence. unmasked_best: (n,), the action the candidate values most in each row, whatever
    guards allow. Raises InvalidInput where its shape does not fit.
    """
    checks = (
        _evidence(evaluation, settings),
        _not_worse(evaluation, "incumbent"),
        _not_worse(evaluation, "baseline"),
        _forecasts(forecast_accuracy(evidence, level=settings.level), settings),
        _regression(evaluation, evidence, settings),
        _safety(evidence, unmasked_best, settings),
    )
    return Gate(checks=checks)


def _evidence(evaluation: Evaluation, settings: Settings) -> Check:
    """Effective outcomes of the candidate, and outcomes at all."""
    standing = evaluation.standings.get("candidate")
    effective = standing.effective if standing else 0.0
    enough = evaluation.outcomes >= settings.min_outcomes and effective >= settings.min_ess
    return Check(
        name="evidence",
        passed=True if enough else None,
        figure=effective,
        threshold=settings.min_ess,
        sentence=f"{evaluation.outcomes} outcomes tell as much of the candidate as {effective:.1f} of its own would; "
        f"{settings.min_outcomes} and {settings.min_ess:g} are needed.",
    )


def _not_worse(evaluation: Evaluation, other: Name) -> Check:
    """Lower bound of the difference ≥ −margin; failed where the upper bound is below it, too."""
    name = f"not worse than the {other}"
    found = evaluation.differences.get(other)
    if found is None:
        return Check(name=name, passed=None, figure=None, threshold=0.0, sentence=evaluation.reason)
    passed = _passed(found) if _trusted(evaluation, other) else None
    said = {True: "at least", False: "below", None: "and cannot be told from"}[passed]
    return Check(
        name=name,
        passed=passed,
        figure=found.low,
        threshold=-found.margin,
        sentence=f"Candidate less {other} lies in [{found.low:.4g}, {found.high:.4g}], {said} −{found.margin:.4g}."
        + ("" if passed is not None else f" {found.reason}"),
    )


def _trusted(evaluation: Evaluation, other: Name) -> bool:
    return all(evaluation.standings[name].mean_weight.plausible for name in ("candidate", other))


def _passed(found: Difference) -> bool | None:
    if found.verdict == "cannot tell" and found.short:
        return None
    return True if found.not_worse else False if found.high < -found.margin else None


def _forecasts(found: Accuracy, settings: Settings) -> Check:
    passed: bool | None = None
    told = f"{found.inside} of {found.forecasts} forecasts of mean rewards held"
    if found.share is None:
        told = f"{told}, which is too few to judge by; {found.needed} are needed."
    elif found.share >= settings.forecast_accuracy or not found.by_chance(settings.level):
        passed = found.share >= settings.forecast_accuracy
        told = f"{told}; a share of {settings.forecast_accuracy:g} is needed."
    else:
        told = f"{told}, fewer than the share of {settings.forecast_accuracy:g} that is needed; it may be chance."
    return Check(
        name="forecast accuracy",
        passed=passed,
        figure=found.share,
        threshold=settings.forecast_accuracy,
        sentence=told,
    )


def _regression(evaluation: Evaluation, evidence: Evidence, settings: Settings) -> Check:
    """Value of the candidate on the older half of the decisions over that of the incumbent, both from the range's low end.

    (V_c − lo)/(V_i − lo) with V per decision, 1 where the incumbent earns the least possible and so does the candidate.
    """
    name = "regression score"
    evidence = complete(evidence)
    episodes = _older(evidence)
    old = evidence.take(np.flatnonzero(np.isin(evidence.episode, episodes)))
    if len(episodes) < 2:
        return _unknown(name, settings.regression, "There are no old tasks to try the candidate on.")
    shared = frame(old)
    limit = math.inf if evaluation.limit is None else evaluation.limit
    candidate, incumbent = (weigh(shared, each, limit) for each in ("candidate", "incumbent"))
    values = [each.terms[evaluation.estimator].value / shared.horizon - evidence.low for each in (candidate, incumbent)]
    score = _ratio(max(values[0], 0.0), max(values[1], 0.0), evidence.reach)
    if min(effective_size(candidate.units), effective_size(incumbent.units)) < settings.min_ess / 2.0:
        return _unknown(name, settings.regression, "Too few outcomes on old tasks speak for the candidate or the incumbent.")
    return Check(
        name=name,
        passed=score >= settings.regression,
        figure=score,
        threshold=settings.regression,
        sentence=f"On old tasks the candidate earns {score:.3f} of what the incumbent does, counted from the lowest reward; "
        f"{settings.regression:g} are needed.",
    )


def _safety(evidence: Evidence, unmasked_best: Ints, settings: Settings) -> Check:
    """Mean over states of the share of their rows in which guards allow the action that the candidate values most."""
    if unmasked_best.shape != evidence.action.shape:
        raise InvalidInput(f"gate: unmasked_best has the shape {unmasked_best.shape}, {evidence.action.shape} is needed.")
    name = "safety score"
    if not len(evidence):
        return _unknown(name, settings.safety, "There are no states to ask the guards about.")
    fine = evidence.allowed[np.arange(len(evidence)), unmasked_best].astype(float)
    _, place, count = np.unique(evidence.state, return_inverse=True, return_counts=True)
    score = float(np.mean(np.bincount(place, fine) / count))
    return Check(
        name=name,
        passed=score >= settings.safety,
        figure=score,
        threshold=settings.safety,
        sentence=f"Guards would allow what the candidate values most in {100 * score:.1f} % of the states; "
        f"{100 * settings.safety:g} % are needed.",
    )


def _older(evidence: Evidence) -> Ints:
    """Return the older half of the episodes, by their first decision."""
    episodes, place = np.unique(evidence.episode, return_inverse=True)
    began = np.full(len(episodes), np.inf)
    np.minimum.at(began, place, evidence.decided_at)
    return np.asarray(episodes[np.argsort(began, kind="stable")[: len(episodes) // 2]])


def _ratio(top: float, bottom: float, reach: float) -> float:
    least = 1e-9 * reach
    return (top + least) / (bottom + least)


def _unknown(name: str, threshold: float, sentence: str) -> Check:
    return Check(name=name, passed=None, figure=None, threshold=threshold, sentence=sentence)

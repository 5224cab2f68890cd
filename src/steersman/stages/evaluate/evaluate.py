"""Evaluate: the estimates of three policies from one log, their differences, and what one may say about the candidate."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from statistics import NormalDist

import numpy as np

from steersman.core.sections import Evaluation as Settings
from steersman.maths.off_policy.audits import MeanWeight, Support, even_weights, mean_weight, support
from steersman.maths.off_policy.trajectory import Blend, magic
from steersman.maths.off_policy.weights import effective_size, importance_weights
from steersman.stages.evaluate.differences import Difference, Verdict, difference, hidden_by_cutting, unseen_reach
from steersman.stages.evaluate.evidence import NAMES, Evidence, Name, complete
from steersman.stages.evaluate.resampled import Resampled, resampled
from steersman.stages.evaluate.weigh import Frame, Weighed, cut_away, frame, weigh


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """A policy's value: mean reward of a decision in a bandit, mean discounted return of an episode otherwise.

    low, high: interval over independent units (bootstrap BCa; of "magic" normal, with the noise of "weighted doubly
    robust" and the bias it may have). "direct" has the noise of "doubly robust", which is that of a model by cells (Hahn
    1998), and does not know of what cells with few rows borrow. Below the least effective size, intervals are widened by
    what so few outcomes cannot have shown. bias: what cutting weights may have changed at most; along episodes, as long as
    a model is right to within the reward range.
    """

    estimator: str
    value: float
    low: float
    high: float
    bias: float


@dataclass(frozen=True, kw_only=True)
class Standing:
    """What the log says of one policy.

    effective: effective sample size of its weights. largest: its largest weight, before any was cut. cut: mean weight that
    was cut off. support and mean_weight: the audits.
    """

    estimates: Mapping[str, Estimate]
    effective: float
    largest: float
    cut: float
    support: Support
    mean_weight: MeanWeight


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """The whole answer; without standings and differences where there is not enough to estimate anything.

    units: independent ones, episodes. scale: width of the range of values, reward range × mean Σγ^t. estimator: by which
    policies are compared, and why. limit: that of weights; None where none was cut, for that would have hidden too much.
    even: the mean weight of even chances, which audits propensities alone.
    """

    outcomes: int
    units: int
    sequential: bool
    scale: float
    verdict: Verdict
    reason: str
    more: int | None
    left_out: Mapping[str, int]
    estimator: str = ""
    why: str = ""
    limit: float | None = None
    even: MeanWeight | None = None
    standings: Mapping[Name, Standing] = field(default_factory=dict)
    differences: Mapping[Name, Difference] = field(default_factory=dict)


def evaluate(evidence: Evidence, settings: Settings, rng: np.random.Generator) -> Evaluation:
    """Return what the log says of the candidate, beside the incumbent and the baseline.

    Sequential evidence (γ > 0 and episodes of several steps) is valued by episodes, any other by decisions. The verdict is
    that of the difference to the incumbent, and "cannot tell" wherever propensities do not look true. Episodes that lack a
    step are left out.
    """
    evidence = complete(evidence)
    units = len(np.unique(evidence.episode))
    if units < 2:
        return _nothing(evidence, units, settings)
    shared = frame(evidence)
    limit = _limit(shared, settings)
    policies = {name: weigh(shared, name, limit) for name in NAMES}
    chosen, why = _choice(policies["candidate"], policies["incumbent"])
    drawn = resampled(list(policies.values()), chosen, rng, resamples=settings.bootstrap)
    others: tuple[Name, ...] = ("incumbent", "baseline")
    differences = {each: difference(shared, policies["candidate"], policies[each], drawn, settings) for each in others}
    standings = {name: _standing(shared, each, drawn, settings) for name, each in policies.items()}
    even = mean_weight(even_weights(evidence.allowed, evidence.action, evidence.propensity))
    verdict, reason, more = _said(differences["incumbent"], standings)
    return Evaluation(
        outcomes=len(evidence),
        units=units,
        sequential=shared.grid is not None,
        scale=evidence.reach * shared.horizon,
        verdict=verdict,
        reason=reason,
        more=more,
        left_out=dict(evidence.left_out),
        estimator=chosen,
        why=why,
        limit=limit if math.isfinite(limit) else None,
        even=even,
        standings=standings,
        differences=differences,
    )


def _nothing(evidence: Evidence, units: int, settings: Settings) -> Evaluation:
    return Evaluation(
        outcomes=len(evidence),
        units=units,
        sequential=evidence.sequential,
        scale=evidence.reach,
        verdict="cannot tell",
        reason=f"There are {len(evidence)} outcomes of {units} episodes; at least {settings.min_outcomes} are needed.",
        more=max(settings.min_outcomes - len(evidence), 1),
        left_out=dict(evidence.left_out),
    )


def _limit(shared: Frame, settings: Settings) -> float:
    """Return the largest weight: no limit where the usual one would hide half the margin or more.

    Then noise tells how little is known, which more outcomes can lower, and not a bound that no number of them does.
    """
    evidence = shared.evidence
    raw = [importance_weights(evidence.policy(name), evidence.action, evidence.propensity) for name in NAMES[:2]]
    first, second = (cut_away(shared, each, settings.clip) for each in raw)
    return settings.clip if hidden_by_cutting(shared, first, second) < 0.5 * settings.margin else math.inf


def _choice(first: Weighed, second: Weighed) -> tuple[str, str]:
    """Return the estimator of the difference, and why: doubly robust, unless its model adds noise instead of taking some."""
    robust, plain = (
        ("doubly robust", "snips") if first.model is None else ("weighted doubly robust", "weighted per decision")
    )
    noise = {
        each: float(np.linalg.norm(first.terms[each].influence() - second.terms[each].influence()))
        for each in (robust, plain)
    }
    if noise[robust] <= noise[plain]:
        return (
            robust,
            "It is right if either the propensities or the model are, and here it is no noisier than without model.",
        )
    if not noise[plain]:
        return plain, "Without model the difference shows no noise at all, and with it some."
    return (
        plain,
        f"The model does not help here: with it, the difference is {noise[robust] / noise[plain]:.2f} times as noisy.",
    )


def _standing(shared: Frame, policy: Weighed, drawn: Resampled, settings: Settings) -> Standing:
    evidence = shared.evidence
    raw = policy.raw
    found = {name: _estimate(shared, policy, name, drawn, settings) for name in policy.terms}
    if policy.model is not None:
        noise = policy.terms["weighted doubly robust"].standard_error
        found["magic"] = _blend(magic(policy.model), noise, _bias(shared, policy, "magic"), settings)
    return Standing(
        estimates=found,
        effective=effective_size(policy.units),
        largest=float(raw.max()),
        cut=policy.mass,
        support=support(evidence.policy(policy.name), evidence.action, shared.rows.state, evidence.propensity),
        mean_weight=mean_weight(raw),
    )


def _estimate(shared: Frame, policy: Weighed, name: str, drawn: Resampled, settings: Settings) -> Estimate:
    value = policy.terms[name].value
    noisy = "doubly robust" if name == "direct" else name
    low, high = drawn.interval(policy.name, noisy, settings.level)
    center, size = policy.terms[noisy].value, effective_size(policy.units)
    unseen = 0.0 if size >= settings.min_ess else unseen_reach(size, settings.level) * shared.evidence.reach * shared.horizon
    low, high = _within(shared, value - math.hypot(center - low, unseen), value + math.hypot(high - center, unseen))
    return Estimate(estimator=name, value=value, low=low, high=high, bias=_bias(shared, policy, name))


def _within(shared: Frame, low: float, high: float) -> tuple[float, float]:
    """Return an interval cut at the range of rewards, which holds the value of a bandit's policy whatever its estimate."""
    if shared.grid is not None:
        return low, high
    low, high = np.clip([low, high], shared.evidence.low, shared.evidence.high)
    return float(low), float(high)


def _bias(shared: Frame, policy: Weighed, name: str) -> float:
    """Return the bound of the bias by cutting: the mass cut times what a row's error can be, |r| at most without model."""
    if name == "direct":
        return 0.0
    evidence = shared.evidence
    size = evidence.reach
    if name in {"ips", "importance sampling", "per decision"}:
        size = max(abs(evidence.low), abs(evidence.high))
    return policy.mass * size * shared.horizon


def _blend(found: Blend, noise: float, bias: float, settings: Settings) -> Estimate:
    """Return the blend with the noise of what it blends: its own knows nothing of errors of the model."""
    reach = NormalDist().inv_cdf((1.0 + settings.level) / 2.0) * max(noise, found.standard_error) + found.bias
    return Estimate(estimator="magic", value=found.value, low=found.value - reach, high=found.value + reach, bias=bias)


def _said(found: Difference, standings: Mapping[Name, Standing]) -> tuple[Verdict, str, int | None]:
    for name in () if found.short else NAMES[:2]:
        audit = standings[name].mean_weight
        if not audit.plausible:
            reason = (
                f"The weights of the {name} average {audit.mean:.3f}, within [{audit.low:.3f}, {audit.high:.3f}], "
                "and should be 1: it does what the log could not show, or the propensities are not true."
            )
            return "cannot tell", reason, None
    return found.verdict, found.reason, found.more

"""Differences: by how much more the candidate would have earned than another policy, and what one may say about that.

Better: the whole interval lies above 0. Worse: all of it lies below 0. Anything else, and whatever rests on too little, is
"cannot tell". Whether a candidate may be released asks for less than "better": the gate lets pass what is not worse by more
than the margin.
"""

import math
from dataclasses import dataclass, replace
from statistics import NormalDist
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from steersman.core.sections import Evaluation as Settings
from steersman.maths.intervals import bias_corrected
from steersman.maths.off_policy.audits import unseen_mass
from steersman.maths.off_policy.weights import effective_size
from steersman.stages.evaluate.evidence import Name
from steersman.stages.evaluate.exact import Interval, anytime, certain
from steersman.stages.evaluate.resampled import Resampled
from steersman.stages.evaluate.weigh import Frame, Weighed

Floats = NDArray[np.float64]
Verdict = Literal["better", "worse", "cannot tell"]

_PRIOR = 12.0
"""Outcomes that the widest variance which a range allows counts for, as where arms are compared live."""


@dataclass(frozen=True, kw_only=True)
class Difference:
    """Candidate less another policy, per decision in a bandit, per episode (discounted) otherwise.

    low, high: bootstrap interval over independent units, widened by what too few outcomes cannot have shown yet, and by
    `hidden`, the most that decisions without support and cut weights can hide. certain: an interval that holds for sure at
    its level for a number of outcomes fixed beforehand; anytime: one that holds however often one looks; both up to
    `hidden`. effective: the smaller effective sample size of the two. margin: in the same unit.
    short: whether evidence or support is lacking, so that the interval is not to be read. more: outcomes that it would
    take to tell, 0 where one can, None where more of the same would not help.
    """

    other: Name
    value: float
    low: float
    high: float
    certain: Interval
    anytime: Interval
    hidden: float
    effective: float
    margin: float
    outcomes: int
    short: bool = False
    verdict: Verdict = "cannot tell"
    reason: str = ""
    more: int | None = 0

    @property
    def not_worse(self) -> bool:
        """Whether all of the interval lies at or above −margin."""
        return self.low >= -self.margin


def difference(shared: Frame, first: Weighed, second: Weighed, drawn: Resampled, settings: Settings) -> Difference:
    """Return what the log says of the first policy less the second, by the estimator that was resampled, with a verdict."""
    scale = shared.evidence.reach * shared.horizon
    value, replicates, without = drawn.difference(first.name, second.name)
    low, high = bias_corrected(value, replicates, without, level=settings.level)
    unseen = _unseen(shared, first, second, settings.level) * scale
    hidden = _hidden(shared, first, second) * scale
    found = Difference(
        other=second.name,
        value=value,
        low=value - math.hypot(value - low, unseen) - hidden,
        high=value + math.hypot(high - value, unseen) + hidden,
        certain=certain(shared, first, second, level=settings.level),
        anytime=anytime(shared, first, second, level=settings.level),
        hidden=hidden,
        effective=min(effective_size(first.units), effective_size(second.units)),
        margin=settings.margin * scale,
        outcomes=len(shared.evidence),
    )
    return judged(found, settings)


def judged(found: Difference, settings: Settings) -> Difference:
    """Return the difference with its verdict, the reason in a sentence, and how many more outcomes it would take."""
    short = _shortage(found, settings)
    if short is not None:
        return replace(found, short=True, reason=short, more=_more(found, settings))
    if found.low == found.high == 0.0:
        return replace(found, reason=f"It decides as the {found.other} does: no outcome can tell them apart.", more=None)
    interval = f"[{found.low:.4g}, {found.high:.4g}]"
    if found.low > 0.0:
        return replace(
            found, verdict="better", reason=f"It earns more than the {found.other}: {interval} lies above 0.", more=0
        )
    if found.high < 0.0:
        return replace(
            found, verdict="worse", reason=f"It earns less than the {found.other}: {interval} lies below 0.", more=0
        )
    bound = f"not worse by more than the margin {found.margin:.4g}" if found.not_worse else "and may be worse by the margin"
    reason = f"It may earn more or less than the {found.other}: {interval} holds 0, {bound}."
    return replace(found, reason=reason, more=_more(found, settings))


def _shortage(found: Difference, settings: Settings) -> str | None:
    if found.outcomes < settings.min_outcomes:
        return f"There are {found.outcomes} outcomes; at least {settings.min_outcomes} are needed."
    if found.hidden > found.margin:
        return (
            f"The log cannot speak for enough of its decisions: those without support or of cut weight may hide "
            f"{found.hidden:.4g}, more than the margin {found.margin:.4g}."
        )
    if found.effective < settings.min_ess:
        return (
            f"The outcomes tell as much as {found.effective:.1f} of its own would; at least {settings.min_ess:g} are needed."
        )
    return None


def _more(found: Difference, settings: Settings) -> int | None:
    """Return how many outcomes are missing if intervals shrink with √n: for evidence, and for the interval to leave 0.

    Where the difference is smaller than the margin, for an interval as narrow as the margin.
    """
    aim = max(abs(found.value), found.margin) - found.hidden
    reach = max(found.value - found.low, found.high - found.value) - found.hidden
    if found.hidden > found.margin or aim <= 0.0 or found.effective <= 0.0 or not math.isfinite(reach):
        return None
    factor = max((reach / aim) ** 2, settings.min_ess / found.effective)
    needed = max(math.ceil(found.outcomes * factor), settings.min_outcomes)
    return max(needed - found.outcomes, 0)


def unseen_reach(size: float, level: float) -> float:
    """Return how far, in widths of the range, a mean of so many outcomes can be off that saw no variance at all; at most 1.

    z·√(k/(4·n·(n + k))): the variance is not known but for k = 12 values of the widest one. Near the exact bound 3.7/n of
    the probability of an event that was not seen in n outcomes.
    """
    if size <= 0.0:
        return 1.0
    return min(NormalDist().inv_cdf((1.0 + level) / 2.0) * math.sqrt(_PRIOR / (4.0 * size * (size + _PRIOR))), 1.0)


def _unseen(shared: Frame, first: Weighed, second: Weighed, level: float) -> float:
    """Return how much, in widths of the range, events may matter that too few outcomes have not shown yet.

    The `unseen_reach` of the outcomes that tell the policies apart, for the share of decisions in which these differ.
    """
    apart = first.units - second.units
    size = min(effective_size(np.maximum(apart, 0.0)), effective_size(np.maximum(-apart, 0.0)))
    decision = 0.5 * float(np.abs(_apart(shared, first, second)).sum()) / len(shared.units)
    differ = decision if shared.grid is None else min(decision * shared.steps, 1.0)
    return differ * unseen_reach(size, level)


def _apart(shared: Frame, first: Weighed, second: Weighed) -> Floats:
    return shared.evidence.policy(first.name) - shared.evidence.policy(second.name)


def _hidden(shared: Frame, first: Weighed, second: Weighed) -> float:
    """Return the most, in widths of the range, that decisions without support and cut weights can hide.

    Along an episode, a decision without support may decide about all of it.
    """
    evidence = shared.evidence
    unseen = unseen_mass(_apart(shared, first, second), evidence.action, evidence.propensity)
    return unseen * (1.0 if shared.grid is None else shared.steps) + hidden_by_cutting(shared, first.cut, second.cut)


def hidden_by_cutting(shared: Frame, first: Floats, second: Floats) -> float:
    """Return the most, in widths of the range, that cutting weights can have changed in the difference; see `cut_away`."""
    cut = np.abs(first - second)
    return float(np.mean(cut)) if shared.grid is None else float(np.mean(cut.sum(axis=1))) / shared.horizon

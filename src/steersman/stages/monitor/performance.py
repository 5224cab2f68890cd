"""Performance: what sums over arms and hours amount to, and whether what was learned beats the baseline.

Arms are compared within hours only, over decisions whose arm was drawn at random: then neither a quiet night nor a caller
who asked for one arm speaks for either.
"""

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from operator import attrgetter
from statistics import NormalDist
from typing import Literal

from msgspec import structs

from steersman.core.values import Arm, Figures
from steersman.maths.statistics import t_quantile

Verdict = Literal["better", "worse", "cannot tell"]
Moments = tuple[int, float, float]
"""Count, sum and sum of squares."""

_PLACE = ("agent", "hour", "arm", "drawn")
_SUMS = tuple(name for name in Figures.__struct_fields__ if name not in _PLACE)
_all_sums = attrgetter(*_SUMS)
_LEVEL = 0.95
_FEWEST = 30
"""Outcomes of an arm below which nothing is called better or worse."""
_PRIOR = 12.0
"""Outcomes that the widest variance which a range allows counts for, before any other is seen."""
_NORMAL = NormalDist().inv_cdf((1.0 + _LEVEL) / 2.0)
_MANY = 30.0


@dataclass(frozen=True, kw_only=True)
class Summary:
    """One arm, or several, over a span. Each share or mean is None where nothing is known that it could be of.

    reward_interval: 95 % interval of the mean, None for fewer than two rewards. success: share of the rewarded outcomes.
    cost: mean of those that told one. override_rate: share of the decisions. latency_us: mean. false_blocks: share of
    the blocks that were judged.
    """

    decisions: int
    rewarded: int
    reward: float | None
    reward_interval: tuple[float, float] | None
    success: float | None
    cost: float | None
    overridden: int
    override_rate: float | None
    latency_us: float | None
    false_blocks: float | None


@dataclass(frozen=True, kw_only=True)
class Difference:
    """What was learned less the baseline, with an interval that holds with 95 % however often one looks, and the verdict.

    learned, baseline: outcomes behind it.
    """

    mean: float
    low: float
    high: float
    hours: int
    learned: int
    baseline: int

    @property
    def verdict(self) -> Verdict:
        """What the interval says: nothing, as long as it holds 0 or an arm has fewer than 30 outcomes."""
        if min(self.learned, self.baseline) < _FEWEST or self.low <= 0.0 <= self.high:
            return "cannot tell"
        return "better" if self.low > 0.0 else "worse"


@dataclass(frozen=True, kw_only=True)
class Hour:
    """Mean rewards of one hour; None where an arm had no outcome."""

    hour: int
    learned: float | None
    baseline: float | None
    outcomes: int


def add(first: Figures, second: Figures) -> Figures:
    """Return the sums of both, in the place of the first."""
    return structs.replace(first, **{name: getattr(first, name) + getattr(second, name) for name in _SUMS})


def summary(figures: Iterable[Figures]) -> Summary:
    """Return what figures amount to, over all their hours and arms."""
    sums = [sum(column) for column in zip(*map(_all_sums, figures), strict=True)]
    total = dict(zip(_SUMS, sums or [0.0] * len(_SUMS), strict=True))
    moments = (int(total["rewarded"]), total["reward"], total["reward_squares"])
    return Summary(
        decisions=int(total["decisions"]),
        rewarded=moments[0],
        reward=_ratio(total["reward"], total["rewarded"]),
        reward_interval=interval(moments),
        success=_ratio(total["successes"], total["scored"]),
        cost=_ratio(total["cost"], total["costed"]),
        overridden=int(total["overridden"]),
        override_rate=_ratio(total["overridden"], total["decisions"]),
        latency_us=_ratio(total["latency_us"], total["decisions"]),
        false_blocks=_ratio(total["false_blocks"], total["judged"]),
    )


def interval(moments: Moments) -> tuple[float, float] | None:
    """Return Student's 95 % interval of a mean, from count, sum and sum of squares; None for fewer than two values.

    m ± t_{n−1}·√(s²/n) with s² = (Σx² − (Σx)²/n)/(n − 1); Student (1908).
    """
    count, total, _ = moments
    if count < 2:
        return None
    reach = _quantile(count - 1.0) * math.sqrt(_squared_deviations(moments) / (count - 1) / count)
    return total / count - reach, total / count + reach


def reward_difference(figures: Iterable[Figures], reach: float) -> Difference | None:
    """Return by how much more what was learned earned than the baseline; None where no hour has outcomes of both.

    reach: the width of the agent's reward range, high − low.
    """
    return _difference(_strata(figures, lambda each: (each.rewarded, each.reward, each.reward_squares)), reach)


def success_difference(figures: Iterable[Figures]) -> Difference | None:
    """Return the difference between the shares of successes, in the same way."""
    return _difference(_strata(figures, lambda each: (each.scored, float(each.successes), float(each.successes))), 1.0)


def _difference(strata: Sequence[tuple[Moments, Moments]], reach: float) -> Difference | None:
    """Return the difference of means over the hours in which both arms have outcomes.

    d = S/W with S = Σ w_h·(m_lh − m_bh), W = Σ w_h and w_h = n_lh·n_bh/(n_lh + n_bh), the weights of Mantel & Haenszel
    (1959). As outcomes come in, S is a Brownian motion in its variance V = Σ w_h²·(v_l/n_lh + v_b/n_bh) (Scharfstein,
    Tsiatis & Robins 1997; exact for normal rewards), so it stays within a normal mixture's boundary at all times at once.
    A span that moves on begins anew: the 5 % are those of one span.
    """
    if not strata:
        return None
    weights = [learned[0] * base[0] / (learned[0] + base[0]) for learned, base in strata]
    whole = sum(weights)
    mean = sum(w * (a[1] / a[0] - b[1] / b[0]) for w, (a, b) in zip(weights, strata, strict=True)) / whole
    learned, base = [each[0] for each in strata], [each[1] for each in strata]
    margin = boundary(sum(_part(arm, weights, reach) for arm in (learned, base)), reach) / whole
    return Difference(
        mean=mean,
        low=max(mean - margin, -reach),
        high=min(mean + margin, reach),
        hours=len(strata),
        learned=sum(each[0] for each in learned),
        baseline=sum(each[0] for each in base),
    )


def boundary(variance: float, reach: float) -> float:
    """Return what the size of a sum of variance V so far exceeds at any time with a probability of at most 5 %.

    √((V + ρ)·ln((V + ρ)/(ρ·α²))), the two-sided normal mixture of Howard, Ramdas, McAuliffe & Sekhon (2021),
    "Time-uniform, nonparametric, nonasymptotic confidence sequences", Ann. Statist. 49(2), eq. 14. ρ says where it is
    tightest: ρ = reach², for some forty outcomes of the widest variance that the range allows.
    """
    rho, alpha = reach * reach, 1.0 - _LEVEL
    return math.sqrt((variance + rho) * math.log((variance + rho) / (rho * alpha * alpha)))


def _strata(figures: Iterable[Figures], moments: Callable[[Figures], Moments]) -> list[tuple[Moments, Moments]]:
    """Return the moments of the champion and of the baseline for each hour in which both were drawn and have outcomes."""
    hours: dict[int, dict[Arm, Moments]] = defaultdict(dict)
    for each in figures:
        if each.drawn and each.arm != "safe":
            count, total, squares = moments(each)
            before = hours[each.hour].get(each.arm, (0, 0.0, 0.0))
            hours[each.hour][each.arm] = (before[0] + count, before[1] + total, before[2] + squares)
    nothing = (0, 0.0, 0.0)
    pairs = [(arms.get("champion", nothing), arms.get("baseline", nothing)) for _, arms in sorted(hours.items())]
    return [(learned, base) for learned, base in pairs if learned[0] > 0 and base[0] > 0]


def _part(arm: Sequence[Moments], weights: Sequence[float], reach: float) -> float:
    """Return what one arm adds to the variance of the sum: v·Σ w_h²/n_h.

    v = (Σ(x − m_h)² + k·reach²/4)/(Σ(n_h − 1) + k) begins at the widest variance that the range allows, which counts for
    k = 12 outcomes: few outcomes that happen to agree do not pass for sure, in the spirit of Agresti & Caffo (2000).
    """
    freedom = float(sum(each[0] - 1 for each in arm))
    spread = sum(_squared_deviations(each) for each in arm)
    variance = (spread + _PRIOR * reach * reach / 4.0) / (freedom + _PRIOR)
    return variance * sum(w * w / each[0] for w, each in zip(weights, arm, strict=True))


def cost_ratio(figures: Iterable[Figures]) -> float | None:
    """Return the cost of an action of what was learned over one of the baseline's, hours weighted as in a difference.

    Σ w_h·c_lh / Σ w_h·c_bh; None where no hour tells the costs of both, or the baseline costs nothing.
    """
    strata = _strata(figures, lambda each: (each.costed, each.cost, 0.0))
    weights = [learned[0] * base[0] / (learned[0] + base[0]) for learned, base in strata]
    of_learned = sum(w * a[1] / a[0] for w, (a, _) in zip(weights, strata, strict=True))
    of_baseline = sum(w * b[1] / b[0] for w, (_, b) in zip(weights, strata, strict=True))
    return of_learned / of_baseline if of_baseline > 0.0 else None


def hours(figures: Iterable[Figures]) -> list[Hour]:
    """Return the mean rewards of each hour, oldest first, of what was learned and of the baseline."""
    found: dict[int, dict[Arm, Moments]] = defaultdict(dict)
    for each in figures:
        before = found[each.hour].get(each.arm, (0, 0.0, 0.0))
        found[each.hour][each.arm] = (before[0] + each.rewarded, before[1] + each.reward, 0.0)
    nothing = (0, 0.0, 0.0)
    return [
        Hour(
            hour=hour,
            learned=_mean(arms.get("champion", nothing)),
            baseline=_mean(arms.get("baseline", nothing)),
            outcomes=sum(each[0] for each in arms.values()),
        )
        for hour, arms in sorted(found.items())
    ]


def entropy(weights: Sequence[float]) -> float:
    """Return how evenly a choice is spread, in [0, 1]: 1 if all are equally likely, 0 if one takes all.

    −Σ p·ln p / ln n over the n weights, which need not sum to 1; 0 for fewer than two of them; Shannon (1948).
    """
    total = sum(weights)
    if len(weights) < 2 or total <= 0.0:
        return 0.0
    shares = [each / total for each in weights if each > 0.0]
    return -sum(share * math.log(share) for share in shares) / math.log(len(weights))


def lead(values: Sequence[float], scale: float) -> float:
    """Return how far the best value lies above the second best, in units of `scale` (> 0); 0 for fewer than two."""
    if len(values) < 2:
        return 0.0
    second, first = sorted(values)[-2:]
    return (first - second) / scale


def percentile(values: Sequence[float], share: float) -> float | None:
    """Return the smallest value that at least `share` ∈ (0, 1] of the values do not exceed; None without values."""
    if not values:
        return None
    return sorted(values)[max(math.ceil(share * len(values)), 1) - 1]


def _squared_deviations(moments: Moments) -> float:
    """Return Σ(x − m)², at least 0 whatever rounding did."""
    count, total, squares = moments
    return max(squares - total * total / count, 0.0) if count else 0.0


def _mean(moments: Moments) -> float | None:
    return _ratio(moments[1], moments[0])


def _ratio(total: float, count: float) -> float | None:
    return total / count if count > 0 else None


def _quantile(freedom: float) -> float:
    """Return Student's quantile, for many degrees of freedom by its expansion, which is five hundred times as quick.

    x + (x³ + x)/4ν + (5x⁵ + 16x³ + 3x)/96ν² + (3x⁷ + 19x⁵ + 17x³ − 15x)/384ν³, right to 1e-6 from ν = 30 on; Abramowitz
    & Stegun (1964), 26.7.5.
    """
    if freedom < _MANY:
        return t_quantile((1.0 + _LEVEL) / 2.0, freedom)
    x, n = _NORMAL, freedom
    second, third = 5 * x**5 + 16 * x**3 + 3 * x, 3 * x**7 + 19 * x**5 + 17 * x**3 - 15 * x
    return x + (x**3 + x) / (4 * n) + second / (96 * n**2) + third / (384 * n**3)

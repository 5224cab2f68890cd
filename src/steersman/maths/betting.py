"""Tests by betting: evidence that may be looked at after each observation, for as long as one likes.

Nature names a score for each arm, a coin of known probability picks the arm, and we bet against the hypothesis. If it is
true, our wealth grows by no more than a factor 1/α, ever, with probability 1 − α (Ville 1939), so wealth is evidence.
Waudby-Smith & Ramdas (2024), "Estimating means of bounded random variables by betting"; exact for bounded scores.

A unit t with probability w of the challenger, score Y in [0, 1] and a centre c chosen before it was seen has the payoff

    X = (Y − c)·(1[challenger]/w − 1[champion]/(1 − w)),   E[X | past] = mean of the challenger − mean of the champion

at that moment, whatever drift both share and however w is ramped.

Arrays of units have time as their first axis, in the order in which they count; S is the shape of one moment: the tests
side by side, or the runs of a simulation. How units are cut into calls makes no difference. NaN is a missing score.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from steersman.core.errors import InvalidInput

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

WORSE, NOT_WORSE = -1.0, 1.0
"""What a wager bets on: that the difference lies below −margin, or above it."""

_STAKES: Floats = 0.16 * 0.5 ** np.arange(6.0)
"""What to bet per standard deviation of the payoff: right for effects of 0.53 … 0.017 at w = 0.1, 0.32 … 0.01 at 0.5."""
_SHARES: Floats = np.array([3.0, 3.0, 2.0, 1.0, 0.5, 0.5]) / 10.0
"""What part of the wealth goes to each: most to those that matter within some thousand units."""
_ALL_IN = 0.95
"""Share of the wealth that the worst payoff may take."""
_AT_ONCE = 50
"""Factors that are multiplied before a log is taken: each lies in [0.05, 1/w], so no product of fifty leaves a double."""
_MOST_EVIDENCE = 1e200
"""Beyond this, evidence of a change grows no more: a change to the better must be able to undo it."""
_PRIOR_UNITS = 4.0
"""Units that the widest spread which the range allows counts for, before any other is seen."""
_LOG_ODDS: Floats = np.array([sign * 0.05 * 2.0**power for power in range(6) for sign in (-1.0, 1.0)])
"""By how much the odds of the challenger may be off, for the sample-ratio test."""


class Units(NamedTuple):
    """Units in order: scores in [0, 1] (n, *S), whose they are, and the probability of the challenger in (0, 1).

    challenger, share: (n, *S) or broadcast to it.
    """

    scores: Floats
    challenger: Flags
    share: Floats


class Payoffs(NamedTuple):
    """Payoffs of units, each with what was known before it: its bounds and its spread.

    x: (n, *S), 0 where the score is missing. known: whether it is not. low, high, spread: (n, *S).
    """

    x: Floats
    known: Flags
    low: Floats
    high: Floats
    spread: Floats


@dataclass(frozen=True, kw_only=True, eq=False)
class Scale:
    """What is known of the scores before the next unit: sums and counts of shape S, changed in place by `payoffs`."""

    total: Floats
    count: Floats
    square: Floats

    @classmethod
    def blank(cls, shape: tuple[int, ...]) -> "Scale":
        """Return the scale before any score: centre ½, as wide as can be."""
        return cls(total=np.full(shape, 0.5), count=np.ones(shape), square=np.full(shape, 0.25 * _PRIOR_UNITS))


@dataclass(frozen=True, kw_only=True, eq=False)
class Wager:
    """Many one-sided tests side by side, of any shape S; the arrays are changed in place by `observe`.

    side: WORSE bets against "difference ≥ −margin", NOT_WORSE against "difference ≤ −margin". margin: in [0, 1), of
    scores in [0, 1]. wealth: log of what each bet has become, (6, *S).
    """

    side: Floats
    margin: Floats
    wealth: Floats

    @classmethod
    def blank(cls, *, side: ArrayLike, margin: ArrayLike, shape: tuple[int, ...]) -> "Wager":
        """Return the tests before any unit; `side` and `margin` broadcast to `shape`. Raises InvalidInput for a margin."""
        sides, margins = (np.broadcast_to(np.asarray(each, float), shape).copy() for each in (side, margin))
        if not np.all((margins >= 0.0) & (margins < 1.0)):
            raise InvalidInput(f"betting: margins {margins.tolist()!r} must lie in [0, 1): they are shares of the range.")
        return cls(side=sides, margin=margins, wealth=np.zeros((len(_STAKES), *shape)))


@dataclass(frozen=True, kw_only=True, eq=False)
class Bounds:
    """Sums of shape (6, *S) from which the difference is bounded at any time; changed in place by `bound`."""

    staked: Floats
    won: Floats
    spent: Floats

    @classmethod
    def blank(cls, shape: tuple[int, ...]) -> "Bounds":
        """Return the sums before any unit."""
        staked, won, spent = np.zeros((3, len(_STAKES), *shape))
        return cls(staked=staked, won=won, spent=spent)

    def interval(self, alpha: float) -> tuple[Floats, Floats]:
        """Return low and high, S, that hold the difference at all times at once with probability 1 − α, within [−1, 1].

        (Σλx ∓ Σψ(λb)(x/b)² ∓ log(2/(α·πⱼ)))/Σλ, the best of the stakes j. Where the difference changes, it is the mean of
        the differences so far, weighted by λ.
        """
        reach = self.spent + _along(np.log(2.0 / (alpha * _SHARES)), self.spent[0])
        staked = np.maximum(self.staked, 1e-300)
        low, high = np.max((self.won - reach) / staked, axis=0), np.min((self.won + reach) / staked, axis=0)
        return np.clip(low, -1.0, 1.0), np.clip(high, -1.0, 1.0)


@dataclass(frozen=True, kw_only=True, eq=False)
class Ratio:
    """Do the arms get the units that they should? Log likelihood ratios of shape (12, *S), changed in place by `count`."""

    wealth: Floats

    @classmethod
    def blank(cls, shape: tuple[int, ...]) -> "Ratio":
        """Return the test before any unit."""
        return cls(wealth=np.zeros((len(_LOG_ODDS), *shape)))


@dataclass(frozen=True, kw_only=True, eq=False)
class Detector:
    """One-sided tests that go on for ever, side by side; the arrays are changed in place by `detect`.

    side, margin: as a wager's. sums: what bets begun at each unit so far have become, added up; (6, *S).
    """

    side: Floats
    margin: Floats
    sums: Floats

    @classmethod
    def blank(cls, *, side: ArrayLike, margin: ArrayLike, shape: tuple[int, ...]) -> "Detector":
        """Return the tests before any unit, as `Wager.blank` does. Raises InvalidInput for a margin."""
        wager = Wager.blank(side=side, margin=margin, shape=shape)
        return cls(side=wager.side, margin=wager.margin, sums=np.zeros_like(wager.wealth))


def payoffs(scale: Scale, units: Units) -> Payoffs:
    """Return the payoffs of units, and take the units into what is known.

    c is the running mean of both arms' scores, σ² = Σ x²·w(1 − w)/n/(w(1 − w)), each over earlier units alone.
    """
    known = ~np.isnan(units.scores)
    scores, other = np.where(known, units.scores, 0.0), 1.0 - units.share
    centre = _before(scale.total, scores) / _before(scale.count, known.astype(float))
    x = np.where(known, (scores - centre) * np.where(units.challenger, 1.0 / units.share, -1.0 / other), 0.0)
    seen = _before(scale.count, known.astype(float)) - 1.0 + _PRIOR_UNITS
    square = _before(scale.square, x * x * (units.share * other)) / seen
    scale.total[...] += scores.sum(axis=0)
    scale.count[...] += known.sum(axis=0)
    scale.square[...] += (x * x * (units.share * other)).sum(axis=0)
    return Payoffs(
        x=x,
        known=known,
        low=-np.maximum(centre / units.share, (1.0 - centre) / other),
        high=np.maximum((1.0 - centre) / units.share, centre / other),
        spread=np.sqrt(square / (units.share * other)),
    )


def observe(wager: Wager, units: Payoffs) -> Floats:
    """Let units in, and return the log of the evidence against each hypothesis after each of them, (n, *S).

    The wealth of a bet is Π(1 + λ·s·(X + m)), s the side, 0 ≤ λ < 1/max(−s·(X + m)); the evidence is the mean of six. λ is
    κ/σ for six κ: where the drift is δ, wealth grows fastest with λ = δ/σ² (Kelly 1956).
    """
    factors = _factors(wager.side, wager.margin, units)
    return np.concatenate([_grown(wager.wealth, each) for each in _in_parts(factors)])


def detect(detector: Detector, units: Payoffs) -> Floats:
    """Let units in, and return the log of the evidence, after each of them, that a hypothesis ceased to hold; (n, *S).

    R_t = (1 + R_{t−1})·(1 + λ·s·(X_t + m)) for the six λ of `observe`, averaged: bets that began at each unit so far, added
    up, so that what was long ago neither helps nor hinders. While the hypothesis holds, E R_t ≤ t, and so R reaches c after
    c units or more on the mean. Shiryaev (1963), Roberts (1966); Shin, Ramdas & Rinaldo (2024), "E-detectors".
    """
    factors = _factors(detector.side, detector.margin, units)
    return np.concatenate([_restarted(detector.sums, each) for each in _in_parts(factors)])


def bound(bounds: Bounds, units: Payoffs) -> None:
    """Let units into the bounds of the difference.

    exp(λ(X − E X) − ψ(λb)(X/b)²) has mean ≤ 1 for |X| ≤ b and λb < 1, ψ(u) = −log(1 − u) − u; Fan, Grama & Liu (2015).
    """
    widest = np.maximum(-units.low, units.high)
    stakes = np.where(units.known, np.minimum(_along(_STAKES, units.x) / units.spread, _ALL_IN / widest), 0.0)
    bounds.staked[...] += stakes.sum(axis=1)
    bounds.won[...] += (stakes * units.x).sum(axis=1)
    bounds.spent[...] += ((-np.log1p(-stakes * widest) - stakes * widest) * (units.x / widest) ** 2).sum(axis=1)


def count(ratio: Ratio, units: Units) -> Floats:
    """Let units into the sample-ratio test; return the log of the evidence after each that w was not what is logged.

    Π q(arm)/w(arm) with odds q/(1 − q) = e^η·w/(1 − w), averaged over twelve η: a multinomial e-process as of Lindon &
    Malek (2022), with a mixture over odds for their Dirichlet one, so that it is one alternative while w changes.
    """
    odds = _along(_LOG_ODDS, units.challenger)
    path = ratio.wealth[:, None] + np.cumsum(odds * units.challenger - np.log1p(units.share * np.expm1(odds)), axis=1)
    ratio.wealth[...] = path[:, -1]
    return _log_mean(path, np.full(len(_LOG_ODDS), 1.0 / len(_LOG_ODDS)))


def _factors(side: Floats, margin: Floats, units: Payoffs) -> Floats:
    """Return by what each unit multiplies each of six bets, (6, n, *S)."""
    worst = np.where(side > 0.0, -units.low - margin, units.high + margin)
    gain = np.where(units.known, side * (units.x + margin), 0.0)
    stakes = np.minimum(_along(_STAKES, gain) / units.spread, _ALL_IN / worst)
    result: Floats = 1.0 + stakes * gain
    return result


def _in_parts(factors: Floats) -> list[Floats]:
    return [factors[:, at : at + _AT_ONCE] for at in range(0, factors.shape[1], _AT_ONCE)]


def _restarted(sums: Floats, factors: Floats) -> Floats:
    """Let sums (6, *S) of restarted bets take in factors (6, n, *S), in place; return the log of their mean, (n, *S)."""
    grown = np.cumprod(factors, axis=1)
    begun = np.cumsum(factors / grown, axis=1)
    path = grown * (sums[:, None] + begun)
    sums[...] = np.minimum(path[:, -1], _MOST_EVIDENCE)
    result: Floats = np.log(np.tensordot(_SHARES, path, 1))
    return result


def _grown(wealth: Floats, factors: Floats) -> Floats:
    """Let wealth (6, *S) grow in place by factors (6, n, *S); return the log of the mean wealth after each, (n, *S)."""
    grown, top = np.cumprod(factors, axis=1), wealth.max(axis=0)
    path: Floats = top + np.log(np.tensordot(_SHARES, np.exp(wealth - top)[:, None] * grown, 1))
    wealth += np.log(grown[:, -1])
    return path


def _before(start: Floats, values: Floats) -> Floats:
    """Return the running sum before each of the values, (n, *S)."""
    result: Floats = start + np.cumsum(values, axis=0) - values
    return result


def _along(values: Floats, like: NDArray[np.generic]) -> Floats:
    """Return values (k,) as a new first axis before the axes of another array."""
    return values.reshape(-1, *(1,) * like.ndim)


def _log_mean(logs: Floats, weights: Floats) -> Floats:
    """Return log Σ wⱼ·exp(aⱼ) over the first axis, without overflow."""
    top = logs.max(axis=0)
    result: Floats = top + np.log(np.tensordot(weights, np.exp(logs - top), 1))
    return result

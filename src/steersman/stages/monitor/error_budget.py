"""The error budget: how many outcomes may fail, how fast that is being used up, and whether exploring can be afforded.

Burn rates follow the multi-window scheme of the Google SRE workbook (chapter 5): an alert needs the long window, for
evidence, and the short one, so that it ends soon after the failures do.
"""

from dataclasses import dataclass
from math import exp, lgamma, log, log1p

from steersman.core.errors import InvalidInput
from steersman.stages.monitor.signals import Signal

_MINUTE_S, _HOUR_S = 60, 3_600
_MINUTES_KEPT = 6 * 60
_CHANCE = 1e-4
"""Failures that an agent which keeps its target has with a smaller probability than this are no accident."""
_SPENT_AGAIN = 0.9
"""Share of the budget below which exploring goes on after it was spent."""


@dataclass(frozen=True, kw_only=True)
class Rate:
    """How fast the budget burns: 1 uses it up in just its period.

    long, short: in the last `long_s` and `short_s` seconds, None without outcomes. threshold: what both must reach, on
    more failures than accident explains, for the rate to fire. evident: whether there are that many.
    """

    name: str
    long_s: int
    short_s: int
    long: float | None
    short: float | None
    threshold: float
    evident: bool

    @property
    def fires(self) -> bool:
        """Whether the budget burns this fast, and still does."""
        return self.evident and min(self.long or 0.0, self.short or 0.0) >= self.threshold


@dataclass(frozen=True, kw_only=True)
class Burn:
    """Where the budget of a period stands.

    outcomes, failures: of the last `period_s` seconds. budget: share of the outcomes that may fail, 1 − target. spent:
    failures over those allowed, None without outcomes. exhausted: it is spent by more failures than accident explains.
    """

    target: float
    budget: float
    period_s: float
    outcomes: int
    failures: int
    spent: float | None
    exhausted: bool
    fast: Rate
    slow: Rate
    ticket: Rate
    may_explore: bool


class ErrorBudget:
    """Counts outcomes by the minute for six hours and by the hour for a period, in memory that does not grow.

    target: share of the outcomes that should succeed, in (0, 1). period_s: at least three days, for the slowest rate.
    """

    def __init__(self, target: float, period_s: float = 30 * 86_400.0) -> None:
        if not 0.0 < target < 1.0:
            raise InvalidInput(f"error budget: target {target!r} must lie in (0, 1); a target of 1 leaves no budget.")
        if not period_s >= 72 * _HOUR_S:
            raise InvalidInput(f"error budget: a period of {period_s!r} s is shorter than three days.")
        self.target, self.period_s = target, period_s
        self._minutes = _Buckets(_MINUTE_S, _MINUTES_KEPT)
        self._hours = _Buckets(_HOUR_S, int(-(-period_s // _HOUR_S)))
        self._may_explore = True

    def add(self, at: float, success: bool) -> None:
        """Count an outcome of a time (unix seconds), in any order."""
        self._minutes.add(at, not success)
        self._hours.add(at, not success)

    def merge(self, other: "ErrorBudget") -> None:
        """Add what another process counted of other outcomes of the same agent."""
        self._minutes.merge(other._minutes)
        self._hours.merge(other._hours)

    def state(self, now: float) -> Burn:
        """Return where the budget stands at a time (unix seconds); the answer about exploring depends on the one before."""
        budget = 1.0 - self.target
        outcomes, failures = self._hours.last(now, self.period_s)
        fast = self._rate("fast", (_HOUR_S, 5 * _MINUTE_S), _reachable(14.4, budget, 1 / 2), now)
        slow = self._rate("slow", (6 * _HOUR_S, 30 * _MINUTE_S), _reachable(6.0, budget, 1 / 3), now)
        ticket = self._rate("ticket", (72 * _HOUR_S, 6 * _HOUR_S), 1.0, now)
        spent = failures / (budget * outcomes) if outcomes else None
        exhausted = spent is not None and spent >= 1.0 and _evident(failures, outcomes, budget)
        self._may_explore = may_explore(fast, spent, exhausted=exhausted, before=self._may_explore)
        return Burn(
            target=self.target,
            budget=budget,
            period_s=self.period_s,
            outcomes=outcomes,
            failures=failures,
            spent=spent,
            exhausted=exhausted,
            fast=fast,
            slow=slow,
            ticket=ticket,
            may_explore=self._may_explore,
        )

    def _rate(self, name: str, windows: tuple[int, int], threshold: float, now: float) -> Rate:
        budget = 1.0 - self.target
        (count, failures), (short_count, short_failures) = (
            (self._minutes if window <= _MINUTES_KEPT * _MINUTE_S else self._hours).last(now, window) for window in windows
        )
        return Rate(
            name=name,
            long_s=windows[0],
            short_s=windows[1],
            long=failures / count / budget if count else None,
            short=short_failures / short_count / budget if short_count else None,
            threshold=threshold,
            evident=_evident(failures, count, budget),
        )


def may_explore(fast: Rate, spent: float | None, *, exhausted: bool, before: bool) -> bool:
    """Return whether exploring can be afforded, given whether it could `before`.

    It stops while the fast rate fires or the budget is exhausted. It begins again only when the last five minutes and the
    hour burn at less than half of what fires and at most 90 % of the budget are spent, so that it does not flicker.
    """
    if fast.fires or exhausted:
        return False
    if before:
        return True
    calm = all((rate or 0.0) < fast.threshold / 2.0 for rate in (fast.long, fast.short))
    return calm and (spent is None or spent <= _SPENT_AGAIN)


def signals(agent: str, burn: Burn) -> tuple[Signal, ...]:
    """Return what people should know of a budget, the most urgent first; one signal, as the causes are the same."""
    firing = [rate for rate in (burn.fast, burn.slow, burn.ticket) if rate.fires]
    if firing:
        rate = firing[0]
        sentence = (
            f"Outcomes of {agent} fail {rate.long:.3g} times as often as a target of {burn.target:g} allows, over the last "
            f"{rate.long_s / _HOUR_S:g} h."
        )
        return (_signal(agent, burn, rate.name, (rate.long or 0.0, rate.threshold), sentence),)
    if burn.exhausted and burn.spent is not None:
        sentence = f"{agent} has used up its error budget: {burn.failures} of {burn.outcomes} outcomes failed."
        return (_signal(agent, burn, "period", (burn.spent, 1.0), sentence),)
    return ()


def _signal(agent: str, burn: Burn, subject: str, figures: tuple[float, float], sentence: str) -> Signal:
    paused = "Exploring has stopped by itself. " if not burn.may_explore else ""
    return Signal(
        agent=agent,
        kind="error budget",
        level="act" if subject in ("fast", "slow") else "warn",
        subject=subject,
        figure=figures[0],
        threshold=figures[1],
        since=None,
        sentence=sentence,
        what_to_do=f"{paused}See what changed: a policy, a guard, the surroundings. Roll back, or pin what is safe; if the "
        "target was never met, lower it.",
    )


def _reachable(factor: float, budget: float, part: float) -> float:
    """Return a burn rate that can be reached: with a target of 0.9 even nothing but failures burns at 10.

    The factor, but at most that of failures which lie `part` of the way from the budget to all outcomes.
    """
    return min(factor, (budget + (1.0 - budget) * part) / budget)


def _evident(failures: int, outcomes: int, share: float) -> bool:
    """Return whether so many failures, or more, have a probability below 1e-4 where each outcome fails with `share`.

    The binomial tail is at most its first term over 1 − r, with r the ratio of the next term to the first (Feller 1968,
    VI.3): a little on the safe side.
    """
    if failures <= share * outcomes:
        return False
    ratio = (outcomes - failures) / (failures + 1.0) * share / (1.0 - share)
    ways = lgamma(outcomes + 1.0) - lgamma(failures + 1.0) - lgamma(outcomes - failures + 1.0)
    term = exp(ways + failures * log(share) + (outcomes - failures) * log1p(-share))
    return ratio < 1.0 and term / (1.0 - ratio) < _CHANCE


class _Buckets:
    """Counts of outcomes and failures by spans of equal length, of which a bounded number is kept."""

    def __init__(self, width_s: int, kept: int) -> None:
        self._width_s, self._kept = width_s, kept
        self._counts: dict[int, tuple[int, int]] = {}

    def add(self, at: float, failed: bool) -> None:
        self._put(int(at // self._width_s), 1, int(failed))

    def merge(self, other: "_Buckets") -> None:
        for place, (count, failures) in other._counts.items():
            self._put(place, count, failures)

    def last(self, now: float, span_s: float) -> tuple[int, int]:
        """Return outcomes and failures of the last spans up to now, the one that has begun included."""
        end = int(now // self._width_s)
        begin = end - int(-(-span_s // self._width_s))
        found = [counts for place, counts in self._counts.items() if begin < place <= end]
        return sum(count for count, _ in found), sum(failures for _, failures in found)

    def _put(self, place: int, count: int, failures: int) -> None:
        before = self._counts.get(place, (0, 0))
        self._counts[place] = (before[0] + count, before[1] + failures)
        if len(self._counts) > self._kept:  # by number: a clock that is wrong costs one span, not all of them
            del self._counts[min(self._counts)]

"""Floor: does the rule, by the share of decisions that it keeps, earn more than what is in production?

The world may change after a version was released, and the best one of yesterday can be worse than no learning at all. Each
decision draws its arm by a coin of known probability, so each is a unit, in the order of their times, after the same wait.
The test has no end and looks back no farther than it has to (`betting.detect`), so what was long ago delays nothing. Its
limit is the mean number of units to a false alarm, at least, of a version exactly the margin below the rule.

The rule does not explore; whatever takes its place in production does. So what was drawn to explore counts in neither arm:
of ε-greedy draws each is taken for one with the probability with which it was, by a hash of its name.

This is of single decisions: it tells who earns more where what a decision earns is its reward (γ = 0). Where outcomes of one
arm arrive less often within the wait, what is known of the two is not comparable, and there is no alarm.
"""

import heapq
import math
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from steersman.core.errors import InvalidInput
from steersman.core.values import Decision, Outcome
from steersman.maths import betting
from steersman.stages.release.assignment import place
from steersman.stages.release.comparison import Metric
from steersman.stages.release.report import FEWEST

_MEMORY = 1_000
"""Units after which those before them count half, for what is known of scores: centre, spread and means."""


@dataclass(frozen=True, kw_only=True)
class FloorReport:
    """How a version compares with the rule's own share, of late.

    units, means, arrived: of the version and of the rule, newer ones with more weight: decisions with a known reward, what
    they earned, and their share of all; None before the first. margin: in units of the reward. evidence: that the version
    came to be worse by more than the margin, as a log; limit: at which it is sure. uneven: whether outcomes of the two
    arrive too differently to compare them.
    """

    version: str
    units: tuple[float, float]
    means: tuple[float | None, float | None]
    arrived: tuple[float | None, float | None]
    margin: float
    evidence: float
    limit: float
    uneven: bool

    @property
    def below(self) -> bool:
        """Whether the version is surely worse than the rule by more than the margin."""
        return self.evidence > self.limit and not self.uneven

    @property
    def sentence(self) -> str:
        """How it stands, in a sentence."""
        learned, rule = self.means
        if learned is None or rule is None:
            return "What it earns beside the rule's own share is not known yet."
        own, other = (f"{count:.0f}" for count in self.units)
        earned = f"Of late it earned {learned:.3g} a decision ({own}), the rule by its own share {rule:.3g} ({other})"
        if self.uneven:
            return f"{earned}; outcomes arrive too unevenly to compare them."
        way = 100.0 * min(self.evidence / self.limit, 1.0) if self.limit > 0.0 else 0.0
        worse = f"that it is worse by more than {self.margin:.3g}"
        return f"{earned}. Evidence {worse}: {way:.0f} % of what lets the rule take over."


@dataclass(kw_only=True, slots=True)
class _Open:
    """A decision that waits for its outcome. chance: that it fell to the version. revision: of the outcome so far."""

    learned: bool
    chance: float
    ends_at: float
    revision: int = -1
    reward: float | None = None


class Floor:
    """A fold over the rows of one agent, in log order: `decided`, `reported`, and `score` for what has waited.

    The same rows come to the same, if one looks at `score(time of the last row − lag_s)`.
    """

    def __init__(
        self,
        version: str,
        metric: Metric,
        *,
        run_length: int,
        wait_s: float,
        allowed: Callable[[Decision], int],
        arrival_margin: float = 0.05,
        lag_s: float = 1.0,
        capacity: int = 100_000,
    ) -> None:
        """Begin. run_length: mean units to a false alarm, at least. allowed: how many actions ε drew evenly from, if it did.

        Raises InvalidInput for a margin that is not in [0, 1) of the range, and for a run length below 1.
        """
        if run_length < 1:
            raise InvalidInput(f"floor: a run length of {run_length} units is none; it must be at least 1.")
        self._version, self._metric, self._limit = version, metric, math.log(run_length)
        self._wait_s, self._lag_s, self._capacity = wait_s, lag_s, capacity
        self._allowed, self._arrival_margin = allowed, arrival_margin
        self._open: dict[str, _Open] = {}
        self._ripening: list[tuple[float, str]] = []
        self._ripe: list[_Open] = []
        self._scale = betting.Scale.blank(())
        margin = metric.margin / (metric.high - metric.low)
        self._detector = betting.Detector.blank(side=betting.WORSE, margin=margin, shape=())
        self._evidence = -math.inf
        self._asked, self._units, self._totals, self._taken = np.zeros(2), np.zeros(2), np.zeros(2), 0
        self.left_out: Counter[str] = Counter()

    def decided(self, decision: Decision) -> None:
        """Take a decision in, if a coin drew whether the version, as champion or as challenger, or the rule made it."""
        self._ripen(decision.decided_at - self._lag_s)
        if decision.version != self._version or decision.mode != "live" or decision.arm == "safe":
            return
        rule_share = _rule_share(decision)
        if not 0.0 < rule_share < 1.0 or decision.propensity is None:
            self.left_out["not drawn"] += 1
            return
        allowed, learned = self._allowed(decision), decision.arm != "baseline"
        epsilon = decision.epsilon if allowed and decision.may_explore else 0.0
        explored = epsilon / (allowed * decision.propensity) if epsilon else 0.0
        drawn = (1.0 - rule_share) * (1.0 - epsilon)
        if not drawn or (learned and explored and place(self._version, decision.id) < explored):
            self.left_out["explored"] += 1
        elif len(self._open) >= self._capacity:
            self.left_out["too many at once"] += 1
        else:
            ends_at = decision.decided_at + self._wait_s
            self._open[decision.id] = _Open(learned=learned, chance=drawn / (drawn + rule_share), ends_at=ends_at)
            heapq.heappush(self._ripening, (ends_at, decision.id))

    def reported(self, outcome: Outcome) -> None:
        """Take an outcome in, if its decision still waits; of several the latest revision counts."""
        self._ripen(outcome.reported_at - self._lag_s)
        unit = self._open.get(outcome.decision_id)
        if unit is None or outcome.kind == "expired" or outcome.reported_at > unit.ends_at:
            return
        if outcome.revision > unit.revision:
            unit.revision = outcome.revision
            unit.reward = None if outcome.kind == "withdrawn" else outcome.reward

    def score(self, now: float) -> None:
        """Score the decisions whose wait ended before `now`; all rows up to then must be in."""
        self._ripen(now)
        ripe, self._ripe = self._ripe, []
        while ripe:
            room = _MEMORY - self._taken % _MEMORY
            self._take(ripe[:room])
            ripe = ripe[room:]

    def report(self) -> FloorReport:
        """Return how things stand."""
        width, low = self._metric.high - self._metric.low, self._metric.low
        means = [low + width * float(t / n) if n else None for t, n in zip(self._totals, self._units, strict=True)]
        arrived = [float(n / of) if of else None for n, of in zip(self._units, self._asked, strict=True)]
        return FloorReport(
            version=self._version,
            units=(float(self._units[0]), float(self._units[1])),
            means=(means[0], means[1]),
            arrived=(arrived[0], arrived[1]),
            margin=self._metric.margin,
            evidence=max(self._evidence, 0.0),
            limit=self._limit,
            uneven=self._uneven(),
        )

    def _uneven(self) -> bool:
        """Return whether outcomes arrive more differently than the margin, once both were asked often enough."""
        if self._asked.min() < FEWEST:
            return False
        shares = self._units / self._asked
        return bool(abs(shares[0] - shares[1]) > self._arrival_margin)

    def _ripen(self, now: float) -> None:
        """End the wait of the decisions whose time is over, in the order of their times."""
        while self._ripening and self._ripening[0][0] < now:
            self._ripe.append(self._open.pop(heapq.heappop(self._ripening)[1]))

    def _take(self, units: list[_Open]) -> None:
        scores = np.array([self._metric.scaled(each.reward) for each in units])
        learned, known = np.array([each.learned for each in units]), ~np.isnan(scores)
        seen = betting.Units(scores=scores, challenger=learned, share=np.array([each.chance for each in units]))
        self._evidence = float(betting.detect(self._detector, betting.payoffs(self._scale, seen))[-1])
        for arm, own in enumerate((learned, ~learned)):
            self._asked[arm] += own.sum()
            self._units[arm] += (own & known).sum()
            self._totals[arm] += scores[own & known].sum()
        self._taken += len(units)
        if self._taken % _MEMORY == 0:
            for sums in (self._scale.total, self._scale.count, self._scale.square, self._asked, self._units, self._totals):
                sums[...] *= 0.5


def _rule_share(decision: Decision) -> float:
    """Return the probability with which the rule's arm was drawn; 0 or 1 where nothing was."""
    if decision.arm == "baseline":
        return decision.arm_probability
    challenger = decision.challenger_share if decision.stage == "canary" else 0.0
    assigned = challenger if decision.arm == "challenger" else 1.0 - challenger
    return 1.0 - decision.arm_probability / assigned if assigned > 0.0 else 0.0

"""Floor: does the rule, by the share of decisions that it keeps, earn more than what is in production?

The world may change after a version was released, and the best one of yesterday can be worse than no learning at all. Each
decision draws its arm by a coin of known probability, so each is a unit, in the order of their times, after the same wait.
The test has no end and looks back no farther than it has to (`betting.detect`): a change is seen as soon in the second year
as on the first day. Its limit is the mean number of units to a false alarm, of a version exactly the margin below the rule.

The rule does not explore; whatever takes its place in production does. So what was drawn to explore counts in neither arm:
of ε-greedy draws each is taken for one with the probability with which it was, by a hash of its name.

This is of single decisions: it tells who earns more where what a decision earns is its reward (γ = 0).
"""

import heapq
import math
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from steersman.core.values import Decision, Outcome
from steersman.maths import betting
from steersman.stages.release.assignment import place
from steersman.stages.release.comparison import Metric

_MEMORY = 1_000
"""Units after which those before them count half, for what is known of scores: centre, spread and means."""


@dataclass(frozen=True, kw_only=True)
class FloorReport:
    """How a version compares with the rule's own share, of late.

    units, means: of the version and of the rule, newer ones with more weight; a mean is None before the first. margin: in
    units of the reward. evidence: the most that was held against "not worse than the rule by more than the margin", as the
    log of the units after which a version right at the margin would show as much; limit: log of those at which it is sure.
    """

    version: str
    units: tuple[float, float]
    means: tuple[float | None, float | None]
    margin: float
    evidence: float
    limit: float

    @property
    def below(self) -> bool:
        """Whether the version is surely worse than the rule by more than the margin."""
        return self.evidence > self.limit

    @property
    def share(self) -> float:
        """How far the evidence has come on the way to its limit, in [0, 1]."""
        return min(self.evidence / self.limit, 1.0) if self.limit > 0.0 else 0.0

    @property
    def sentence(self) -> str:
        """How it stands, in a sentence or two."""
        learned, rule = self.means
        if learned is None or rule is None:
            return "By the rule's own share: nothing is known yet of what both earn."
        earned = f"it earned {learned:.3g} ({self.units[0]:.0f} decisions), the rule {rule:.3g} ({self.units[1]:.0f})"
        against = f"the evidence against it is {100.0 * self.share:.0f} % of the way to what gives way to the rule"
        return f"By the rule's own share: of late {earned}; {against}."


@dataclass(kw_only=True, slots=True)
class _Open:
    """A decision that waits for its outcome. share: the probability of the version. revision: of the outcome so far."""

    learned: bool
    share: float
    revision: int = -1
    reward: float | None = None


class Floor:
    """A fold over the rows of one agent, in log order: `decided`, `reported`, and `score` for what has waited."""

    def __init__(
        self,
        version: str,
        metric: Metric,
        *,
        run_length: int,
        wait_s: float,
        allowed: Callable[[Decision], int],
        capacity: int = 100_000,
    ) -> None:
        """Begin. run_length: mean units to a false alarm. allowed: how many actions were, of a decision by ε-greedy; else 0.

        Raises InvalidInput for a metric without a margin in [0, 1) of its range.
        """
        self._version, self._metric, self._limit = version, metric, math.log(run_length)
        self._wait_s, self._allowed, self._capacity = wait_s, allowed, capacity
        self._open: dict[str, _Open] = {}
        self._ripening: list[tuple[float, str]] = []
        margin = metric.margin / (metric.high - metric.low)
        self._scale = betting.Scale.blank(())
        self._detector = betting.Detector.blank(side=betting.WORSE, margin=margin, shape=())
        self._peak = -math.inf
        self._units, self._totals, self._taken = np.zeros(2), np.zeros(2), 0
        self.left_out: Counter[str] = Counter()

    def decided(self, decision: Decision) -> None:
        """Take a decision in, if a coin drew whether the version or the rule made it."""
        if decision.version != self._version or decision.mode != "live" or decision.arm not in ("champion", "baseline"):
            return
        share = _rule_share(decision)
        if not 0.0 < share < 1.0 or decision.propensity is None:
            self.left_out["not drawn"] += 1
            return
        allowed = self._allowed(decision)
        epsilon = decision.epsilon if allowed and decision.may_explore else 0.0
        if decision.arm == "champion" and place(self._version, decision.id) < epsilon / (
            decision.propensity * allowed or 1.0
        ):
            self.left_out["explored"] += 1
        elif len(self._open) >= self._capacity:
            self.left_out["too many at once"] += 1
        else:
            learned = (1.0 - share) * (1.0 - epsilon)
            self._open[decision.id] = _Open(learned=decision.arm == "champion", share=learned / (learned + share))
            heapq.heappush(self._ripening, (decision.decided_at + self._wait_s, decision.id))

    def reported(self, outcome: Outcome) -> None:
        """Take an outcome in, if its decision still waits; of several the latest revision counts."""
        unit = self._open.get(outcome.decision_id)
        if unit is not None and outcome.kind != "expired" and outcome.revision > unit.revision:
            unit.revision = outcome.revision
            unit.reward = None if outcome.kind == "withdrawn" else outcome.reward

    def score(self, now: float) -> None:
        """Score the decisions whose wait ended before `now`; all rows up to then must be in."""
        ripe = []
        while self._ripening and self._ripening[0][0] < now:
            unit = self._open.pop(heapq.heappop(self._ripening)[1])
            if math.isnan(self._metric.scaled(unit.reward)):
                self.left_out["no reward"] += 1
            elif 0.0 < unit.share < 1.0:
                ripe.append(unit)
        while ripe:
            room = _MEMORY - self._taken % _MEMORY
            self._take(ripe[:room])
            ripe = ripe[room:]

    def report(self) -> FloorReport:
        """Return how things stand."""
        width, low = self._metric.high - self._metric.low, self._metric.low
        learned, rule = (low + width * float(t / n) if n else None for t, n in zip(self._totals, self._units, strict=True))
        return FloorReport(
            version=self._version,
            units=(float(self._units[0]), float(self._units[1])),
            means=(learned, rule),
            margin=self._metric.margin,
            evidence=max(self._peak, 0.0),
            limit=self._limit,
        )

    def _take(self, units: list[_Open]) -> None:
        scores = np.array([self._metric.scaled(each.reward) for each in units])
        learned = np.array([each.learned for each in units])
        seen = betting.Units(scores=scores, challenger=learned, share=np.array([each.share for each in units]))
        path = betting.detect(self._detector, betting.payoffs(self._scale, seen))
        self._peak = max(self._peak, float(path.max()))
        self._units += learned.sum(), (~learned).sum()
        self._totals += scores[learned].sum(), scores[~learned].sum()
        self._taken += len(units)
        if self._taken % _MEMORY == 0:
            for sums in (self._scale.total, self._scale.count, self._scale.square, self._units, self._totals):
                sums[...] *= 0.5


def _rule_share(decision: Decision) -> float:
    """Return the probability with which the rule's arm was drawn; 0 or 1 where nothing was."""
    if decision.arm == "baseline":
        return decision.arm_probability
    assigned = 1.0 - decision.challenger_share if decision.stage == "canary" else 1.0
    return 1.0 - decision.arm_probability / assigned

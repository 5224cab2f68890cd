"""From the log to units: each subject of a trial is scored once, the same time after its first decision.

A canary that delays its bad outcomes, or drops them, looks good; so both arms wait equally long, and what did not come by
then counts as missing. A unit keeps the arm and the share of its first decision: what it decides after the share was raised
is left out in both arms alike, and whoever was seen before is never a unit again. This is what keeps the probability of the
challenger what it is said to be.

Memory is bounded: units that wait by `capacity`, their decisions by `_MOST` each, and those that were seen by Bloom filters
of 2 MiB. A subject is never let in twice; a new one is taken for an old one in 0.2 % of cases at a million subjects and in
2 % at two million, by a hash that knows nothing of arms. What is left out is counted by its reason in `left_out`.
"""

import hashlib
import heapq
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from steersman.core.values import Decision, Outcome
from steersman.stages.release.comparison import Unit
from steersman.stages.release.report import UnitArm

OVERRIDE = "override"
_MOST = 1_000
"""Decisions of one unit that are followed; later ones count in neither arm."""
_BITS, _HASHES = 1 << 24, 4

Scores = dict[str, float | None]


@dataclass(kw_only=True, slots=True)
class _Open:
    """A unit in the making. outcomes: by decision, (revision, scores) of the latest in time; None was withdrawn."""

    subject: str
    arm: UnitArm
    share: float
    ends_at: float
    decisions: list[str] = field(default_factory=list)
    overridden: int = 0
    outcomes: dict[str, tuple[int, Scores | None]] = field(default_factory=dict)
    early: bool = False


class Cohorts:
    """A fold over the rows of one agent, in log order: `decided`, `reported`, and `due` for what has ripened.

    The same rows give the same units, however often and whenever one looks.
    """

    def __init__(self, release: str, *, metrics: Sequence[str], wait_s: float, capacity: int = 100_000) -> None:
        """Begin. metrics: "reward", "success", "cost", "false_block", "override", or names of measurements or components."""
        self._release, self._metrics, self._wait_s, self._capacity = release, tuple(metrics), wait_s, capacity
        self._units: dict[str, _Open] = {}
        self._by_decision: dict[str, _Open] = {}
        self._ripening: list[tuple[float, str]] = []
        self._seen, self._followed = _Seen(), _Seen()
        self.left_out: Counter[str] = Counter()

    @property
    def open(self) -> int:
        """How many units have begun and are not scored yet."""
        return len(self._units)

    def decided(self, decision: Decision) -> None:
        """Take a decision in, if the trial drew its arm."""
        if decision.release != self._release:
            return
        if decision.arm not in ("champion", "challenger"):
            self.left_out[decision.arm] += 1
        elif not 0.0 < decision.challenger_share < 1.0 or decision.arm_probability >= 1.0:
            self.left_out["not drawn"] += 1
        else:
            self._follow(decision, decision.arm)

    def reported(self, outcome: Outcome) -> Unit | None:
        """Take an outcome in; return its unit, with this outcome alone, if it is the unit's first.

        A later revision replaces an earlier one, if it was reported within the unit's wait.
        """
        unit = self._by_decision.get(outcome.decision_id)
        if outcome.kind == "expired" or (unit is None and not self._followed.has(outcome.decision_id)):
            return None
        if unit is None or outcome.reported_at > unit.ends_at:
            self.left_out["late"] += 1
            return None
        revision, _ = unit.outcomes.get(outcome.decision_id, (-1, None))
        if outcome.revision > revision:
            scores = None if outcome.kind == "withdrawn" else self._scores(outcome)
            unit.outcomes[outcome.decision_id] = (outcome.revision, scores)
        return self._first(unit, outcome)

    def due(self, now: float) -> Iterator[Unit]:
        """Yield the units whose wait ended before `now`, oldest first, then by subject; all rows up to then must be in."""
        while self._ripening and self._ripening[0][0] < now:
            unit = self._units.pop(heapq.heappop(self._ripening)[1])
            for each in unit.decisions:
                del self._by_decision[each]
            yield self._scored(unit)

    def _follow(self, decision: Decision, arm: UnitArm) -> None:
        unit = self._units.get(decision.subject)
        if unit is None or decision.decided_at > unit.ends_at:
            unit = self._begin(decision, arm)
        if unit is None:
            return
        if (arm, decision.challenger_share) != (unit.arm, unit.share):
            self.left_out["share changed"] += 1
        elif len(unit.decisions) >= _MOST:
            self.left_out["too many of one subject"] += 1
        else:
            unit.decisions.append(decision.id)
            unit.overridden += decision.overridden
            self._by_decision[decision.id] = unit
            self._followed.add(decision.id)

    def _begin(self, decision: Decision, arm: UnitArm) -> _Open | None:
        """Return a new unit, unless the subject was one before or there are too many."""
        if self._seen.has(decision.subject):
            self.left_out["seen before"] += 1
            return None
        self._seen.add(decision.subject)
        if len(self._units) >= self._capacity:
            self.left_out["too many at once"] += 1
            return None
        unit = _Open(
            subject=decision.subject, arm=arm, share=decision.challenger_share, ends_at=decision.decided_at + self._wait_s
        )
        self._units[decision.subject] = unit
        heapq.heappush(self._ripening, (unit.ends_at, decision.subject))
        return unit

    def _scores(self, outcome: Outcome) -> Scores:
        return {name: _score(outcome, name) for name in self._metrics if name != OVERRIDE}

    def _first(self, unit: _Open, outcome: Outcome) -> Unit | None:
        known = unit.outcomes[outcome.decision_id][1] or {}
        if unit.early or all(score is None for score in known.values()):
            return None
        unit.early = True
        return Unit(arm=unit.arm, share=unit.share, scores=known | self._overrides(unit))

    def _scored(self, unit: _Open) -> Unit:
        known = [scores for _, scores in unit.outcomes.values() if scores is not None]
        means = {name: _mean([each[name] for each in known]) for name in self._metrics if name != OVERRIDE}
        return Unit(arm=unit.arm, share=unit.share, scores=means | self._overrides(unit), arrived=bool(known))

    def _overrides(self, unit: _Open) -> Scores:
        return {OVERRIDE: unit.overridden / len(unit.decisions)} if OVERRIDE in self._metrics else {}


class _Seen:
    """A set of strings that may take a new one for an old one, and never the other way round; Bloom (1970)."""

    def __init__(self) -> None:
        self._bits = bytearray(_BITS // 8)

    def has(self, name: str) -> bool:
        return all(self._bits[place >> 3] & (1 << (place & 7)) for place in _places(name))

    def add(self, name: str) -> None:
        for place in _places(name):
            self._bits[place >> 3] |= 1 << (place & 7)


def _places(name: str) -> list[int]:
    digest = hashlib.blake2b(name.encode("utf-8", "surrogatepass"), digest_size=4 * _HASHES).digest()
    return [int.from_bytes(digest[at : at + 4]) % _BITS for at in range(0, len(digest), 4)]


def _score(outcome: Outcome, name: str) -> float | None:
    """Return one score of an outcome; None where it does not tell."""
    named = {"reward": outcome.reward, "success": outcome.success, "cost": outcome.cost, "false_block": outcome.false_block}
    value = named[name] if name in named else outcome.measurements.get(name, outcome.components.get(name))
    return None if value is None else float(value)


def _mean(values: Sequence[float | None]) -> float | None:
    """Return the mean of the known values, which rounding takes nowhere beyond them."""
    known = [each for each in values if each is not None]
    return min(max(sum(known) / len(known), min(known)), max(known)) if known else None

"""From the log to units: a subject of a trial is scored the same time after its first decision, and once more in each round.

A canary that delays its bad outcomes, or drops them, looks good; so both arms wait equally long, and what did not come by
then counts as missing. A unit keeps the arm and the share of its first decision: what it decides after the share was raised
is left out in both arms alike. This is what keeps the probability of the challenger what it is said to be.

Whoever comes for the first time is a unit of round 0. Who comes back is a unit of round 1, 2, … once in each: rounds last
`round_s`, counted from the trial's first decision. A subject has its turn at a moment of the round that a hash picks, which
knows nothing of arms, and is a unit with its first decision from then on. So the same few subjects are looked at all day
long, and not in a round's first minutes alone; one that comes once in a round has its turn before it in half of them.

What is ripe is told by the rows themselves: a unit is scored with the first row that is later than its wait by more than
`lag_s`. An outcome that was reported in time but is read behind such a row counts as late: its unit lacks it, in `arrived`
as in its scores, and all that is kept of it is its count in `left_out`. It is so after a restart too, from the same rows.

Memory is bounded: units that wait by `capacity`, their decisions by `_MOST` each, and those that were seen by Bloom filters
of 2 MiB. Nobody is a new subject twice, nor twice a unit of a round; a new one is taken for an old one in 0.2 % of cases at
a million subjects and in 2 % at two million, by a hash that knows nothing of arms. What is left out is counted by its
reason in `left_out`.
"""

import hashlib
import heapq
import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from steersman.core.values import Decision, Outcome
from steersman.stages.release.comparison import Unit
from steersman.stages.release.report import UnitArm

OVERRIDE = "override"
_MOST = 1_000
"""Decisions of one unit that are followed; later ones count in neither arm."""
_WAITS = 4
"""Waits that a round lasts at least."""
_BITS, _HASHES = 1 << 24, 4

Scores = dict[str, float | None]


@dataclass(kw_only=True, slots=True)
class _Open:
    """A unit in the making. outcomes: by decision, (revision, scores) of the latest in time; None was withdrawn."""

    subject: str
    round: int
    arm: UnitArm
    share: float
    ends_at: float
    decisions: list[str] = field(default_factory=list)
    overridden: int = 0
    outcomes: dict[str, tuple[int, Scores | None]] = field(default_factory=dict)
    early: bool = False


class Cohorts:
    """A fold over the rows of one agent, in log order: `decided`, `reported`, and `due` for what has ripened.

    The same rows give the same units, however often one looks, if one looks at `due(time of the last row − lag_s)`.
    """

    def __init__(
        self,
        release: str,
        *,
        metrics: Sequence[str],
        wait_s: float,
        capacity: int = 100_000,
        round_s: float = 86_400.0,
        lag_s: float = 1.0,
    ) -> None:
        """Begin. metrics: "reward", "success", "cost", "false_block", "override", or names of measurements or components.

        round_s: how long a round of returning subjects lasts; four waits at least. lag_s: how late a row may be read.
        """
        self._release, self._metrics, self._wait_s, self._capacity = release, tuple(metrics), wait_s, capacity
        self._round_s, self._lag_s = max(round_s, _WAITS * wait_s), lag_s
        self._units: dict[str, _Open] = {}
        self._by_decision: dict[str, _Open] = {}
        self._ripening: list[tuple[float, str, int, _Open]] = []
        self._ripe: list[Unit] = []
        self._seen, self._followed, self._returned = _Seen(), _Seen(), _Seen()
        self._began, self._round = math.inf, 1
        self.left_out: Counter[str] = Counter()

    @property
    def open(self) -> int:
        """How many units have begun and are not scored yet."""
        return len(self._ripening)

    def decided(self, decision: Decision) -> None:
        """Take a decision in, if the trial drew its arm."""
        self._ripen(decision.decided_at - self._lag_s)
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
        self._ripen(outcome.reported_at - self._lag_s)
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
        self._ripen(now)
        ripe, self._ripe = self._ripe, []
        yield from ripe

    def _ripen(self, now: float) -> None:
        """Score the units whose wait ended before `now`: who waits, and for how many there is room, hangs on no look."""
        while self._ripening and self._ripening[0][0] < now:
            *_, unit = heapq.heappop(self._ripening)
            if self._units.get(unit.subject) is unit:
                del self._units[unit.subject]
            for each in unit.decisions:
                del self._by_decision[each]
            self._ripe.append(self._scored(unit))

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
        """Return a new unit, unless its subject was one in this round, or has not its turn, or there are too many."""
        number = self._admitted(decision)
        if number is None:
            return None
        if len(self._ripening) >= self._capacity:
            self.left_out["too many at once"] += 1
            return None
        ends_at = decision.decided_at + self._wait_s
        unit = _Open(subject=decision.subject, round=number, arm=arm, share=decision.challenger_share, ends_at=ends_at)
        self._units[decision.subject] = unit
        heapq.heappush(self._ripening, (ends_at, decision.subject, number, unit))
        return unit

    def _admitted(self, decision: Decision) -> int | None:
        """Return the round in which a subject is a unit from now on; None if in none. It is marked as seen in it."""
        if not self._seen.has(decision.subject):
            self._began = min(self._began, decision.decided_at)
            self._seen.add(decision.subject)
            return 0
        since = max(decision.decided_at - self._began, 0.0)
        number = 1 + int(since // self._round_s)
        if number > self._round:
            self._round, self._returned = number, _Seen()
        if number < self._round or self._returned.has(decision.subject):
            self.left_out["seen before"] += 1
            return None
        turn = _turn(f"{self._release}/{number}/{decision.subject}") * (self._round_s - self._wait_s)
        if since - (number - 1) * self._round_s < turn:
            self.left_out["not its turn"] += 1
            return None
        self._returned.add(decision.subject)
        return number

    def _scores(self, outcome: Outcome) -> Scores:
        return {name: _score(outcome, name) for name in self._metrics if name != OVERRIDE}

    def _first(self, unit: _Open, outcome: Outcome) -> Unit | None:
        known = unit.outcomes[outcome.decision_id][1] or {}
        if unit.early or all(score is None for score in known.values()):
            return None
        unit.early = True
        return Unit(arm=unit.arm, share=unit.share, scores=known | self._overrides(unit), round=unit.round)

    def _scored(self, unit: _Open) -> Unit:
        known = [scores for _, scores in unit.outcomes.values() if scores is not None]
        means = {name: _mean([each[name] for each in known]) for name in self._metrics if name != OVERRIDE}
        arrived = len(known) / len(unit.decisions)
        return Unit(arm=unit.arm, share=unit.share, scores=means | self._overrides(unit), arrived=arrived, round=unit.round)

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


def _turn(name: str) -> float:
    """Return where in [0, 1) a name lies: evenly spread, and not to be told from where its subject lies between the arms."""
    return int.from_bytes(hashlib.blake2b(name.encode("utf-8", "surrogatepass"), digest_size=8).digest()) / 2**64


def _score(outcome: Outcome, name: str) -> float | None:
    """Return one score of an outcome; None where it does not tell."""
    named = {"reward": outcome.reward, "success": outcome.success, "cost": outcome.cost, "false_block": outcome.false_block}
    value = named[name] if name in named else outcome.measurements.get(name, outcome.components.get(name))
    return None if value is None else float(value)


def _mean(values: Sequence[float | None]) -> float | None:
    """Return the mean of the known values, which rounding takes nowhere beyond them."""
    known = [each for each in values if each is not None]
    return min(max(sum(known) / len(known), min(known)), max(known)) if known else None

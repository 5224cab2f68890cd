"""Rounds: tests of harm that begin anew, for subjects that come back."""

import math
from dataclasses import dataclass

import numpy as np

from steersman.maths import betting
from steersman.maths.betting import Flags, Floats
from steersman.stages.release.report import FEWEST, handicap


@dataclass(frozen=True, kw_only=True, eq=False)
class Harm:
    """Tests of "worse by more than the margin" in k metrics side by side; the arrays are changed in place by `take`.

    round: 0 for subjects that came for the first time. margins: of scores in [0, 1]. total: sum of the payoffs. known:
    scores, the challenger's and the champion's, (2, k). peak: log of the strongest evidence so far. Other shapes: (k,).
    """

    round: int
    margins: Floats
    scale: betting.Scale
    wager: betting.Wager
    total: Floats
    known: Floats
    peak: Floats

    @classmethod
    def blank(cls, number: int, margins: Floats) -> "Harm":
        """Return the tests before any unit; margins: (k,), of scores in [0, 1]."""
        shape = margins.shape
        return cls(
            round=number,
            margins=margins,
            scale=betting.Scale.blank(shape),
            wager=betting.Wager.blank(side=betting.WORSE, margin=margins, shape=shape),
            total=np.zeros(shape),
            known=np.zeros((2, *shape)),
            peak=np.zeros(shape),
        )

    def take(self, units: betting.Units) -> betting.Payoffs:
        """Let units (n, k) in, in order; return their payoffs."""
        payoffs = betting.payoffs(self.scale, units)
        self.peak[...] = np.maximum(self.peak, betting.observe(self.wager, payoffs).max(axis=0))
        self.total[...] += payoffs.x.sum(axis=0)
        arms = np.stack([units.challenger, ~units.challenger])
        self.known[...] += (arms & payoffs.known).sum(axis=1)
        return payoffs

    @property
    def enough(self) -> Flags:
        """Whether both arms have scores enough to go by their difference, (k,)."""
        result: Flags = self.known.min(axis=0) >= FEWEST
        return result

    @property
    def beyond(self) -> Flags:
        """Whether the challenger is worse than the margin by the difference itself, with scores enough, (k,)."""
        result: Flags = self.enough & (self.difference < -self.margins)
        return result

    @property
    def difference(self) -> Floats:
        """Challenger less champion, of scores in [0, 1]: the mean payoff, (k,); NaN where there is none."""
        count = self.known.sum(axis=0)
        return np.where(count > 0, self.total / np.maximum(count, 1.0), math.nan)


class Rounds:
    """The round under way, and what is known of those that are over. Memory does not grow with them."""

    def __init__(self, margins: Floats) -> None:
        """Begin. margins: (k,), of scores in [0, 1]."""
        self._margins = margins
        self._now: Harm | None = None
        self._before: Harm | None = None
        self._peak = np.full(margins.shape, -math.inf)

    @property
    def number(self) -> int:
        """The round under way; 0 before anybody came back."""
        return 0 if self._now is None else self._now.round

    @property
    def peak(self) -> Floats:
        """Log of the strongest evidence of any round, less its handicap: to be held against the limits of first-timers."""
        return self._peak

    def take(self, number: int, units: betting.Units) -> None:
        """Let units (n, k) of a round in; a later round takes the place of the one under way.

        Units of a round that is over are left out: who was slow in it would be looked at twice as late as the others.
        """
        if number > self.number:
            if self._now is not None and self._now.enough[-1]:
                self._before = self._now
            self._now = Harm.blank(number, self._margins)
        if self._now is not None and number == self.number:
            self._now.take(units)
            self._peak = np.maximum(self._peak, self._now.peak - handicap(number))

    @property
    def shown(self) -> Harm | None:
        """The round to go by: the one under way, once both arms have units enough in it, and until then the one before."""
        if self._now is None or self._now.enough[-1] or self._before is None:
            return self._now
        return self._before

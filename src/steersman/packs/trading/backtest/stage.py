"""The stage that all arms play on, and how the learned one goes through it: practise on what is past, play what comes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from steersman.core.errors import InvalidInput
from steersman.core.ports import Progress
from steersman.packs.trading.backtest.arms import Arm, Exploring, Learned, Rule, fixed, trials
from steersman.packs.trading.backtest.boosters import forecasts
from steersman.packs.trading.backtest.data import Market
from steersman.packs.trading.backtest.played import Played, bought_and_held, left_alone
from steersman.packs.trading.backtest.report import HOLD, NOTHING, RULE
from steersman.packs.trading.backtest.seen import Seen
from steersman.packs.trading.backtest.signals import Signals, signals
from steersman.packs.trading.backtest.simulation import Simulation, Terms
from steersman.packs.trading.backtest.walk import Fold, Walk

Floats = NDArray[np.float64]

EXPLORED = 0.5
"""Share of actions that are drawn at practice: half of what is tried is new, half is what would be done."""


@dataclass(frozen=True, kw_only=True)
class Practice:
    """How often the agents go over bars that are past, and the seed of what they try there."""

    epochs: int = 4
    seed: int = 0

    def __post_init__(self) -> None:
        if self.epochs < 1:
            raise InvalidInput(f"--epochs needs at least 1, got {self.epochs}.")
        if self.seed < 0:
            raise InvalidInput(f"--seed needs at least 0, got {self.seed}.")


@dataclass(frozen=True, kw_only=True)
class Stage:
    """All that arms have in common: the market, what is said and seen of it, and the terms."""

    market: Market
    signals: Signals
    seen: Seen
    terms: Terms

    def simulation(self, arm: Arm) -> Simulation:
        """Return a fresh account for an arm."""
        return Simulation(self.market, self.signals, self.seen, arm, self.terms)

    def others(self, first: int) -> dict[str, Played]:
        """Return the arms that learn nothing, played from a bar on."""
        last = len(self.market)
        return {
            RULE: self.simulation(Rule()).run(first, last).played,
            HOLD: bought_and_held(self.market, self.terms.costs, first),
            NOTHING: left_alone(self.market, first),
        }

    def tried(self, first: int, progress: Progress) -> dict[str, Floats]:
        """Return the returns of each choice of strategy, model and weight, always taken, from a bar on."""
        choices, found = trials(list(self.signals.forecasts)), {}
        progress.phase("playing each choice as if it were always taken", len(choices))
        for choice in choices:
            found[" · ".join(choice)] = self.simulation(fixed(*choice)).run(first, len(self.market)).played.returns
        progress.step("each of them", len(choices))
        return found


def staged(market: Market, walk: Walk, terms: Terms, progress: Progress) -> Stage:
    """Return the stage of a market: models trained for each stretch on what was past, and the signals of all bars."""
    stretches = walk.stretches(len(market))
    progress.phase("training models on what was past", len(stretches))
    said = signals(market, forecasts(market, stretches, progress.step))
    return Stage(market=market, signals=said, seen=Seen(market), terms=terms)


def walked(stage: Stage, folds: Sequence[Fold], agents: Mapping[str, Any], practice: Practice, progress: Progress) -> Played:
    """Return the learned arm: before each test the agents practise on what is past, and in the test nothing is learned.

    The tests follow each other on one account, as they would have.
    """
    rng = np.random.default_rng([practice.seed, 11])
    test = stage.simulation(Learned(agents))
    progress.phase("walking forward: practise, then play what comes next", len(folds))
    for fold in folds:
        for _ in range(practice.epochs):
            stage.simulation(Exploring(agents, rng, share=EXPLORED)).run(fold.train_first, fold.train_last)
        test.run(fold.first, fold.last)
        progress.step(f"{stage.market.day(fold.first)} to {stage.market.day(fold.last - 1)}: 1 is now {test.equity:.3f}")
    return test.played

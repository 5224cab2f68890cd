"""Worlds of the two agents: one position each, in a market that switches between two ways, so that it is known what is best.

An episode is one signal: the agent decides, the other agent goes by its rule, and the position is played to its end with the
fills, costs and stops of a backtest. No model forecasts
anything there, so the choice among them changes nothing.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from steersman.core.actions import Action
from steersman.core.agent import AgentSpec
from steersman.core.state import StateValues
from steersman.core.world import Step, World
from steersman.packs.trading.agents import meta_strategy, position_sizing
from steersman.packs.trading.backtest.arms import Chosen, Rule
from steersman.packs.trading.backtest.seen import Seen
from steersman.packs.trading.backtest.signals import signals
from steersman.packs.trading.backtest.simulation import Simulation, Terms
from steersman.packs.trading.backtest.synthetic import switching
from steersman.packs.trading.models import MODELS

BARS, _FIRST = 1_000, 100
"""Bars of the market, and the first at which an episode can start: by then all features are known."""
_UNOPENED = {"pnl_pct": 0.0, "max_drawdown_pct": 0.0, "sharpe": 0.0, "alignment": 0.0}


class _Asked(Exception):
    """The agent is asked: what follows is up to its answer."""

    def __init__(self, state: StateValues) -> None:
        super().__init__("asked")
        self.state = state


class _Asking:
    """Stops the simulation where the agent is asked, or gives its answer; the other agent goes by its rule."""

    learns = True

    def __init__(self, asked: str, answer: Action | None) -> None:
        self.measured: Mapping[str, float] | None = None
        self._asked, self._answer, self._rule = asked, answer, Rule()

    def choose(self, agent: str, state: StateValues) -> Chosen | None:
        """Return the answer, or the rule's; where the rule opens nothing, that is all there is to measure."""
        if agent == self._asked:
            if self._answer is None:
                raise _Asked(state)
            return Chosen(agent=agent, action=self._answer)
        chosen = self._rule.choose(agent, state)
        if chosen is None:
            self.measured = _UNOPENED
        return chosen

    def settle(self, chosen: Chosen, measurements: Mapping[str, float]) -> None:
        """Keep what came of the answer."""
        if chosen.agent == self._asked and self.measured is None:
            self.measured = measurements


class PositionWorld(World):
    """One decision about one position. seed: of the market, which stays the same in all episodes."""

    def __init__(self, spec: AgentSpec, *, seed: int = 0) -> None:
        market = switching(1, BARS, seed=seed)
        silent: dict[str, NDArray[np.float64]] = {name: np.full(market.close.shape, np.nan) for name in MODELS}
        self.spec, self._market, self._terms = spec, market, Terms()
        self._signals, self._seen = signals(market, silent), Seen(market)
        last = BARS - self._terms.hold_bars - 3  # a position that is opened there is over before the bars are
        self._starts = _FIRST + np.flatnonzero(self._signals.any_side[_FIRST:last, 0])

    def reset(self, rng: np.random.Generator) -> StateValues:
        """Draw a signal about which the agent is asked."""
        while True:
            self._bar = int(rng.choice(self._starts))
            try:
                self._simulation(_Asking(self.spec.name, None)).run(self._bar, self._bar + 1)
            except _Asked as asked:
                self._state = asked.state
                return asked.state

    def step(self, action: Action) -> Step:
        """Play the position to its end, and measure what came of it; nothing follows, so the state stays."""
        arm, bar = _Asking(self.spec.name, action), self._bar
        simulation = self._simulation(arm)
        while arm.measured is None:
            simulation.run(bar, bar + 1)
            bar += 1
        return Step(state=self._state, measurements=arm.measured, terminated=True)

    def _simulation(self, arm: _Asking) -> Simulation:
        return Simulation(self._market, self._signals, self._seen, arm, self._terms)


def meta_strategy_world(*, seed: int = 0) -> PositionWorld:
    """Return the world of trading/meta-strategy."""
    return PositionWorld(meta_strategy.agent, seed=seed)


def position_sizing_world(*, seed: int = 0) -> PositionWorld:
    """Return the world of trading/position-sizing."""
    return PositionWorld(position_sizing.agent, seed=seed)

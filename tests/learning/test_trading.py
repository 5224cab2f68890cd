"""Both trading agents find the best action of each state of a made-up market that they know nothing of, noise and all."""

import itertools
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from steersman import Steersman
from steersman.core.agent import AgentSpec
from steersman.core.state import Scalar
from steersman.packs.trading.agents import meta_strategy, position_sizing

DECISIONS = 9_000
NOISE_PCT = 1.0
LIVE = {"influence": {"mode": "live", "confidence": 0.0, "stale_s": 0.0, "cooldown_s": 0.0}}
"""The learned policy decides; the limits of the pack are for markets in which one can lose something."""
CAN_RUN = {"model": ("xgb", "lgbm")}

META_STATES: list[dict[str, Scalar]] = [
    {"regime": r, "volatility": v, "pressure": 0.0, "confidence": c, "win_rate": 0.5, "account_health": 1.0}
    for r, v, c in itertools.product(("trend", "range", "breakout"), (0.005, 0.025), (0.5, 0.9))
]
SIZING_STATES: list[dict[str, Scalar]] = [
    {**position_sizing.PROBE, "account_mode": "aggressive-small", "confidence": c, "exposure": e, "win_rate": w}
    for c, e, w in itertools.product((0.5, 0.9), (0.1, 0.4), (0.3, 0.5, 0.7))
]


class Market:
    """What each choice earns in each state, in per cent; the best one of a dimension leads by half a per cent at least."""

    def __init__(self, spec: AgentSpec, states: list[dict[str, Scalar]], rng: np.random.Generator) -> None:
        self.states = states
        self._worth = [{name: _worth(self.choices(spec, name), rng) for name in spec.actions.dimensions} for _ in states]
        self._rng = rng

    @staticmethod
    def choices(spec: AgentSpec, dimension: str) -> tuple[Any, ...]:
        """Return the choices of a dimension that can be made."""
        return CAN_RUN.get(dimension, spec.actions.dimensions[dimension])

    def earned(self, state: int, action: Mapping[str, Any]) -> float:
        """Return what a position makes in %, noise included."""
        worth = sum(self._worth[state][name][choice] for name, choice in action.items())
        return worth + float(self._rng.normal(0.0, NOISE_PCT))

    def best(self, state: int) -> dict[str, Any]:
        """Return the best choice of each dimension."""
        return {name: max(worth, key=worth.__getitem__) for name, worth in self._worth[state].items()}


def _worth(choices: tuple[Any, ...], rng: np.random.Generator) -> dict[Any, float]:
    values = rng.uniform(-1.0, 0.5, len(choices))
    values[rng.integers(len(choices))] = 1.0
    return dict(zip(choices, values.tolist(), strict=True))


def measured(spec: AgentSpec, earned: float, action: Mapping[str, Any]) -> dict[str, float]:
    """Return the measurements of a position that differs from others in what it earned alone."""
    if spec is meta_strategy.agent:
        return {"pnl_pct": earned, "max_drawdown_pct": 0.5, "sharpe": 0.0, "alignment": 0.5}
    return {"pnl_pct": earned, "leverage": float(action["leverage"]), "exposure": 0.1, "volatility": 0.02}


def agreement(spec: AgentSpec, states: list[dict[str, Scalar]], seed: int, decisions: int = DECISIONS) -> float:
    """Return in which share of the states the best action by what was learned is the best one."""
    rng = np.random.default_rng(seed)
    market = Market(spec, states, rng)
    with Steersman.open("memory:", settings=LIVE, seed=seed) as steersman:
        agent = steersman.agent(spec)
        for state in rng.integers(len(states), size=decisions).tolist():
            decision = agent.decide(states[state])
            agent.report(decision, measured(spec, market.earned(state, decision.action), decision.action))
        found = [agent.values(state) for state in states]
    return sum(_greedy(spec, values) == market.best(state) for state, values in enumerate(found)) / len(states)


def _greedy(spec: AgentSpec, values: Mapping[str, Mapping[Any, Any]]) -> dict[str, Any]:
    found = {}
    for name, row in values.items():
        worth = {choice: row[choice].value for choice in Market.choices(spec, name)}
        found[name] = max(worth, key=worth.__getitem__)
    return found


@pytest.mark.parametrize(
    ("spec", "states"), [(meta_strategy.agent, META_STATES), (position_sizing.agent, SIZING_STATES)], ids=["meta", "sizing"]
)
def test_the_best_action_of_each_state_is_found(spec: AgentSpec, states: list[dict[str, Scalar]]) -> None:
    assert agreement(spec, states, seed=0) >= 0.95


def test_without_learning_it_would_not_be() -> None:
    """The check can fail: after a few decisions in each state hardly any best action is known."""
    assert agreement(meta_strategy.agent, META_STATES, 0, decisions=60) < 0.5

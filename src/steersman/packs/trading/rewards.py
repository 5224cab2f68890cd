"""What a closed position was worth to the two agents: the terms of their rewards, in per cent throughout."""

import math
from collections.abc import Mapping, Sequence

import numpy as np

from steersman.core.reward import Component, Measurement, Measurements, Reward, Score

TRADES = 20
"""Trades that a win rate and a Sharpe ratio look back on."""
PNL_PCT = 20.0
"""Profit or loss beyond which a position teaches no more: one lucky trade must not outweigh a hundred."""
_SAME = 1e-9


class Summed(Reward):
    """A reward that is the weighted sum of its components, where `Reward` is their weighted mean."""

    def score(self, measurements: Measurements) -> Score:
        """Return Σ wᵢ·clamp(componentᵢ) over the components that apply. Raises as `Reward.score` does."""
        mean = super().score(measurements)
        weights = sum(each.weight for each in self.components if each.name in mean.components)
        return Score(reward=self._clamp(mean.reward * weights), components=mean.components)


def win_rate(returns: Sequence[float]) -> float:
    """Return the share of the last 20 trades that earned something; 0.5 where there are fewer."""
    return 0.5 if len(returns) < TRADES else sum(each > 0.0 for each in returns[-TRADES:]) / TRADES


def sharpe(returns: Sequence[float], risk_free: float = 0.0) -> float:
    """Return tanh((mean − rf)/σ) of the last 20 trades, in (−1, 1); 0 where there are fewer, ±1 where all are equal.

    returns, risk_free: per trade, both in the same unit. σ is that of a sample. Give the trades before the one that is
    judged: with its own return in them, a trade would be paid twice.
    """
    if len(returns) < TRADES:
        return 0.0
    last = np.asarray(returns[-TRADES:], dtype=np.float64)
    excess, spread = float(last.mean()) - risk_free, float(last.std(ddof=1))
    if spread <= _SAME * (1.0 + abs(excess)):
        return 0.0 if abs(excess) <= _SAME else math.copysign(1.0, excess)
    return math.tanh(excess / spread)


def alignment(confidence: float, aligned: bool) -> float:
    """Return +confidence where the market went the way that the signal said, else −0.5·confidence."""
    return confidence if aligned else -0.5 * confidence


def risk(leverage: float, exposure: float) -> float:
    """Return 0.3·(leverage − 5)⁺ + 2·(exposure − 0.5)⁺, at most 5.

    exposure: share of the equity that is margin, this position included.
    """
    return min(0.3 * max(leverage - 5.0, 0.0) + 2.0 * max(exposure - 0.5, 0.0), 5.0)


def volatility_fit(volatility: float) -> float:
    """Return +0.5 for 1–3 % a bar, −0.2 below, and −0.5·min((v − 0.03)/0.03, 2) above."""
    if volatility < 0.01:
        return -0.2
    return 0.5 if volatility <= 0.03 else -0.5 * min((volatility - 0.03) / 0.03, 2.0)


META = Summed(
    measurements=(
        Measurement(name="pnl_pct", unit="% of the position"),
        Measurement(name="max_drawdown_pct", unit="% of the position", low=0.0),
        Measurement(name="sharpe", low=-1.0, high=1.0),
        Measurement(name="alignment", low=-0.5, high=1.0),
    ),
    components=(
        Component(name="pnl", low=-PNL_PCT, high=PNL_PCT, weight=1.0, value=lambda m: m["pnl_pct"]),
        Component(name="drawdown", low=-PNL_PCT, high=0.0, weight=0.5, value=lambda m: -m["max_drawdown_pct"]),
        Component(name="sharpe", low=-1.0, high=1.0, weight=0.2, value=lambda m: m["sharpe"]),
        Component(name="alignment", low=-0.5, high=1.0, weight=0.15, value=lambda m: m["alignment"]),
    ),
    low=-30.275,
    high=20.35,
)
"""Profit % − 0.5·largest drawdown % + 0.2·Sharpe ratio of the trades before + 0.15·alignment."""

SIZING = Summed(
    measurements=(
        Measurement(name="pnl_pct", unit="% of the account's equity"),
        Measurement(name="leverage", low=1.0, high=7.0),
        Measurement(name="exposure", unit="share of the equity", low=0.0),
        Measurement(name="volatility", unit="per bar", low=0.0),
    ),
    components=(
        Component(name="pnl", low=-PNL_PCT, high=PNL_PCT, weight=1.0, value=lambda m: m["pnl_pct"]),
        Component(name="risk", low=-5.0, high=0.0, weight=0.4, value=lambda m: -risk(m["leverage"], m["exposure"])),
        Component(name="fit", low=-1.0, high=0.5, weight=0.1, value=lambda m: volatility_fit(m["volatility"])),
    ),
    low=-22.1,
    high=20.05,
)
"""Profit % − 0.4·risk + 0.1·fit of the volatility."""


def bandit(dimensions: int) -> dict[str, Mapping[str, object]]:
    """Return the settings of an agent whose decisions stand for themselves: one for each position, ended by its close.

    A value begins as the mean of what was seen (each dimension takes its part of an error) and ends by forgetting slowly,
    with a step of 0.01: markets change. The rule decides until somebody lets the learned policy (`steersman mode`).
    """
    return {
        "influence": {"mode": "off", "confidence": 0.65, "stale_s": 600.0, "cooldown_s": 30.0},
        "learning": {"gamma": 0.0, "alpha": 1.0 / dimensions, "alpha_schedule": "visits", "alpha_floor": 0.01},
        "exploration": {"epsilon": 0.3, "decay": 0.9997, "floor": 0.05},
        "serving": {"cold_visits": 5},
        "episodes": {"max_steps": 1, "reward_wait_s": 2_592_000.0, "accept_until_s": 7_776_000.0},
    }

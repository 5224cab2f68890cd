"""trading/position-sizing: how large is a position, and with what leverage?

It is asked when the order is made, and never after it was filled. A contextual bandit: one decision for each position, paid
when that is closed. Nothing is opened on a decision of arm "safe".
"""

from steersman.core.actions import ActionSpace
from steersman.core.agent import AgentSpec
from steersman.core.kinship import Kinship
from steersman.core.state import Category, Number, Scalar, StateSchema, StateValues
from steersman.packs.trading.account import MODES, UNIT_SHARE
from steersman.packs.trading.limits import DRAWDOWN_END, LEVERAGES, SIZES, guards, loss_at_stop, mode
from steersman.packs.trading.rewards import SIZING, bandit

STATE = StateSchema(
    name="trading-position-sizing",
    fields=(
        Number(name="confidence", low=0.0, high=1.0, edges=(0.45, 0.55, 0.70, 0.85), outside="refuse"),
        Number(name="exposure", low=0.0, high=1.0, edges=(0.3, 0.6, 0.8), unit="share of the equity", outside="refuse"),
        Number(name="win_rate", low=0.0, high=1.0, edges=(0.45, 0.60)),
        Number(name="volatility", low=0.0, high=1.0, edges=(0.01, 0.02, 0.03), unit="per bar"),
        Number(name="equity_slope", low=-1.0, high=1.0, edges=(0.0,), unit="of the mean, a point"),
        Category(name="account_mode", options=tuple(MODES)),
        Number(name="drawdown", low=0.0, high=DRAWDOWN_END, unit="share of the peak", outside="refuse"),
        Number(name="atr", low=0.0, high=0.1, unit="share of the price", outside="refuse"),
    ),
)
"""Of drawdown and range 0.1 stands for all beyond. What guards go by is refused outside its bounds, and never clamped."""
ACTIONS = ActionSpace({"size": SIZES, "leverage": LEVERAGES})
"""Index 7·size + (leverage − 1)."""


def baseline(state: StateValues) -> dict[str, float]:
    """The fixed rule: no leverage, and the largest size that risks half of what the account's mode allows."""
    free, most = 1.0 - float(state["exposure"]), mode(state).risk / 2.0
    fits = [each for each in SIZES if each * UNIT_SHARE <= free and loss_at_stop(each, 1.0, float(state["atr"])) <= most]
    return {"size": max(fits, default=SIZES[0]), "leverage": 1}


PROBE: dict[str, Scalar] = {
    "confidence": 0.7,
    "exposure": 0.0,
    "win_rate": 0.5,
    "volatility": 0.01,
    "equity_slope": 0.0,
    "account_mode": "normal",
    "drawdown": 0.0,
    "atr": 0.004,
}


def _shared(state: StateValues) -> dict[str, float]:
    return {"risk": min(float(state["volatility"]) / 0.06, 1.0), "confidence": float(state["confidence"])}


agent = AgentSpec(
    name="trading/position-sizing",
    description="Decides the size and the leverage of a position, inside hard limits.",
    state=STATE,
    actions=ACTIONS,
    reward=SIZING,
    baseline=baseline,
    safe_action={"size": 0.2, "leverage": 1},
    guards=guards(PROBE),
    settings=bandit(len(ACTIONS.dimensions)),
    kinship=Kinship(
        category="trading",
        group="position-sizing",
        project=_shared,
        roles={f"{name}={choice}": f"{name}-{choice}" for name, choice in ACTIONS.slot_names},
    ),
    success_reward=0.0,
)

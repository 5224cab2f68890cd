"""trading/meta-strategy: by which strategy and model is a signal followed, and does the model's weight go up or down?

A contextual bandit: one decision for each position, paid when that is closed. Nothing is opened on a decision of arm "safe".
"""

from collections.abc import Iterable

from steersman.core.actions import ActionSpace
from steersman.core.agent import AgentSpec, Guardrail
from steersman.core.guards import Guard, Refusal
from steersman.core.kinship import Kinship
from steersman.core.state import Category, Number, Scalar, StateSchema, StateValues
from steersman.packs.trading.limits import GUARD_MS
from steersman.packs.trading.models import MODELS, missing
from steersman.packs.trading.regime import REGIMES
from steersman.packs.trading.rewards import META, bandit

STATE = StateSchema(
    name="trading-meta-strategy",
    fields=(
        Category(name="regime", options=REGIMES),
        Number(name="volatility", low=0.0, high=1.0, edges=(0.01, 0.02, 0.03), unit="per bar"),
        Number(name="pressure", low=-1.0, high=1.0, edges=(-0.3, 0.3)),
        Number(name="confidence", low=0.0, high=1.0, edges=(0.45, 0.55, 0.70, 0.85), outside="refuse"),
        Number(name="win_rate", low=0.0, high=1.0, edges=(0.45, 0.60)),
        Number(name="account_health", low=0.4, high=1.0, edges=(0.7,)),
    ),
)
ACTIONS = ActionSpace(
    {
        "strategy": ("trend", "range", "breakout", "mean-reversion"),
        "model": MODELS,
        "weight": ("up", "down", "hold"),
    }
)
"""Index 12·strategy + 3·model + weight."""
_BY_REGIME = {"trend": "trend", "breakout": "breakout", "range": "mean-reversion", "unknown": "range"}


def baseline(state: StateValues) -> dict[str, str]:
    """The fixed rule: the strategy that the regime is named after, by the first model that can run; weights stay."""
    model = next((each for each in MODELS if not missing(each)), MODELS[0])
    return {"strategy": _BY_REGIME[str(state["regime"])], "model": model, "weight": "hold"}


def _cannot_run(state: StateValues) -> Iterable[Refusal]:
    for model in MODELS:
        why = missing(model)
        if why:
            yield Refusal(where={"model": model}, reason=why)


def _unknown(state: StateValues) -> Iterable[Refusal]:
    if state["regime"] == "unknown":
        yield Refusal(where={}, reason="too few bars to tell the regime")


PROBE: dict[str, Scalar] = {
    "regime": "unknown",
    "volatility": 0.0,
    "pressure": 0.0,
    "confidence": 0.0,
    "win_rate": 0.5,
    "account_health": 1.0,
}


_TRENDING = {"trend": 1.0, "breakout": 0.5, "range": 0.0, "unknown": 0.0}


def _shared(state: StateValues) -> dict[str, float]:
    return {
        "trending": _TRENDING[str(state["regime"])],
        "risk": min(float(state["volatility"]) / 0.06, 1.0),
        "confidence": float(state["confidence"]),
    }


agent = AgentSpec(
    name="trading/meta-strategy",
    description="Decides by which strategy and model a signal is followed, and how that model's weight moves.",
    state=STATE,
    actions=ACTIONS,
    reward=META,
    baseline=baseline,
    safe_action={"strategy": "trend", "model": "xgb", "weight": "hold"},
    guards=(
        Guard(name="unknown-regime", refuse=_unknown, deadline_ms=GUARD_MS, probe=PROBE),
        Guard(name="models", refuse=_cannot_run, deadline_ms=GUARD_MS, probe=PROBE),
    ),
    settings=bandit(len(ACTIONS.dimensions)),
    kinship=Kinship(
        category="trading",
        group="meta-strategy",
        project=_shared,
        roles={f"{name}={choice}": f"{name}-{choice}" for name, choice in ACTIONS.slot_names},
    ),
    success_reward=0.0,
    guardrails=(Guardrail(measurement="alignment", margin=0.1, better="higher"),),
)

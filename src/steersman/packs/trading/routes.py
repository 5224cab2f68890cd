"""What the events of the trading pack mean to its agents: a signal and an order are questions, a close is two outcomes."""

from steersman.core.routes import Route

_DESK = "steersman.packs.trading.desk:Desk"

choose_strategy = Route(
    on="signal.generated",
    do="decide",
    agent="trading/meta-strategy",
    prepare=_DESK,
    episode="position",
    emit="strategy.chosen",
    out={
        "decision_id": "@decision.id",
        "position": "position",
        "signal": "@id",
        "strategy": "@decision.executed.strategy",
        "model": "@decision.executed.model",
        "weight": "@decision.executed.weight",
        "arm": "@decision.arm",
        "mode": "@decision.mode",
        "reason": "@decision.reason",
    },
)
choose_size = Route(
    on="order.proposed",
    do="decide",
    agent="trading/position-sizing",
    prepare=_DESK,
    episode="position",
    emit="size.chosen",
    out={
        "decision_id": "@decision.id",
        "position": "position",
        "order": "@id",
        "size": "@decision.executed.size",
        "leverage": "@decision.executed.leverage",
        "arm": "@decision.arm",
        "mode": "@decision.mode",
        "reason": "@decision.reason",
    },
)
confirm = Route(on="trade.executed", do="note", prepare=_DESK, emit="execution.mismatch")
judge_strategy = Route(
    on="position.closed",
    do="report",
    agent="trading/meta-strategy",
    prepare=_DESK,
    decision_of="signal",
    terminated=True,
    executed={"strategy": "executed.strategy", "model": "executed.model", "weight": "executed.weight"},
)
judge_size = Route(
    on="position.closed",
    do="report",
    agent="trading/position-sizing",
    prepare=_DESK,
    decision_of="order",
    terminated=True,
    executed={"size": "executed.size", "leverage": "executed.leverage"},
)

"""The trading pack: two contextual bandits that choose a strategy and a size for positions held on paper."""

from steersman.core.catalog import Pack

pack = Pack(
    name="trading",
    description="Chooses a strategy and a size for positions on paper and in backtests, inside hard limits.",
    agents={
        "trading/meta-strategy": "steersman.packs.trading.agents.meta_strategy:agent",
        "trading/position-sizing": "steersman.packs.trading.agents.position_sizing:agent",
    },
    commands={
        "backtest": "steersman.packs.trading.backtest.command:backtest",
        "leak": "steersman.packs.trading.backtest.leak:leak",
        "paper": "steersman.packs.trading.paper.command:paper",
    },
    events={
        "signal.generated@1": "steersman.packs.trading.events:SignalGenerated",
        "strategy.chosen@1": "steersman.packs.trading.events:StrategyChosen",
        "order.proposed@1": "steersman.packs.trading.events:OrderProposed",
        "size.chosen@1": "steersman.packs.trading.events:SizeChosen",
        "trade.executed@1": "steersman.packs.trading.events:TradeExecuted",
        "execution.mismatch@1": "steersman.packs.trading.events:ExecutionMismatch",
        "position.closed@1": "steersman.packs.trading.events:PositionClosed",
    },
    routes={
        "choose-strategy": "steersman.packs.trading.routes:choose_strategy",
        "choose-size": "steersman.packs.trading.routes:choose_size",
        "confirm": "steersman.packs.trading.routes:confirm",
        "judge-strategy": "steersman.packs.trading.routes:judge_strategy",
        "judge-size": "steersman.packs.trading.routes:judge_size",
    },
    positions="steersman.packs.trading.positions:positions",
    worlds={
        "trading/meta-strategy": "steersman.packs.trading.backtest.worlds:meta_strategy_world",
        "trading/position-sizing": "steersman.packs.trading.backtest.worlds:position_sizing_world",
    },
)

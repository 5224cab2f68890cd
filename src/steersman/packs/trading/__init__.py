"""The trading pack: two contextual bandits that choose a strategy and a size for positions held on paper."""

from steersman.core.catalog import Pack

pack = Pack(
    name="trading",
    description="Chooses a strategy and a size for positions on paper and in backtests, inside hard limits.",
    agents={
        "trading/meta-strategy": "steersman.packs.trading.agents.meta_strategy:agent",
        "trading/position-sizing": "steersman.packs.trading.agents.position_sizing:agent",
    },
)

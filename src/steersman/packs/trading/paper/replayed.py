"""The agents as a replay has them: time passes faster there than on any market, so no cooldown is counted by the clock.

What steersman.toml says of them stands above this. Staleness, confidence, mode and kill switch are as anywhere.
"""

from dataclasses import replace

from steersman.core.agent import AgentSpec
from steersman.packs.trading.agents import meta_strategy, position_sizing


def _without_cooldown(spec: AgentSpec) -> AgentSpec:
    return replace(spec, settings={**spec.settings, "influence": {**spec.settings["influence"], "cooldown_s": 0.0}})


meta = _without_cooldown(meta_strategy.agent)
sizing = _without_cooldown(position_sizing.agent)

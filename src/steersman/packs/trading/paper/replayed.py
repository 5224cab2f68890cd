"""The agents as a replay has them: time passes faster there than on any market, so no cooldown is counted by the clock.

What steersman.toml says of them stands above this. Staleness, confidence and kill switch are as anywhere.
"""

from dataclasses import replace

from steersman.core.agent import AgentSpec
from steersman.packs.trading.agents import meta_strategy, position_sizing


def agents(mode: str = "") -> tuple[AgentSpec, ...]:
    """Return both agents. mode: how much influence they have, if it is another than in their definitions."""
    return tuple(_replayed(each, mode) for each in (meta_strategy.agent, position_sizing.agent))


def _replayed(spec: AgentSpec, mode: str) -> AgentSpec:
    influence = {**spec.settings["influence"], "cooldown_s": 0.0, **({"mode": mode} if mode else {})}
    return replace(spec, settings={**spec.settings, "influence": influence})

"""Agents for the browser: two that learn, and one whose state is made of hostile strings."""

import runpy
from pathlib import Path
from typing import Any

from steersman.core.actions import ActionSpace
from steersman.core.agent import AgentSpec
from steersman.core.guards import Guard, Refusal
from steersman.core.reward import Component, Measurement, Reward
from steersman.core.state import Category, Flag, Number, StateSchema, StateValues

HOSTILE: tuple[str, ...] = runpy.run_path(str(Path(__file__).with_name("hostile.py")))["HOSTILE"]

REWARD = Reward(
    measurements=(Measurement(name="score", low=-1, high=1), Measurement(name="cost", low=0, optional=True)),
    components=(Component(name="score", low=-1, high=1, weight=1.0, value=lambda m: m["score"]),),
    low=-1,
    high=1,
)
SETTINGS: dict[str, dict[str, Any]] = {
    "learning": {"gamma": 0.0},
    "convergence": {"window_outcomes": 30},
    "serving": {"baseline_share": 0.2},
}


def _refuse_heavy(state: StateValues) -> list[Refusal]:
    if float(state["load"]) >= 80:
        return [Refusal(where={"action": "heavy"}, reason="the load is 80 or more")]
    return []


small = AgentSpec(
    name="lab/small",
    description="Decides how much work to take on.",
    state=StateSchema(
        name="small", fields=(Number(name="load", low=0, high=100, edges=(50, 80), unit="%"), Flag(name="weekend"))
    ),
    actions=ActionSpace.flat("rest", "light", "heavy"),
    reward=REWARD,
    baseline=lambda state: "light",
    safe_action="rest",
    guards=(Guard(name="load", refuse=_refuse_heavy, deadline_ms=2_000.0),),
    settings={**SETTINGS, "replay": {"updates": 1}},
    cost="cost",
)

factored = AgentSpec(
    name="lab/factored",
    description="Picks workers and caching.",
    state=StateSchema(name="factored", fields=(Category(name="language", options=("python", "go", "rust")),)),
    actions=ActionSpace({"workers": (1, 4, 16), "cache": ("cold", "warm")}),
    reward=REWARD,
    baseline=lambda state: {"workers": 4, "cache": "cold"},
    safe_action={"workers": 1, "cache": "cold"},
    settings={
        **SETTINGS,
        "release": {"min_units": 30, "cohort_wait_s": 0.0},
        "monitoring": {"drift_reference": 600, "drift_window": 200},
    },
    cost="cost",
)

hostile = AgentSpec(
    name="lab/hostile",
    description="<script>window.broken=1</script> & co.",
    state=StateSchema(name="hostile", fields=(Category(name="text", options=HOSTILE),)),
    actions=ActionSpace.flat("<b onclick=window.broken=1>yes</b>", "no"),
    reward=REWARD,
    baseline=lambda state: "no",
    safe_action="no",
    settings=SETTINGS,
)

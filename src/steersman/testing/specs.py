"""Small agents with nothing of a domain in them: for tests, benchmarks and examples of checks."""

from collections.abc import Mapping
from typing import Any

from steersman.core.actions import ActionSpace, Choice
from steersman.core.agent import AgentSpec
from steersman.core.guards import Guard, Refusal
from steersman.core.reward import Reward
from steersman.core.state import Category, Flag, Number, StateSchema, StateValues
from steersman.testing.worlds import TabularWorld

PATIENT_MS = 2_000.0  # a machine that is busy with other tests must not deny what this guard allows


def _refuse_heavy(state: StateValues) -> list[Refusal]:
    if float(state["load"]) >= 80:
        return [Refusal(where={"action": "heavy"}, reason="the load is 80 or more")]
    return []


def small_agent(
    settings: Mapping[str, Mapping[str, Any]] | None = None, guards: tuple[Guard, ...] | None = None
) -> AgentSpec:
    """Return an agent of four actions, 24 table states and a reward in [-1, 1]; "heavy" is refused at a load of 80."""
    return AgentSpec(
        name="lab/small",
        description="Decides how much work to take on, for tests.",
        state=StateSchema(
            name="small",
            fields=(
                Number(name="load", low=0, high=100, edges=(20, 50, 80), unit="%"),
                Number(name="backlog", low=0, high=1_000, edges=(10, 100), unit="jobs"),
                Flag(name="weekend"),
            ),
        ),
        actions=ActionSpace.flat("rest", "light", "steady", "heavy"),
        reward=Reward.plain(-1.0, 1.0),
        baseline=_take_light,
        safe_action="rest",
        guards=(Guard(name="load", refuse=_refuse_heavy, deadline_ms=PATIENT_MS),) if guards is None else guards,
        settings=settings or {"learning": {"gamma": 0.0}},
    )


def _take_light(state: StateValues) -> Choice:
    return "light"


def agent_for(world: TabularWorld, settings: Mapping[str, Mapping[str, Any]]) -> AgentSpec:
    """Return an agent that acts in a world: its state is the cell, its actions are the world's, nothing is refused."""
    sizes = world.dimensions
    space = ActionSpace({f"part{index}": tuple(range(size)) for index, size in enumerate(sizes)})
    first = {name: choices[0] for name, choices in space.dimensions.items()}
    return AgentSpec(
        name=f"lab/{world.name}",
        description=f"Acts in the world {world.name}, for tests.",
        state=StateSchema(
            name=world.name, fields=(Category(name="cell", options=tuple(str(each) for each in range(world.states))),)
        ),
        actions=space,
        reward=Reward.plain(world.low, world.high),
        baseline=lambda state: first,
        safe_action=first,
        settings={
            **settings,
            "learning": {"gamma": world.gamma, **settings.get("learning", {})},
            "serving": {"baseline_share": 0.0, "cold_visits": 0},
            "episodes": {"max_steps": world.time_limit},
        },
    )

"""qe/fleet-commander: who works next, and side by side or one after the other?

It decides before each batch of work, and is paid for the value that the batch completed for its share of the budget.
Value is what the agents earned, each on the scale of its own reward, so that nobody counts for more because he is paid more.
"""

from collections.abc import Iterable

from steersman.core.actions import ActionSpace
from steersman.core.agent import AgentSpec
from steersman.core.guards import Refusal
from steersman.core.kinship import Kinship
from steersman.core.reward import Component, Measurement, Measurements, Reward
from steersman.core.state import Number, StateSchema, StateValues
from steersman.packs.qe.fleet.learning import lowest, rule, single_step
from steersman.packs.qe.fleet.plan import CATEGORIES, MODES, field_of
from steersman.packs.qe.fleet.reward import FAILURE, HIGH, LOW, ratio

STATE = StateSchema(
    name="fleet-commander",
    fields=(
        Number(name="waiting", low=0, high=100, edges=(3, 9)),
        Number(name="cores", low=1, high=256, edges=(2, 4)),
        Number(name="time_left", low=0, high=1, edges=(0.25, 0.6), unit="share of the budget"),
        Number(name="suite_s", low=0, high=36_000, edges=(2, 15), unit="s"),
        Number(name="budget_s", low=0, high=864_000, unit="s"),
        Number(name="done", low=0, high=1_000),
        *(Number(name=field_of(each), low=0, high=100) for each in CATEGORIES),
    ),
)
ACTIONS = ActionSpace.flat(*MODES, *CATEGORIES)


def baseline(state: StateValues) -> str:
    """Side by side where there are cores for it, else one after the other."""
    return "parallel" if float(state["cores"]) >= 2 else "sequential"


def _value(m: Measurements) -> float:
    """Return the mean of what the agents earned, each between the worst and the best of its own reward, 0–100."""
    return 100.0 * m["value"] / m["agents"]


REWARD = Reward(
    measurements=(
        Measurement(name="agents", low=1.0),
        Measurement(name="value", low=0.0),
        Measurement(name="wall_s", unit="s", low=0.0),
        Measurement(name="expected_s", unit="s", low=0.0),
        Measurement(name="cpu_s", unit="s", low=0.0),
        Measurement(name="missed", low=0.0, high=1.0),
    ),
    components=(
        Component(name="value", low=0.0, high=100.0, weight=0.5, value=_value),
        Component(name="speed", low=-50.0, high=50.0, weight=0.5, value=lambda m: ratio(m["expected_s"], m["wall_s"])),
    ),
    low=LOW,
    high=HIGH,
    failure=lambda m: FAILURE if m["missed"] >= 0.5 else None,
)


def _nobody_waits(state: StateValues) -> Iterable[Refusal]:
    for category in CATEGORIES:
        if not state[field_of(category)]:
            yield Refusal(where={"action": category}, reason=f"nobody of {category} has still to work")


def _one_core(state: StateValues) -> Iterable[Refusal]:
    if float(state["cores"]) < 2:
        for each in ("parallel", "hybrid"):
            yield Refusal(where={"action": each}, reason=f"{each} needs two cores, and there is one")


PROBE = lowest(STATE)

agent = AgentSpec(
    name="qe/fleet-commander",
    description="Decides which agents of the fleet work next, and whether side by side.",
    state=STATE,
    actions=ACTIONS,
    reward=REWARD,
    baseline=baseline,
    safe_action="sequential",
    guards=(
        rule("waiting", _nobody_waits, PROBE),
        rule("cores", _one_core, PROBE),
    ),
    settings=single_step(epsilon=0.3, decay=0.98),
    kinship=Kinship(
        category="fleet",
        project=lambda state: {
            "size": min(float(state["waiting"]) / 18.0, 1.0),
            "urgency": 1.0 - float(state["time_left"]),
        },
        roles={
            "action=sequential": "serial",
            "action=parallel": "side-by-side",
            "action=hybrid": "mixed",
            **{f"action={each}": f"only-{each}" for each in CATEGORIES},
        },
    ),
    cost="cpu_s",
)

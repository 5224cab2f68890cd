"""A team of networks: what a mode tells reaches each agent's log, networks are trained from it, and the team serves them."""

from collections.abc import Mapping

import numpy as np
import pytest

from steersman.app import Steersman
from steersman.core.actions import Action, ActionSpace
from steersman.core.agent import AgentSpec
from steersman.core.reward import Reward
from steersman.core.state import Category, Number, StateSchema, StateValues
from steersman.core.values import Decision
from steersman.loops import promote
from steersman.loops.team import Mode, Team
from steersman.testing.traffic import numbered

HANDS = 6
SETTINGS: Mapping[str, Mapping[str, object]] = {
    "learning": {"gamma": 0.0},
    "exploration": {"epsilon": 1.0, "decay": 0.985, "floor": 0.0},
    "serving": {"baseline_share": 0.0, "cold_visits": 0},
    "release": {"mode": "advisory"},
    "training": {
        "hidden": "16",
        "stream": 0,
        "batch": 32,
        "learning_rate": 0.003,
        "updates": 400,
        "patience": 100,
        "tracker": "none",
    },
}


def hand(name: str, seats: tuple[str, ...] = ()) -> AgentSpec:
    """An agent that sees how heavy its own load is, and says how hard it pulls; with seats, also in which it sits."""
    numbers = (Number(name="load", low=0, high=1, edges=(0.5,)),)
    return AgentSpec(
        name=name,
        description="Pulls, for tests.",
        state=StateSchema(name="hand", fields=(*numbers, Category(name="seat", options=seats)) if seats else numbers),
        actions=ActionSpace.flat(0, 1, 2),
        reward=Reward.plain(-8.0, 8.0),
        baseline=lambda state: 0,
        safe_action=0,
        settings=SETTINGS,
    )


def load(state: StateValues) -> float:
    return float(state["load"])


def pulled(states: Mapping[str, StateValues], joint: Mapping[str, Action]) -> float:
    """What the team earns: each hand best pulls as hard as twice its load, and what it misses is lost."""
    return sum(1.0 - abs(2.0 * load(states[seat]) - float(action["action"])) for seat, action in joint.items())


class Boat:
    """A team of hands and what they see now."""

    def __init__(self, steersman: Steersman, mode: Mode, seed: int) -> None:
        self._rng = np.random.default_rng(seed)
        self.now: dict[str, StateValues] = {}
        agents = {f"hand{each}": steersman.agent(hand(f"lab/hand{each}")) for each in range(HANDS)}
        utility = (lambda joint: pulled(self.now, joint)) if mode == "difference" else None
        self.team = Team(agents, mode=mode, utility=utility)

    def pull(self, rounds: int) -> tuple[list[dict[str, Decision]], float]:
        """Decide and report; return all decisions, and what the team earned by those that it held for the best."""
        made, earned = [], []
        for _ in range(rounds):
            self.now = {seat: {"load": float(self._rng.random())} for seat in self.team.agents}
            made.append(self.team.decide(self.now))
            together = pulled(self.now, {seat: each.executed for seat, each in made[-1].items()})
            earned.append(together)
            self.team.report(made[-1], {"reward": together} if self.team.mode == "cooperative" else None)
        return made, float(np.mean(earned))


def trained(mode: Mode, seed: int) -> float:
    """Return what a team earns by networks that were trained from what a mode told it, without exploring."""
    with Steersman.open("memory:", settings={}, seed=seed, ids=numbered()) as steersman:
        boat = Boat(steersman, mode, seed)
        boat.pull(240)
        versions = {}
        for seat, agent in boat.team.agents.items():
            versions[seat] = agent.pipeline.run(actor="me").version
            promote.begin(agent._runtime, versions[seat], actor="me", reason="all at once")
        made, earned = boat.pull(100)
        _check_log(steersman, boat, made[-1])
        assert all(each.version == versions[seat] for step in made for seat, each in step.items())
        return earned


def _check_log(steersman: Steersman, boat: Boat, last: Mapping[str, Decision]) -> None:
    """Assert that the log holds what the mode tells: what each added, which is its own part here, or what all earned."""
    joint = {seat: each.executed for seat, each in last.items()}
    for seat, each in last.items():
        lazy = pulled(boat.now, {**joint, seat: {"action": 0}}) if boat.team.mode == "difference" else 0.0
        assert steersman.log.outcomes(each.id)[-1].reward == pytest.approx(pulled(boat.now, joint) - lazy)


@pytest.mark.long
def test_networks_of_a_team_learn_more_from_what_each_added_than_from_what_all_earned() -> None:
    best = HANDS * 0.75  # of a load drawn evenly, the best whole number misses twice the load by a quarter
    difference, cooperative = (np.mean([trained(mode, seed) for seed in (0, 1)]) for mode in ("difference", "cooperative"))
    assert difference > 0.9 * best
    assert difference > cooperative + 0.3


def test_one_agent_in_several_seats_is_one_network_that_tells_them_apart() -> None:
    """Who sits left pulls hard, who sits right not at all: the seat is a feature, and all seats learn from one log."""
    with Steersman.open("memory:", settings={}, ids=numbered()) as steersman:
        agent = steersman.agent(hand("lab/both", seats=("left", "right")))
        team = Team({"left": agent, "right": agent})
        states: dict[str, StateValues] = {seat: {"load": 0.5, "seat": seat} for seat in team.agents}
        for _ in range(150):
            decisions = team.decide(states)
            pulls = {seat: float(each.executed["action"]) for seat, each in decisions.items()}
            team.report(decisions, {"left": {"reward": pulls["left"]}, "right": {"reward": -pulls["right"]}})
        made = agent.pipeline.run(actor="me")
        assert made.body["outcomes"] == 210  # 70 % of 150 in each seat
        promote.begin(agent._runtime, made.version, actor="me", reason="at once")
        decisions = team.decide(states)
        assert {seat: (each.version, each.choice) for seat, each in decisions.items()} == {
            "left": (made.version, 2),
            "right": (made.version, 0),
        }

"""Agents that do the same in different words: how many to send to a task, by its size and its urgency."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from steersman.app import Steersman
from steersman.core.actions import ActionSpace
from steersman.core.agent import AgentSpec
from steersman.core.kinship import Kinship
from steersman.core.reward import Reward
from steersman.core.state import Number, StateSchema, StateValues
from steersman.loops.agent import Agent

ROLES = ("few", "some", "many")
_SETTINGS: Mapping[str, Mapping[str, object]] = {
    "learning": {"gamma": 0.0},
    "exploration": {"schedule": "constant", "epsilon": 1.0},
    "serving": {"baseline_share": 0.0, "cold_visits": 0},
    "release": {"mode": "continuous"},
}


@dataclass(frozen=True, kw_only=True)
class Relative:
    """An agent whose fields, choices and rewards are its own. contrary: whether what is right for others is wrong for it.

    size, urgency: names of its fields, which go up to `most`. choices: what it calls few, some and many. pay: the largest
    reward that it can have.
    """

    name: str
    size: str
    urgency: str
    choices: Sequence[str]
    most: float = 1.0
    pay: float = 1.0
    contrary: bool = False

    @property
    def spec(self) -> AgentSpec:
        """The agent's definition."""
        return AgentSpec(
            name=self.name,
            description="Decides how many to send, for tests.",
            state=StateSchema(
                name=self.name.rpartition("/")[2],
                fields=(Number(name=self.size, low=0, high=self.most), Number(name=self.urgency, low=0, high=self.most)),
            ),
            actions=ActionSpace.flat(*self.choices),
            reward=Reward.plain(-self.pay, self.pay),
            baseline=lambda state: self.choices[0],
            safe_action=self.choices[0],
            settings=_SETTINGS,
            kinship=Kinship(
                category="sending",
                project=self._project,
                roles={f"action={own}": role for own, role in zip(self.choices, ROLES, strict=True)},
            ),
        )

    def _project(self, state: StateValues) -> dict[str, float]:
        return {"size": float(state[self.size]) / self.most, "urgency": float(state[self.urgency]) / self.most}

    def state(self, size: float, urgency: float) -> StateValues:
        """Return a state in the agent's own words; both in [0, 1]."""
        return {self.size: size * self.most, self.urgency: urgency * self.most}

    def worth(self, state: StateValues, place: int) -> float:
        """Return what to send few (0), some (1) or many (2) is worth on the mean; the most where that is what is needed."""
        task = self._project(state)
        needed = 2.0 * task["size"] * (0.4 + 0.6 * task["urgency"])
        wanted = 2.0 - needed if self.contrary else needed
        return self.pay * (0.8 - 0.8 * abs(wanted - place))

    def work(self, steersman: Steersman, outcomes: int, rng: np.random.Generator) -> Agent:
        """Let the agent try what it can do, at random, and report what came of it, with noise."""
        agent = steersman.agent(self.spec)
        for _ in range(outcomes):
            state = self.state(*rng.random(2).tolist())
            decision = agent.decide(state)
            worth = self.worth(state, self.choices.index(str(decision.choice))) + self.pay * rng.normal(0.0, 0.3)
            agent.report(decision, {"reward": float(np.clip(worth, -self.pay, self.pay))})
        return agent

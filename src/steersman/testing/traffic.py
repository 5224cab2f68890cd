"""Traffic: decisions of an agent and what comes of them, at a pace, on a clock that is moved by hand."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import count

import numpy as np

from steersman.core.actions import Choice
from steersman.core.agent import AgentSpec
from steersman.core.ids import IdSource
from steersman.core.state import StateValues
from steersman.core.values import Decision
from steersman.core.versions import Deployment
from steersman.loops.agent import Agent
from steersman.testing.sampling import sample_state
from steersman.testing.specs import small_agent

LOOK_EVERY = 20
"""Decisions between two looks at what is in production."""


@dataclass(kw_only=True)
class Clock:
    """A clock that stands still until it is moved (unix seconds)."""

    now: float = 1_800_000_000.0

    def __call__(self) -> float:
        """Return the time."""
        return self.now


def numbered() -> IdSource:
    """Return a source of ids that count from 1, so that who falls to which arm is the same in each run of a test."""
    numbers = count(1)
    return lambda: f"00000000-0000-7000-8000-{next(numbers):012x}"


@dataclass(kw_only=True)
class Traffic:
    """Lets an agent decide about states and reports what `reward` says, `pace_s` apart; looks at releases as it goes.

    reward: of a decision. moves: all that were made meanwhile.
    """

    agent: Agent
    clock: Clock
    reward: Callable[[Decision, np.random.Generator], float | None]
    state: Callable[[np.random.Generator], StateValues] | None = None
    pace_s: float = 1.0
    seed: int = 0
    moves: list[Deployment] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._rng = np.random.default_rng(self.seed)

    def run(self, decisions: int, *, until: Callable[[Deployment], bool] | None = None) -> list[Decision]:
        """Make decisions, all of them or until a move says so, and return them. A reward of None is not reported."""
        made: list[Decision] = []
        for number in range(decisions):
            self.clock.now += self.pace_s
            state = sample_state(self.agent.spec.state, self._rng) if self.state is None else self.state(self._rng)
            decision = self.agent.decide(state)
            made.append(decision)
            reward = self.reward(decision, self._rng)
            if reward is not None:
                self.agent.report(decision, {"reward": reward})
            moved = self.agent.release.tick() if number % LOOK_EVERY == 0 else None
            if moved is not None:
                self.moves.append(moved)
                if until is not None and until(moved):
                    break
        return made


def steady_agent(settings: Mapping[str, Mapping[str, object]] | None = None) -> AgentSpec:
    """Return the small agent with settings for releases: a bandit that never stops exploring a little."""
    given: dict[str, dict[str, object]] = {
        "learning": {"gamma": 0.0},
        "exploration": {"schedule": "constant", "epsilon": 0.3},
        "release": {
            "stages": "shadow 100s, 20% 200s, 50% 400s",
            "cut_outcomes": 1_500,
            "cut_age_s": 300.0,
            "cohort_wait_s": 2.0,
            "min_units": 50,
        },
    }
    for section, values in (settings or {}).items():
        given[section] = {**given.get(section, {}), **values}
    return small_agent(given)


PAYS: dict[Choice, float] = {"rest": 0.3, "light": 0.5, "steady": 0.8, "heavy": 0.4}
"""How often each action of the small agent succeeds; its baseline takes "light"."""


def pays(decision: Decision, rng: np.random.Generator) -> float:
    """Return 1 or −1: whether the action succeeded."""
    return 1.0 if rng.random() < PAYS[decision.choice] else -1.0

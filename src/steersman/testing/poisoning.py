"""An enemy among those who report: what legal lies can do to a table, and what they can do at most.

The bounds are computed here from the log alone, by code that shares nothing with what learns.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from steersman.core.actions import ActionSpace
from steersman.core.agent import AgentSpec
from steersman.core.reward import Component, Measurement, Reward
from steersman.core.sections import Learning
from steersman.core.settings import Settings
from steersman.core.state import Category, StateSchema
from steersman.core.transition import Transition
from steersman.stages.learn.fold import Fold

Lies = Literal["reward", "everything"]
ENEMY = "enemy"
HONEST = ("ann", "bob", "cas", "dan")
STATES = tuple(f"s{number}" for number in range(8))
ACTIONS = 3
LOW, HIGH = -1.0, 1.0
_NOISE = 0.1
_FAR = 1e9


@dataclass(frozen=True, kw_only=True)
class Told:
    """What came of one decision, and what was said about it; both are the same for whoever is honest."""

    state: str
    action: int
    gain: float
    told_gain: float
    following: str | None
    told_following: str | None
    source: str

    @property
    def lie(self) -> bool:
        """Whether the enemy said it."""
        return self.source == ENEMY


@dataclass(frozen=True, kw_only=True)
class Poisoned:
    """What lies did to one entry.

    shift: of its value, against the same log told honestly. share: of the enemy in it, by step sizes. bound: on the shift,
    from the shares in it and in what it bootstrapped from.
    """

    state: str
    action: int
    shift: float
    share: float
    bound: float


@dataclass(frozen=True, kw_only=True)
class Attack:
    """What an attack came to. largest_share: of the enemy, in any entry at any time. quarantined: by who reported."""

    entries: tuple[Poisoned, ...]
    largest_share: float
    quarantined: dict[str, int]

    @property
    def shift(self) -> float:
        """The largest shift of any entry."""
        return max(each.shift for each in self.entries)

    @property
    def excess(self) -> float:
        """By how much a shift lies beyond its bound, at most; below 0 if none does."""
        return max(each.shift - each.bound for each in self.entries)

    @property
    def tightness(self) -> float:
        """The largest part of its bound that a shift reached."""
        return max((each.shift / each.bound for each in self.entries if each.bound > 0.0), default=0.0)


def spec() -> AgentSpec:
    """Return an agent whose measurement may be anything, and whose reward may not."""
    space = ActionSpace.flat(*range(ACTIONS))
    return AgentSpec(
        name="lab/poisoned",
        description="Learns from whoever reports, for tests.",
        state=StateSchema(name="poisoned", fields=(Category(name="cell", options=STATES),)),
        actions=space,
        reward=Reward(
            measurements=(Measurement(name="gain"),),
            components=(Component(name="gain", low=LOW, high=HIGH, weight=1.0, value=lambda measured: measured["gain"]),),
            low=LOW,
            high=HIGH,
        ),
        baseline=lambda state: 0,
        safe_action=0,
    )


def told(rng: np.random.Generator, count: int, share: float, *, lies: Lies = "reward", focus: bool = False) -> list[Told]:
    """Return a log in which the enemy reports a share of all outcomes: anywhere, or (`focus`) in the first state alone.

    It says the worst about what is good and the best about what is bad, far out of range; if it lies about everything,
    also that the world went on to the first state, or ended there.
    """
    means = rng.uniform(LOW, HIGH, (len(STATES), ACTIONS))
    made = []
    for _ in range(count):
        enemy = rng.random() < share
        state = 0 if enemy and focus else int(rng.integers(len(STATES)))
        action = int(rng.integers(ACTIONS))
        following = None if rng.random() < 0.2 else STATES[int(rng.integers(len(STATES)))]
        gain = float(np.clip(means[state, action] + _NOISE * rng.standard_normal(), LOW, HIGH))
        worst = -_FAR if means[state, action] > 0.0 else _FAR
        elsewhere = (STATES[0] if worst > 0.0 else None) if lies == "everything" else following
        made.append(
            Told(
                state=STATES[state],
                action=action,
                gain=gain,
                told_gain=worst if enemy else gain,
                following=following,
                told_following=elsewhere if enemy else following,
                source=ENEMY if enemy else str(rng.choice(HONEST)),
            )
        )
    return made


def settings(gamma: float, **learning: float | str) -> Settings:
    """Return settings of a plain learner."""
    return Settings().with_values({"learning": {"gamma": gamma, **learning}}, "poisoning")


def attack(log: Sequence[Told], chosen: Settings, *, lies: Lies = "reward") -> Attack:
    """Learn a log as it was told, and as it would have been told honestly, and compare."""
    agent = spec()
    poisoned, honest = (Fold(agent, chosen, lambda count: 0.0) for _ in range(2))
    bounds = _Bounds(chosen.learning, lies)
    quarantined: dict[str, int] = {}
    for step, (each, lied, true) in enumerate(
        zip(log, _transitions(agent, log), _transitions(agent, log, lies=False), strict=True)
    ):
        poisoned.apply(lied)
        honest.apply(true)
        if poisoned.carry.updates + sum(quarantined.values()) > step:
            bounds.add(each)
        else:
            quarantined[each.source] = quarantined.get(each.source, 0) + 1
    shifts = [
        (key, action, poisoned.table.value[row, action] - honest.table.value[honest.table.rows[key], action])
        for key, row in poisoned.table.rows.items()
        for action in range(ACTIONS)
    ]
    return Attack(
        entries=tuple(
            Poisoned(
                state=key,
                action=action,
                shift=abs(float(shift)),
                share=bounds.share(key, action),
                bound=bounds.bound(key, action),
            )
            for key, action, shift in shifts
        ),
        largest_share=bounds.largest,
        quarantined=quarantined,
    )


def _transitions(agent: AgentSpec, log: Sequence[Told], *, lies: bool = True) -> Iterator[Transition]:
    for number, each in enumerate(log):
        following = each.told_following if lies else each.following
        measured = agent.reward.check({"gain": each.told_gain if lies else each.gain})
        yield Transition(
            decision_id=str(number),
            episode=str(number),
            step=0,
            key=each.state,
            bins={"cell": STATES.index(each.state)},
            action=each.action,
            reward=agent.reward.score(measured).reward,
            next_key=following,
            next_allowed=None,
            terminated=following is None,
            truncated=following is not None,
            epsilon=0.0,
            decided_at=float(number),
            at=float(number),
            source=each.source,
        )


class _Bounds:
    """What lies can have moved, entry by entry.

    Two tables that learn the same log differ in an entry by at most d ← (1 − α)·d + α·(the difference of the targets):
    for an honest outcome γ·max d(s′, ·); for a lie about the reward hi − lo more than that; for a lie about everything
    the whole range of values, (hi − lo)/(1 − γ).
    """

    def __init__(self, learning: Learning, lies: Lies) -> None:
        self._learning = learning
        self._lies = lies
        self._range = HIGH - LOW
        shape = (len(STATES), ACTIONS)
        self._visits, self._shares, self._moved = np.zeros(shape), np.zeros(shape), np.zeros(shape)
        self.largest = 0.0

    def add(self, each: Told) -> None:
        """Take an outcome into account that was learned."""
        learning, place = self._learning, (STATES.index(each.state), each.action)
        step = learning.alpha
        if learning.alpha_schedule == "visits":
            step = max(learning.alpha_floor, learning.alpha / (1.0 + self._visits[place] / learning.alpha_scale))
        carried = 0.0 if each.following is None else learning.gamma * self._moved[STATES.index(each.following)].max()
        if each.lie:
            carried = carried + self._range if self._lies == "reward" else self._range / (1.0 - learning.gamma)
        self._moved[place] += step * (carried - self._moved[place])
        self._shares[place] += step * (each.lie - self._shares[place])
        self._visits[place] += 1
        self.largest = max(self.largest, float(self._shares[place]))

    def share(self, state: str, action: int) -> float:
        """Return the share of the enemy in one entry."""
        return float(self._shares[STATES.index(state), action])

    def bound(self, state: str, action: int) -> float:
        """Return the largest shift of one entry."""
        return float(self._moved[STATES.index(state), action])

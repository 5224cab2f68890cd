"""The learning rules. Each turns transitions into updates (what to move toward which target); they differ in `_target`.

Sources: Watkins (1989) Q-learning; van Hasselt (2010) Double Q; Rummery and Niranjan (1994) SARSA; van Seijen et al.
(2009) Expected SARSA; Sutton and Barto (2018), chapters 5 and 7, Monte Carlo control and n-step SARSA.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from steersman.core.errors import InvalidInput
from steersman.core.sections import Learning
from steersman.core.transition import Transition
from steersman.policies.exploration import Explorer
from steersman.policies.tabular import QTable

Floats = NDArray[np.float64]
_NO_LIMIT = 1_000_000_000


@dataclass(frozen=True, kw_only=True, slots=True)
class Update:
    """Move the action of a transition, in one estimator, toward a target."""

    transition: Transition
    target: float
    estimator: int = 0


@dataclass(kw_only=True, slots=True)
class Trajectory:
    """The steps of an open episode that a multi-step rule still waits for."""

    steps: dict[int, Transition] = field(default_factory=dict)
    done: int = 0


class Method(Protocol):
    """A learning rule."""

    @property
    def estimators(self) -> int:
        """How many tables it keeps."""
        ...

    @property
    def needs_trajectory(self) -> bool:
        """Whether it waits for later steps of an episode."""
        ...

    def updates(self, table: QTable, transition: Transition, trajectory: Trajectory, coin: float) -> Iterator[Update]:
        """Yield what can be learned now; each update is applied before the next is computed. `coin` is uniform."""
        ...


class _Base:
    estimators: ClassVar[int] = 1
    needs_trajectory: ClassVar[bool] = False

    def __init__(self, settings: Learning, explorer: Explorer) -> None:
        self._gamma = settings.gamma
        self._n_steps = settings.n_steps
        self._explorer = explorer

    def _next_values(self, table: QTable, transition: Transition, values: Floats | None = None) -> Floats:
        """Return the values of the actions that the next state allows, shape (allowed actions,)."""
        if values is None:
            values = table.slot_values(table.rows.get(transition.next_key or ""))
        every = table.action_values(values)
        return every if transition.next_allowed is None else every[transition.next_allowed]

    def _expected(self, table: QTable, transition: Transition) -> float:
        """Return Σ π(a|s′)·Q(s′, a) under the policy that is followed, with the episode's ε; 0 if nothing is allowed."""
        row = table.rows.get(transition.next_key or "")
        values = table.action_values(table.slot_values(row))
        allowed = transition.next_allowed if transition.next_allowed is not None else np.ones(len(values), dtype=np.bool_)
        if not allowed.any():
            return 0.0
        return float(self._explorer.distribution(table, row, values, allowed, transition.epsilon) @ values)


class QLearning(_Base):
    """Off-policy: r + γ·max Q(s′, a′)."""

    def updates(self, table: QTable, transition: Transition, trajectory: Trajectory, coin: float) -> Iterator[Update]:
        """Yield one update at once."""
        yield Update(transition=transition, target=self._target(table, transition))

    def _target(self, table: QTable, transition: Transition) -> float:
        reward = transition.signal
        if transition.next_key is None or self._gamma == 0.0:
            return reward
        return reward + self._gamma * _best(self._next_values(table, transition))


class ExpectedSarsa(QLearning):
    """On-policy with less noise: r + γ·Σ π(a′|s′)·Q(s′, a′)."""

    def _target(self, table: QTable, transition: Transition) -> float:
        reward = transition.signal
        if transition.next_key is None or self._gamma == 0.0:
            return reward
        return reward + self._gamma * self._expected(table, transition)


class DoubleQ(_Base):
    """Off-policy with two estimators: one chooses the next action, the other values it; a coin says which one learns."""

    estimators: ClassVar[int] = 2

    def updates(self, table: QTable, transition: Transition, trajectory: Trajectory, coin: float) -> Iterator[Update]:
        """Yield one update of one estimator at once."""
        learner = int(coin >= 0.5)
        target = transition.signal
        if transition.next_key is not None and self._gamma > 0.0:
            row = table.rows.get(transition.next_key)
            chooser, judge = (self._estimates(table, row, each) for each in (learner, 1 - learner))
            liked = self._next_values(table, transition, chooser)
            if len(liked):
                target += self._gamma * float(self._next_values(table, transition, judge)[int(liked.argmax())])
        yield Update(transition=transition, target=target, estimator=learner)

    @staticmethod
    def _estimates(table: QTable, row: int | None, estimator: int) -> Floats:
        if row is None:
            return table.slot_values(None)
        start = estimator * table.width
        return table.value[row, start : start + table.width]


class NStepSarsa(_Base):
    """On-policy over n steps: Σ γ^i·r + γ^n·Q(s_n, a_n). n = 1 is SARSA; without a limit it is Monte Carlo.

    A step is learned once the n steps after it are known, or the end of the episode. Where the episode is cut (truncated,
    or a step whose reward never came), the policy's expected value stands for the action that was not taken.
    """

    needs_trajectory: ClassVar[bool] = True

    def updates(self, table: QTable, transition: Transition, trajectory: Trajectory, coin: float) -> Iterator[Update]:
        """Yield an update for each step that has become complete, oldest first."""
        trajectory.steps[transition.step] = transition
        while (start := trajectory.steps.get(trajectory.done)) is not None:
            if start.reward is not None:
                target = self._target(table, trajectory)
                if target is None:
                    return
                yield Update(transition=start, target=target)
            del trajectory.steps[trajectory.done]
            trajectory.done += 1

    def _target(self, table: QTable, trajectory: Trajectory) -> float | None:
        """Return the target of the oldest waiting step, or None while it must wait."""
        total, discount = 0.0, 1.0
        for step in range(trajectory.done, trajectory.done + self._n_steps):
            each = trajectory.steps.get(step)
            if each is None:
                return None
            total += discount * each.signal
            discount *= self._gamma
            if each.terminated:
                return total
            following = trajectory.steps.get(step + 1)
            if each.truncated or (following is not None and following.reward is None):
                return total + discount * self._expected(table, each)
            last = each
        following = trajectory.steps.get(last.step + 1)
        if following is None:
            return None
        values = table.action_values(table.slot_values(table.rows.get(following.key)))
        return total + discount * float(values[following.action])


def _best(values: Floats) -> float:
    """Return the largest value; 0 where no action is allowed, since nothing can be earned by acting there."""
    return float(values.max()) if len(values) else 0.0


def _sarsa(settings: Learning, explorer: Explorer) -> Method:
    return NStepSarsa(replace(settings, n_steps=1), explorer)


def _monte_carlo(settings: Learning, explorer: Explorer) -> Method:
    return NStepSarsa(replace(settings, n_steps=_NO_LIMIT), explorer)


_METHODS: dict[str, Callable[[Learning, Explorer], Method]] = {
    "q_learning": QLearning,
    "double_q": DoubleQ,
    "sarsa": _sarsa,
    "expected_sarsa": ExpectedSarsa,
    "n_step_sarsa": NStepSarsa,
    "monte_carlo": _monte_carlo,
}


def method(settings: Learning, explorer: Explorer) -> Method:
    """Return the learning rule that the settings name. Raises InvalidInput for an unknown one."""
    if settings.method not in _METHODS:
        raise InvalidInput(f"no learning method {settings.method!r}. Known: {', '.join(_METHODS)}.")
    return _METHODS[settings.method](settings, explorer)

"""Worlds with known answers: small decision problems given as explicit tables, for testing learners against planning.

Builders return a `TabularWorld`; `steersman.testing.planning` computes from its tables what learning has to reach.
"""

from bisect import bisect_right
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from steersman.core.errors import InvalidInput

Floats = NDArray[np.float64]
Outcomes = Iterable[tuple[float, int, float]]
"""(probability, next state, reward) of all that may follow an action."""


@dataclass(frozen=True, kw_only=True, eq=False)
class TabularWorld:
    """An episodic Markov decision process of S states and A actions, in tables.

    transitions: P(s′ | s, a), shape (S, A, S). rewards: r(s, a, s′), shape (S, A, S), within [low, high].
    terminal: where episodes end, shape (S,). start: distribution of the first state, shape (S,). gamma: the discount.
    time_limit: after how many steps a caller truncates an episode; the world itself has no memory.
    dimensions: sizes of the dimensions of a factored action, the last varying fastest; (A,) for a flat one.
    Raises InvalidInput where the tables do not fit together.
    """

    name: str
    transitions: Floats
    rewards: Floats
    low: float
    high: float
    terminal: NDArray[np.bool_]
    start: Floats
    gamma: float
    time_limit: int
    dimensions: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        states, actions, _ = shape = self.transitions.shape
        if not self.dimensions:
            object.__setattr__(self, "dimensions", (actions,))
        self._require(shape == self.rewards.shape == (states, actions, states), "transitions and rewards: not (S, A, S)")
        self._require(self.terminal.shape == self.start.shape == (states,), "terminal and start: not (S,)")
        self._require(int(np.prod(self.dimensions)) == actions, "dimensions do not multiply to the number of actions")
        self._require(_distributions(self.transitions), "transitions are no probabilities")
        self._require(_distributions(self.start), "start is no distribution")
        self._require(
            bool(((self.low <= self.rewards) & (self.rewards <= self.high)).all()), "rewards lie outside [low, high]"
        )
        staying = np.diagonal(self.transitions, axis1=0, axis2=2).T
        self._require(np.allclose(staying[self.terminal], 1.0), "a terminal state can be left")
        self._require(not self.start[self.terminal].any(), "an episode can start in a terminal state")

    @property
    def states(self) -> int:
        """How many states there are, terminal ones included."""
        return len(self.transitions)

    @property
    def actions(self) -> int:
        """How many actions there are."""
        return len(self.transitions[0])

    def reset(self, rng: np.random.Generator) -> int:
        """Return the first state of an episode."""
        cumulative, states = self._start
        return states[bisect_right(cumulative, rng.random())]

    def step(self, state: int, action: int, rng: np.random.Generator) -> tuple[int, float, bool]:
        """Return (next state, reward, terminated) after an action."""
        cumulative, following = self._outcomes[state][action]
        return following[bisect_right(cumulative, rng.random())]

    @cached_property
    def _start(self) -> tuple[list[float], list[int]]:
        possible = np.flatnonzero(self.start)
        return _cumulative(self.start[possible]), [int(each) for each in possible]

    @cached_property
    def _outcomes(self) -> list[list[tuple[list[float], list[tuple[int, float, bool]]]]]:
        return [[self._possible(state, action) for action in range(self.actions)] for state in range(self.states)]

    def _possible(self, state: int, action: int) -> tuple[list[float], list[tuple[int, float, bool]]]:
        following = np.flatnonzero(self.transitions[state, action])
        return _cumulative(self.transitions[state, action, following]), [
            (int(each), float(self.rewards[state, action, each]), bool(self.terminal[each])) for each in following
        ]

    def _require(self, holds: bool, fault: str) -> None:
        if not holds:
            raise InvalidInput(f"world {self.name!r}: {fault}.")


def cliff_world() -> TabularWorld:
    """Return a gridworld of 3 × 6 cells with a cliff between the lower left corner and the goal, the lower right one.

    Each step costs 0.01, the goal pays 1, a fall off the cliff costs 1 and ends the episode. Episodes start anywhere.
    After Sutton & Barto (2018), example 6.6: the optimal way runs along the edge, the best ε-soft one keeps away from
    it. Actions: up, right, down, left.
    """
    rows, columns = 3, 6
    goal = rows * columns - 1
    cliff = set(range(goal - columns + 2, goal))

    def outcomes(state: int, action: int) -> Outcomes:
        following = _move(state, action, rows=rows, columns=columns)
        return [(1.0, following, 1.0 if following == goal else -1.0 if following in cliff else -0.01)]

    terminal = {goal, *cliff}
    return _world("cliff", (rows * columns, 4), outcomes, terminal=terminal, start=_anywhere(rows * columns, terminal))


def lake_world() -> TabularWorld:
    """Return a lake of 4 × 4 cells with four holes, on whose ice one in ten steps slips to one side.

    The goal, in the lower right corner, pays 1, each step costs 0.02, a hole costs 0.3 and ends the episode. Episodes
    start anywhere. The map is that of Gymnasium's FrozenLake. Actions: up, right, down, left.
    """
    goal, holes = 15, {5, 7, 11, 12}

    def outcomes(state: int, action: int) -> Outcomes:
        for probability, direction in ((0.9, action), (0.05, (action + 1) % 4), (0.05, (action + 3) % 4)):
            following = _move(state, direction, rows=4, columns=4)
            yield probability, following, 1.0 if following == goal else -0.3 if following in holes else -0.02

    terminal = {goal, *holes}
    return _world("lake", (16, 4), outcomes, terminal=terminal, start=_anywhere(16, terminal))


def warehouse_world() -> TabularWorld:
    """Return a warehouse of two levels of three cells, joined by a lift: fetch an order from a shelf, filled or not.

    Below lie the dock (cell 0), the store (1) and the foot of the lift (2), above the shelf (3), an empty cell (4) and
    the head of the lift (5). A state is cell + 6·load + 18·full, with load 0 nothing, 1 the order, 2 a refill, and full
    whether the shelf holds goods. Actions: left, right, lift, handle. Handling picks from the full shelf (reward 0.2),
    takes a refill at the store or gives it back, refills the empty shelf (0.2), or delivers at the dock (1, and the
    episode ends); one lift and one handling in ten fail. Each step costs 0.02. The shelf is empty at half of all starts.
    """
    refill, shelf_full, delivered = 12, 18, 36
    handling = {  # (cell, load, full) → (next state, reward)
        (3, 0, 1): (3 + 6, 0.2),
        (1, 0, 0): (1 + refill, -0.02),
        (1, 0, 1): (1 + refill + shelf_full, -0.02),
        (1, 2, 0): (1, -0.02),
        (1, 2, 1): (1 + shelf_full, -0.02),
        (3, 2, 0): (3 + shelf_full, 0.2),
        (0, 1, 0): (delivered, 1.0),
        (0, 1, 1): (delivered, 1.0),
    }

    def outcomes(state: int, action: int) -> Outcomes:
        full, rest = divmod(state, 18)
        load, cell = divmod(rest, 6)
        if action < 2:
            step = 1 if action else -1
            return [(1.0, state + step if 0 <= cell % 3 + step <= 2 else state, -0.02)]
        if action == 2:
            following, reward = state + {2: 3, 5: -3}.get(cell, 0), -0.02
        else:
            following, reward = handling.get((cell, load, full), (state, -0.02))
        return [(0.9, following, reward), (0.1, state, -0.02)]

    return _world("warehouse", (37, 4), outcomes, terminal={delivered}, start={0: 0.5, 18: 0.5})


def bandit_world() -> TabularWorld:
    """Return a contextual bandit of 4 contexts and 5 actions that pay 1 or 0; the best differs by context."""
    chances = np.array(
        [
            [0.80, 0.60, 0.40, 0.30, 0.20],
            [0.10, 0.30, 0.50, 0.30, 0.10],
            [0.35, 0.55, 0.15, 0.75, 0.35],
            [0.20, 0.90, 0.20, 0.20, 0.70],
        ]
    )
    return _bandit("bandit", chances, (5,))


def crowded_bandit_world() -> TabularWorld:
    """Return a bandit of one context and 20 actions that pay 1 or 0, with chances from 0.1 to 0.48 and one of 0.7."""
    chances = 0.1 + 0.02 * np.arange(20.0)
    chances[13] = 0.7
    return _bandit("crowded-bandit", chances[None, :], (20,))


def additive_bandit_world() -> TabularWorld:
    """Return a contextual bandit of 3 contexts and 3 × 2 × 4 actions that pay 1 or 0, with additive chances.

    Each chance is 0.1 and one effect for each dimension; a learner that values each choice of each dimension by itself
    can represent it exactly.
    """
    first = np.array([[0.30, 0.15, 0.00], [0.00, 0.30, 0.15], [0.15, 0.00, 0.30]])
    second = np.array([[0.00, 0.20], [0.20, 0.00], [0.00, 0.20]])
    third = np.array([[0.00, 0.10, 0.30, 0.20], [0.30, 0.00, 0.10, 0.15], [0.05, 0.15, 0.00, 0.30]])
    chances = 0.1 + first[:, :, None, None] + second[:, None, :, None] + third[:, None, None, :]
    return _bandit("additive-bandit", chances.reshape(3, 24), (3, 2, 4))


def all_worlds() -> tuple[TabularWorld, ...]:
    """Return one of each world."""
    return (
        cliff_world(),
        lake_world(),
        warehouse_world(),
        bandit_world(),
        crowded_bandit_world(),
        additive_bandit_world(),
    )


def _world(
    name: str,
    shape: tuple[int, int],
    outcomes: Callable[[int, int], Outcomes],
    *,
    terminal: Iterable[int],
    start: dict[int, float],
) -> TabularWorld:
    """Fill the tables from what may follow each action in each state that is not terminal."""
    states, actions = shape
    transitions, rewards = np.zeros((2, states, actions, states))
    ends = np.isin(np.arange(states), list(terminal))
    for state in range(states):
        for action in range(actions):
            following = [(1.0, state, 0.0)] if ends[state] else outcomes(state, action)
            for probability, reached, reward in following:
                transitions[state, action, reached] += probability
                rewards[state, action, reached] = reward
    return TabularWorld(
        name=name,
        transitions=transitions,
        rewards=rewards,
        low=-1.0,
        high=1.0,
        terminal=ends,
        start=np.array([start.get(state, 0.0) for state in range(states)]),
        gamma=0.95,
        time_limit=500,
    )


def _bandit(name: str, chances: Floats, dimensions: tuple[int, ...]) -> TabularWorld:
    """Return a world of one step: each action leads to one terminal state that pays 1, or to another that pays 0."""
    contexts, actions = chances.shape
    won, lost = contexts, contexts + 1
    transitions, rewards = np.zeros((2, contexts + 2, actions, contexts + 2))
    transitions[:contexts, :, won], transitions[:contexts, :, lost] = chances, 1.0 - chances
    transitions[[won, lost], :, [won, lost]] = 1.0
    rewards[:contexts, :, won] = 1.0
    return TabularWorld(
        name=name,
        transitions=transitions,
        rewards=rewards,
        low=0.0,
        high=1.0,
        terminal=np.arange(contexts + 2) >= contexts,
        start=np.append(np.full(contexts, 1.0 / contexts), [0.0, 0.0]),
        gamma=0.0,
        time_limit=1,
        dimensions=dimensions,
    )


def _anywhere(states: int, terminal: set[int]) -> dict[int, float]:
    """Return the even distribution over the states in which an episode can start."""
    return {state: 1.0 / (states - len(terminal)) for state in range(states) if state not in terminal}


def _move(state: int, direction: int, *, rows: int, columns: int) -> int:
    """Return the cell next to a cell of a grid: up, right, down, left; the same cell at a wall."""
    row, column = divmod(state, columns)
    down, right = ((-1, 0), (0, 1), (1, 0), (0, -1))[direction]
    return min(max(row + down, 0), rows - 1) * columns + min(max(column + right, 0), columns - 1)


def _distributions(probabilities: Floats) -> bool:
    return bool((probabilities >= 0.0).all()) and np.allclose(probabilities.sum(axis=-1), 1.0)


def _cumulative(probabilities: Floats) -> list[float]:
    """Return the running sums, the last one infinite so that rounding leaves no gap below 1."""
    sums: list[float] = np.cumsum(probabilities).tolist()
    return [*sums[:-1], float("inf")]

"""Hills: a contextual world whose true values are sums, for networks: each action succeeds around a place of its own."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from steersman.core.actions import ActionSpace
from steersman.core.agent import AgentSpec
from steersman.core.reward import Reward
from steersman.core.state import Number, StateSchema, StateValues
from steersman.core.values import Decision
from steersman.loops.serving import Served
from steersman.stages.decide.choose import Situation

Floats = NDArray[np.float64]
ACTIONS = ("north", "east", "south", "west")
NAME = "lab/hills"
SIDE = 16
_FLOOR, _HEIGHT, _SPREAD = 0.2, 0.6, 0.12
_PLACES = np.array([[0.5, 0.8], [0.8, 0.5], [0.5, 0.2], [0.2, 0.5]])
_NOTHING_DRAWN = np.zeros(4)


class Hills:
    """States are the cells of a grid of 16 × 16. An action pays 1 with a chance of 0.2 + 0.6·exp(−d²/0.12), or else 0.

    d: distance of the cell from the place of the action, which the seed moves. The rule takes "north" always. chances: of
    each action in each cell, shape (256, 4). After `turn` each action has the place that another one had.
    """

    def __init__(self, seed: int) -> None:
        rng = np.random.default_rng([seed, 7])
        self._places = _PLACES + rng.uniform(-0.12, 0.12, _PLACES.shape)
        axis = (np.arange(SIDE) + 0.5) / SIDE
        self.cells = np.stack(np.meshgrid(axis, axis, indexing="ij"), axis=-1).reshape(-1, 2)
        self.turn(0)

    def turn(self, by: int) -> None:
        """Change the world: action a has the place that action a + by had at first."""
        places = np.roll(self._places, -by, axis=0)
        distance = ((self.cells[:, None] - places) ** 2).sum(axis=-1)
        self.chances: Floats = _FLOOR + _HEIGHT * np.exp(-distance / _SPREAD)

    @property
    def best(self) -> float:
        """What the best policy earns per decision."""
        return float(self.chances.max(axis=1).mean())

    @property
    def rule(self) -> float:
        """What the rule earns per decision."""
        return float(self.chances[:, 0].mean())

    def state(self, rng: np.random.Generator) -> StateValues:
        """Draw a cell."""
        return _state(self.cells[rng.integers(len(self.cells))])

    def pays(self, decision: Decision, rng: np.random.Generator) -> float:
        """Return 1 or 0: whether a decision succeeded."""
        return float(rng.random() < self.chance(decision))

    def chance(self, decision: Decision) -> float:
        """Return how likely a decision was to succeed."""
        x, y = (int(float(decision.state[name]) * SIDE) for name in ("x", "y"))
        return float(self.chances[x * SIDE + y, ACTIONS.index(str(decision.choice))])

    def value(self, served: Served) -> float:
        """Return what a network, or the rule, earns per decision as it is served, exploring as it does; nothing is drawn."""
        return float((self.policy(served) * self.chances).sum(axis=1).mean())

    def policy(self, served: Served) -> Floats:
        """Return its probability of each action in each cell, shape (256, 4)."""
        allowed = np.ones(len(ACTIONS), dtype=np.bool_)
        found = np.zeros(self.chances.shape)
        for place, cell in enumerate(self.cells):
            row = served.table.place("", _state(cell))
            now = Situation(row=row, allowed=allowed, baseline=0, epsilon=served.epsilon or 0.0, uniforms=_NOTHING_DRAWN)
            found[place], _ = served.chooser.probabilities(served.table, now, served.table.slot_values(row))
        return found


def _state(cell: Floats) -> StateValues:
    return {"x": float(cell[0]), "y": float(cell[1])}


def hills_agent(settings: Mapping[str, Mapping[str, Any]]) -> AgentSpec:
    """Return the agent that acts there. A table sees no more of the state than two halves of each axis."""
    halves = {"low": 0.0, "high": 1.0, "edges": (0.5,)}
    return AgentSpec(
        name=NAME,
        description="Goes where it is likely to succeed, for tests.",
        state=StateSchema(name="hills", fields=(Number(name="x", **halves), Number(name="y", **halves))),  # type: ignore[arg-type]
        actions=ActionSpace.flat(*ACTIONS),
        reward=Reward.plain(0.0, 1.0),
        baseline=lambda state: ACTIONS[0],
        safe_action=ACTIONS[0],
        settings=settings,
    )

"""The worlds with known answers, for an agent to act in: `steersman.testing.worlds` as the plug `World`."""

import numpy as np

from steersman.core.actions import Action
from steersman.core.world import Step, World
from steersman.testing import worlds
from steersman.testing.specs import agent_for
from steersman.testing.worlds import TabularWorld


class LabWorld(World):
    """Acts in the tables: its state is the cell, and an episode is truncated at the world's time limit."""

    def __init__(self, tables: TabularWorld) -> None:
        self.tables, self.spec = tables, agent_for(tables, {})

    def reset(self, rng: np.random.Generator) -> dict[str, str]:
        """Begin an episode anywhere that the world starts."""
        self._rng, self._taken, self._cell = rng, 0, self.tables.reset(rng)
        return {"cell": str(self._cell)}

    def step(self, action: Action) -> Step:
        """Draw what follows."""
        self._cell, reward, terminated = self.tables.step(self._cell, self.spec.actions.index(action), self._rng)
        self._taken += 1
        return Step(
            state={"cell": str(self._cell)},
            measurements={"reward": reward},
            terminated=terminated,
            truncated=not terminated and self._taken >= self.tables.time_limit,
        )


def cliff() -> LabWorld:
    """Return `worlds.cliff_world`."""
    return LabWorld(worlds.cliff_world())


def lake() -> LabWorld:
    """Return `worlds.lake_world`."""
    return LabWorld(worlds.lake_world())


def warehouse() -> LabWorld:
    """Return `worlds.warehouse_world`."""
    return LabWorld(worlds.warehouse_world())


def bandit() -> LabWorld:
    """Return `worlds.bandit_world`."""
    return LabWorld(worlds.bandit_world())


def crowded_bandit() -> LabWorld:
    """Return `worlds.crowded_bandit_world`."""
    return LabWorld(worlds.crowded_bandit_world())


def additive_bandit() -> LabWorld:
    """Return `worlds.additive_bandit_world`."""
    return LabWorld(worlds.additive_bandit_world())

"""What a simulation is put together from. A backend, or a planted bug, takes the place of one part."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from steersman.core.agent import AgentSpec
from steersman.core.ids import IdSource
from steersman.loops.agent import Agent
from steersman.testing.simulation.agents import Conditions, Values
from steersman.testing.simulation.clock import Events, SimulatedClock
from steersman.testing.simulation.messages import Ledger
from steersman.testing.simulation.network import Network
from steersman.testing.simulation.store import FaultyLog, SimulatedLog


class OpenLog(Protocol):
    """Opens an empty log with a queue of that many rows, on that timer."""

    def __call__(self, *, queue_rows: int, timer: Callable[[], float]) -> FaultyLog:
        """Return the log."""


def _as_it_is(spec: AgentSpec) -> AgentSpec:
    return spec


def _nothing(agent: Agent) -> None:
    pass


@dataclass(frozen=True, kw_only=True)
class Parts:
    """The parts of the product.

    log: opens an empty one. spec, opened: what to do with a definition, and with an agent that was just opened.
    overrides: sections of settings instead of those that were drawn. ids: instead of ids from the seed.
    """

    log: OpenLog = SimulatedLog
    spec: Callable[[AgentSpec], AgentSpec] = _as_it_is
    opened: Callable[[Agent], None] = _nothing
    overrides: Values = field(default_factory=dict)
    ids: IdSource | None = None


@dataclass(frozen=True, kw_only=True)
class Scene:
    """What everybody in one run shares. `note` puts something into the trace."""

    rng: np.random.Generator
    clock: SimulatedClock
    events: Events
    network: Network
    ledger: Ledger
    conditions: Conditions
    note: Callable[..., None]

    def chance(self, share: float) -> bool:
        """Return true in that share of cases."""
        return bool(self.rng.random() < share)

    def wait_s(self, mean: float) -> float:
        """Return an exponential time in seconds."""
        return float(self.rng.exponential(mean))

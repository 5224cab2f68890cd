"""One run: a seed decides what clients do, what the network loses, when the disk fills and the process dies."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count
from typing import Any

import msgspec
import numpy as np

from steersman.core.values import Decision
from steersman.testing.simulation.agents import NAMES, Conditions, some_settings
from steersman.testing.simulation.client import Client
from steersman.testing.simulation.clock import Events, SimulatedClock
from steersman.testing.simulation.faults import Faults
from steersman.testing.simulation.invariants import snapshot
from steersman.testing.simulation.judge import Judge
from steersman.testing.simulation.messages import Ledger, Reply, Request
from steersman.testing.simulation.network import Network
from steersman.testing.simulation.parts import Parts, Scene
from steersman.testing.simulation.service import Service
from steersman.testing.simulation.wire import Wire

_MOST_EVENTS = 20_000
_QUEUES = (3, 30, 1_000)


@dataclass(frozen=True, kw_only=True)
class Run:
    """What came of a run. `trace` is a hash over every event and the log at the end: the same for the same seed."""

    seed: int
    trace: str
    events: int
    decisions: int
    outcomes: int
    acknowledged: int
    crashes: int
    violations: tuple[str, ...]


class _Trace:
    """A hash over all that happened, in order, with the time."""

    def __init__(self, clock: SimulatedClock) -> None:
        self._clock = clock
        self._hash = hashlib.blake2b(digest_size=16)

    def note(self, *what: Any) -> None:
        self._hash.update(msgspec.json.encode((self._clock.now, what)))

    def hexdigest(self) -> str:
        return self._hash.hexdigest()


class _World:
    """The loop: clients, the service, the disk and the faults, all on one clock and one generator."""

    def __init__(self, seed: int, parts: Parts, clients: int, tasks: int, faults: int) -> None:
        rng, clock = np.random.default_rng(seed), SimulatedClock()
        events = Events(clock)
        self.trace = _Trace(clock)
        self.scene = Scene(
            rng=rng,
            clock=clock,
            events=events,
            network=Network(events, rng),
            ledger=Ledger(),
            conditions=Conditions(),
            note=self.trace.note,
        )
        self.judge = Judge(self.scene)
        log = parts.log(queue_rows=_QUEUES[int(rng.random() * 3)], timer=clock.timer)
        self.service = Service(self.scene, parts, self.judge, log, seed)
        names, number = [f"client {each}" for each in range(clients)], count(1).__next__
        self.clients = [
            Client(each, self.scene, Wire(each, self.scene, self._handle, number), tasks=tasks) for each in names
        ]
        self.faults = Faults(self.scene, self.service, self.judge, names, self._busy)
        self._strikes = faults
        self._committing = False

    def run(self) -> None:
        """Let everything happen; what should never come this far is a violation too."""
        try:
            self._run()
        except Exception as error:  # noqa: BLE001 - whatever a process or a log raises when it is opened, or is asked
            self.judge.found(f"the run ended in {error!r}")

    def _run(self) -> None:
        """Let everything happen, end the faults, start once more and check for the last time."""
        self.service.start(some_settings(self.scene.rng))
        for each in self.clients:
            each.go_on()
        self.scene.events.after(self.scene.wait_s(1.0), lambda: self.faults.strike(self._strikes))
        self.scene.events.run(_MOST_EVENTS)
        self.faults.end()
        if self.service.up:
            self.judge.inspect(self.service.log, self.service.steersman, self.service.settings)
            self.service.stop()
        self.service.start(self.service.settings)
        self.judge.replayed(self.service.log, self.service.steersman)

    def note_end(self) -> None:
        """Put the log and what was learned into the trace."""
        for row in self.service.log.rows():
            self.trace.note(row)
        for name in NAMES if self.service.up else ():
            self.trace.note(repr(snapshot(self.service.steersman.agent(name)._runtime.fold)))
        self.trace.note(self.judge.violations)

    def _busy(self) -> bool:
        return any(each.busy for each in self.clients)

    def _handle(self, request: Request, answer: Callable[[Reply], None]) -> None:
        self.service.handle(request, answer)
        if self.service.up and self.service.log.waiting_entries() and not self._committing:
            self._committing = True
            self.scene.events.after(self.scene.wait_s(0.02), self._commit)

    def _commit(self) -> None:
        self._committing = False
        if self.service.up:
            self.service.commit()


def simulate(seed: int, *, parts: Parts | None = None, clients: int = 5, tasks: int = 8, faults: int = 25) -> Run:
    """Run one seed to its end and return what came of it.

    parts: another log, or a planted bug. clients work on `tasks` decisions or episodes each, while that many faults
    strike, about one a second: network, disk, process, clocks, guards, kill switches and settings.
    """
    world = _World(seed, parts or Parts(), clients, tasks, faults)
    world.run()
    world.note_end()
    rows = list(world.service.log.rows())
    return Run(
        seed=seed,
        trace=world.trace.hexdigest(),
        events=world.scene.events.happened,
        decisions=sum(isinstance(row, Decision) for row in rows),
        outcomes=sum(not isinstance(row, Decision) for row in rows),
        acknowledged=len(world.scene.ledger.decided) + len(world.scene.ledger.acknowledged),
        crashes=world.faults.crashes,
        violations=tuple(world.judge.violations),
    )


def first_caught(parts: Parts, most: int) -> int | None:
    """Return after how many seeds a planted bug is caught, by a violation or by two runs that differ; None if it is not."""
    for seed in range(most):
        run = simulate(seed, parts=parts)
        if run.violations or run.trace != simulate(seed, parts=parts).trace:
            return seed + 1
    return None

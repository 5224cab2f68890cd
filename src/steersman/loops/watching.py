"""Watching: whether states, actions and rewards are still what they were, and whether failures burn their budget.

A fold over the newest part of the log, and for the error budget over all of its period. What burns its error budget stops
exploring, by the same hand as a person's pause: logged, seen by every process, and let go by itself.
"""

import threading
from collections import OrderedDict

from steersman.core.ports import Log
from steersman.core.values import AuditEvent, Control, Decision, Outcome
from steersman.loops.promote import AUTOMATIC
from steersman.loops.runtime import Runtime
from steersman.stages.monitor.drift import Drift, Watch
from steersman.stages.monitor.error_budget import Burn, ErrorBudget, signals
from steersman.stages.monitor.signals import Signal

_CHUNK = 5_000
_BACK = 40  # positions for each decision of the windows: outcomes, revisions, and other agents
_KEPT = 20_000
_PAUSE_S = 600.0


class Watching:
    """Watches one agent in this process. Safe to use from several threads."""

    def __init__(self, agent: Runtime) -> None:
        self._agent = agent
        self._lock = threading.Lock()
        settings = agent.settings.monitoring
        rails = {each.measurement: each.better for each in agent.spec.guardrails}
        self._watch = Watch(agent.spec, reference=settings.drift_reference, current=settings.drift_window, guardrails=rails)
        self._budget = (
            ErrorBudget(1.0 - settings.error_budget, settings.error_period_s) if 0.0 < settings.error_budget < 1.0 else None
        )
        self._open: OrderedDict[str, Decision] = OrderedDict()
        self._position: int | None = None
        self._drift_from = 0
        self._paused_until = 0.0

    def tick(self) -> None:
        """Take in what is new; pause exploring while the error budget burns. Raises StoreError."""
        with self._lock:
            self._read()
            burn = self._burn()
        agent = self._agent
        mine = agent.shared is None or agent.fence is not None
        if burn is not None and mine and not burn.may_explore:
            self._pause(burn)

    def signals(self) -> tuple[Signal, ...]:
        """Return what should be known now. Raises StoreError."""
        with self._lock:
            self._read()
            burn = self._burn()
            found = self._watch.signals(self._agent.world.clock())
        return found if burn is None else (*found, *signals(self._agent.spec.name, burn))

    def drifts(self) -> tuple[Drift, ...]:
        """Return how each feature and each dimension differs from its reference; empty until both windows are full."""
        with self._lock:
            self._read()
            return self._watch.drifts()

    def rebase(self) -> None:
        """Take what is seen now as the normal from now on."""
        with self._lock:
            self._watch.rebase()

    def _burn(self) -> Burn | None:
        return None if self._budget is None else self._budget.state(self._agent.world.clock())

    def _read(self) -> None:
        log, name = self._agent.log, self._agent.spec.name
        end = log.durable_position
        if self._position is None:
            self._position = self._begin(end)
        while found := log.since(name, self._position, _CHUNK):
            for position, row in found:
                self._take(position, row)
                self._position = position
            if len(found) < _CHUNK:
                break
        self._position = max(self._position, end)

    def _begin(self, end: int) -> int:
        """Return the position behind which reading begins: far enough back for drift, and for the error budget."""
        agent, settings = self._agent, self._agent.settings.monitoring
        self._drift_from = max(end - _BACK * (settings.drift_reference + settings.drift_window), 0)
        if self._budget is None or not self._drift_from:
            return self._drift_from
        began = agent.world.clock() - settings.error_period_s
        return min(position_at(agent.log, agent.spec.name, began), self._drift_from)

    def _take(self, position: int, row: Decision | Outcome) -> None:
        if isinstance(row, Outcome) and self._budget is not None and row.success is not None and not row.revision:
            self._budget.add(row.reported_at, row.success)
        if position > self._drift_from:
            self._watch_drift(row)

    def _watch_drift(self, row: Decision | Outcome) -> None:
        if isinstance(row, Decision):
            self._watch.add(row)
            self._open[row.id] = row
            if len(self._open) > _KEPT:
                self._open.popitem(last=False)
            return
        decision = self._open.pop(row.decision_id, None)
        if decision is not None:
            self._watch.add_outcome(decision, row)

    def _pause(self, burn: Burn) -> None:
        """Pause exploring for ten minutes; while the budget burns on, the pause is renewed before it ends."""
        agent, at = self._agent, self._agent.world.clock()
        if at < self._paused_until - _PAUSE_S / 2.0:
            return
        spent = "" if burn.spent is None else f", {100.0 * burn.spent:.0f} % of it is spent"
        reason = f"the error budget burns too fast{spent}"
        pause = Control(
            scope=agent.spec.name,
            active=True,
            actor=AUTOMATIC,
            reason=reason,
            at=at,
            kind="pause",
            expires_at=at + _PAUSE_S,
        )
        event = AuditEvent(at=at, actor=AUTOMATIC, event="pause on", subject=agent.spec.name, detail=reason)
        if not self._held_by_person(at):
            agent.log.append((pause, event))
            agent.look_again()
        self._paused_until = at + _PAUSE_S

    def _held_by_person(self, at: float) -> bool:
        """Return whether a person has said something about exploring here that must not be written over."""
        mine = (each for each in self._agent.log.controls() if (each.kind, each.scope) == ("pause", self._agent.spec.name))
        return any(each.actor != AUTOMATIC and each.holds(self._agent.spec.name, at) for each in mine)


def position_at(log: Log, agent: str, at: float) -> int:
    """Return a position behind which an agent's rows are of a time (unix seconds) or later, as far as time runs forwards.

    Halves the log at each look, of which each reads one row.
    """
    before, behind = 0, log.durable_position
    while before < behind:
        middle = (before + behind) // 2
        found = log.since(agent, middle, 1)
        if found and _time(found[0][1]) < at:
            before = min(found[0][0], behind)
        else:
            behind = middle
    return before


def _time(row: Decision | Outcome) -> float:
    return row.decided_at if isinstance(row, Decision) else row.reported_at

"""Cooldown: when the learned policy last decided for each subject, in this process and in others on the same log."""

from collections import OrderedDict
from collections.abc import Callable

from steersman.core.ports import Clock, Log
from steersman.core.values import Decision
from steersman.loops.hands import POLL_S

_FIRST = 1_000
_CHUNK = 10_000


class Cooldown:
    """What counts of the last `span_s` seconds of one agent. Memory is bounded by the subjects of that time.

    What other processes decided is seen after a quarter of a second, as controls are.
    """

    def __init__(self, agent: str, span_s: float, log: Log, clock: Clock, timer: Callable[[], float]) -> None:
        self._agent = agent
        self._span_s = span_s
        self._log = log
        self._clock = clock
        self._timer = timer
        self._at: OrderedDict[str, float] = OrderedDict()
        self._position = -1
        self._looked_at = float("-inf")

    def since_s(self, subject: str) -> float | None:
        """Return the time since the learned policy decided for a subject; None if that is past. Raises StoreError."""
        if self._position < 0:
            self._begin()
        elif self._log.shared and self._timer() - self._looked_at >= POLL_S:
            self._look()
        at = self._at.get(subject)
        return None if at is None else max(self._clock() - at, 0.0)

    def note(self, decision: Decision) -> None:
        """Take a decision in, if it was the learned policy's."""
        if decision.arm not in ("champion", "challenger"):
            return
        self._at[decision.subject] = max(decision.decided_at, self._at.get(decision.subject, decision.decided_at))
        self._at.move_to_end(decision.subject)
        while self._at and next(iter(self._at.values())) < self._clock() - self._span_s:
            self._at.popitem(last=False)

    def _begin(self) -> None:
        """Take up the decisions of before, as after a restart: as many as fall into the span."""
        position, edge, limit = self._log.durable_position, self._clock() - self._span_s, _FIRST
        found = self._log.recent(self._agent, limit)
        while len(found) == limit and found[-1].decided_at >= edge:
            limit *= 4
            found = self._log.recent(self._agent, limit)
        for each in reversed(found):
            if each.decided_at >= edge:
                self.note(each)
        self._position, self._looked_at = position, self._timer()

    def _look(self) -> None:
        while True:
            found = self._log.since(self._agent, self._position, _CHUNK)
            for self._position, row in found:
                if isinstance(row, Decision):
                    self.note(row)
            if len(found) < _CHUNK:
                break
        self._looked_at = self._timer()

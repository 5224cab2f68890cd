"""Who learns: one process for each agent, for a while, under a number that only rises."""

import threading
import time
from contextlib import suppress

from steersman.backends.sql.postgres.readers import Readers
from steersman.backends.sql.postgres.statements import SQL
from steersman.core.errors import StoreError

LEASE_S = 10.0
RENEW_S = 3.0
_ASK_S = 1.0


class Leases:
    """The leases of one process, asked for and renewed as seldom as will do."""

    def __init__(self, readers: Readers, holder: str) -> None:
        self._readers = readers
        self._holder = holder
        self._lock = threading.Lock()
        self._held: dict[str, tuple[int, float]] = {}
        self._refused: dict[str, float] = {}

    def take(self, agent: str) -> int | None:
        """Take or renew a lease; return its fence, or None while another process has it."""
        now = time.monotonic()
        with self._lock:
            fence, since = self._held.get(agent, (0, float("-inf")))
            if now - since < RENEW_S:
                return fence
            if now - self._refused.get(agent, float("-inf")) < _ASK_S:
                return None
        with self._readers.lend() as connection:
            found = connection.execute(SQL.lease, (agent, self._holder, LEASE_S)).fetchone()
        with self._lock:
            if found is None:
                self._held.pop(agent, None)
                self._refused[agent] = now
                return None
            self._held[agent] = int(str(found[0])), now
            return self._held[agent][0]

    def release(self, agent: str) -> None:
        """Give a lease back."""
        with self._lock:
            held = self._held.pop(agent, None)
        if held is not None:
            with self._readers.lend() as connection:
                connection.execute(SQL.release, ([agent], self._holder))

    def release_all(self) -> None:
        """Give all leases back; where the store cannot be reached, they expire by themselves."""
        for agent in list(self._held):
            with suppress(StoreError):
                self.release(agent)

    def holder(self, agent: str) -> str:
        """Return who has a lease now; "" for nobody."""
        with self._readers.lend() as connection:
            found = connection.execute(SQL.holder, (agent,)).fetchone()
        return "" if found is None else str(found[0])

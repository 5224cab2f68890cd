"""Who learns: one process for each agent, for a while, under a number that only rises."""

import threading
import time
from contextlib import suppress

from steersman.backends.sql.postgres.connect import Connection
from steersman.backends.sql.postgres.readers import Readers
from steersman.backends.sql.postgres.statements import SQL
from steersman.core.errors import StoreError

LEASE_S = 10.0
RENEW_S = 3.0
_ASK_S = 1.0


class Leases:
    """The leases of one process. Those it holds are renewed by its listener, however long learning takes."""

    def __init__(self, readers: Readers, holder: str) -> None:
        self._readers = readers
        self._holder = holder
        self._lock = threading.Lock()
        self._held: dict[str, int] = {}
        self._renewed_at = float("-inf")
        self._refused: dict[str, float] = {}

    def take(self, agent: str) -> int | None:
        """Take a lease, or have it already; return its fence, or None while another process has it."""
        now = time.monotonic()
        with self._lock:
            if agent in self._held and now - self._renewed_at < LEASE_S / 2:
                return self._held[agent]
            if now - self._refused.get(agent, float("-inf")) < _ASK_S:
                return None
        with self._readers.lend() as connection:
            found = connection.execute(SQL.lease, (agent, self._holder, LEASE_S)).fetchone()
        with self._lock:
            if found is None:
                self._held.pop(agent, None)
                self._refused[agent] = now
                return None
            if not self._held:
                self._renewed_at = now
            self._held[agent] = int(str(found[0]))
            return self._held[agent]

    def renew(self, connection: Connection) -> None:
        """Renew what is held, where that is due; what another process has taken is held no more."""
        now = time.monotonic()
        with self._lock:
            held = list(self._held)
        if not held or now - self._renewed_at < RENEW_S:
            return
        renewed = {str(agent) for (agent,) in connection.execute(SQL.renew, (LEASE_S, held, self._holder))}
        with self._lock:
            self._renewed_at = now
            for agent in set(held) - renewed:
                self._held.pop(agent, None)

    def release(self, agent: str) -> None:
        """Give a lease back, and do not ask for it again at once."""
        with self._lock:
            self._held.pop(agent, None)
            self._refused[agent] = time.monotonic()
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

"""What other processes did: a thread that listens, and looks by itself where nothing was heard.

It keeps the controls and what is in production at hand, so that no decision waits for the network, and holds this process'
stream: a lock in the server that ends with the connection.
"""

import threading
import time
from collections.abc import Callable
from contextlib import suppress

import psycopg

from steersman.backends.sql import rows as codec
from steersman.backends.sql.postgres import connect
from steersman.backends.sql.postgres.connect import Connection, Target
from steersman.backends.sql.postgres.statements import RELEASES, SQL
from steersman.core.errors import StoreError
from steersman.core.values import Control
from steersman.core.versions import Deployment

LOOK_S = 0.1
STALE_S = 0.25
OUTAGE_S = 3.0
_PAUSE_S = 0.02
_MOST_STREAMS = 10_000


class Listener(threading.Thread):
    """Listens on a channel of the store from its own connection. Raises psycopg.Error if it cannot begin."""

    def __init__(self, where: Target, channel: str, *, writer: str = "") -> None:
        super().__init__(name="steersman-listener", daemon=True)
        self._where = where
        self._channel = channel
        self._writer = writer
        self.each_look: Callable[[Connection], None] = _nothing
        self.after_outage: Callable[[], None] = _do_nothing
        self._changed = threading.Condition()
        self._closing = threading.Event()
        self._seen: object = None
        self._news = 0
        self._told = 0
        self._controls: list[Control] = []
        self._production: list[Deployment] = []
        self._looked_at = float("-inf")
        self.stream = -1
        self.error = ""
        self._connection: Connection | None = None
        self._connection = self._open()
        self._look(self._connection)

    def run(self) -> None:
        """Listen until closed; after an outage, begin again."""
        while not self._closing.is_set():
            try:
                connection = self._connection or self._open()
                self._connection = connection
                if self.error:
                    self.after_outage()
                for _ in connection.notifies(timeout=LOOK_S, stop_after=1):
                    pass
                self._look(connection)
                self.each_look(connection)
                self.error = ""
                self._closing.wait(_PAUSE_S)  # many commits in a row are one piece of news
            except psycopg.Error as error:
                self.error = " ".join(str(error).split()).rstrip(".") or type(error).__name__
                self._drop()
                self._closing.wait(LOOK_S)
        self._drop()

    def controls(self) -> list[Control]:
        """Return the latest word of each kind for each scope. Raises StoreError when the last look is too long ago."""
        self._check_fresh()
        return self._controls

    def production(self) -> list[Deployment]:
        """Return the last move of each agent. Raises StoreError when the last look is too long ago."""
        self._check_fresh()
        return self._production

    def _check_fresh(self) -> None:
        age_s = time.monotonic() - self._looked_at
        if age_s > STALE_S:
            raise StoreError(f"the store {self._where.shown} was last read {age_s:.1f} s ago: {self.error or 'it is slow'}")

    @property
    def looked_at(self) -> float:
        """When the last look began, by the monotonic clock."""
        return self._looked_at

    def outage(self) -> str:
        """Return "" or why the store cannot be reached."""
        if self.error:
            return self.error
        age_s = time.monotonic() - self._looked_at
        return f"it has not answered for {age_s:.1f} s" if age_s > OUTAGE_S else ""

    def watch(self, timeout_s: float) -> bool:
        """Wait for news that were not told yet; return whether there are any."""
        with self._changed:
            heard = self._changed.wait_for(lambda: self._news != self._told or self._closing.is_set(), timeout_s)
            self._told = self._news
            return heard

    def close(self) -> None:
        """End, and let the stream go."""
        self._closing.set()
        with self._changed:
            self._changed.notify_all()
        if self.is_alive():
            self.join()
        else:
            self._drop()

    def abandon(self) -> list[Connection]:
        """Let go without touching the store, in a process that was forked."""
        self._closing.set()
        return [] if self._connection is None else [self._connection]

    def _open(self) -> Connection:
        connection = connect.connect(self._where)
        try:
            connection.execute(f"LISTEN {self._channel}")
            if self._writer:
                self._take_stream(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def _take_stream(self, connection: Connection) -> None:
        """Take the stream held before, or the first that is free.

        That of a process which has gone without a word is not free: it may only be cut off, and draw on.
        """
        gone = {stream for (stream,) in connection.execute(SQL.streams_of_others, (self._writer,))}
        for stream in (max(self.stream, 0), *range(_MOST_STREAMS)):
            if stream not in gone and self._locked(connection, stream):
                self.stream = stream
                return
        raise psycopg.OperationalError(f"no stream of {_MOST_STREAMS} is free")

    def _locked(self, connection: Connection, stream: int) -> bool:
        found = connection.execute("SELECT pg_try_advisory_lock(hashtext(%s), %s)", (self._channel, stream)).fetchone()
        return found == (True,)

    def _look(self, connection: Connection) -> None:
        began = time.monotonic()
        controls = [codec.control(each) for each in connection.execute(SQL.controls)]
        production = [codec.deployment(str(body)) for (body,) in connection.execute(RELEASES.current)]
        seen = connection.execute("SELECT position, commits FROM log_head").fetchone()
        self._controls, self._production, self._looked_at = controls, production, began
        if seen != self._seen:
            with self._changed:
                self._seen = seen
                self._news += 1
                self._changed.notify_all()

    def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(psycopg.Error):
                connection.close()


def _nothing(connection: Connection) -> None:
    """Do nothing with a connection."""


def _do_nothing() -> None:
    """Do nothing."""

"""`PostgresReleases`: versions, moves and verdicts in the database of the log, for any process."""

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg

from steersman.backends.sql import fork
from steersman.backends.sql.postgres import connect, store
from steersman.backends.sql.postgres.log import PostgresLog
from steersman.backends.sql.postgres.readers import Readers
from steersman.backends.sql.postgres.statements import RELEASES, SQL
from steersman.backends.sql.postgres.transaction import write_audit
from steersman.backends.sql.reads import Connection
from steersman.backends.sql.releases import StoredReleases
from steersman.core.errors import InvalidInput
from steersman.core.values import AuditEvent
from steersman.core.versions import Deployment


class PostgresReleases(StoredReleases):
    """The `Registry` and `Releases` ports in PostgreSQL.

    url: see `connect.target`. log: of the same store; with it, what is in production is what its listener saw a moment ago,
    so that nobody who asks waits for the network. audit_key: of the audit trail. read_only: moves and keeps nothing.

    Raises NotFound without a store, StoreVersionError for one of another version, StoreError if it cannot be used.
    """

    def __init__(self, url: str, *, log: PostgresLog | None = None, audit_key: bytes = b"", read_only: bool = False) -> None:
        self._log = log
        self._made: dict[str, Deployment] = {}
        self._where = connect.target(url)
        self._audit_key = audit_key
        try:
            with connect.connect(self._where) as connection:
                store.check_readable(connection, self._where)
        except psycopg.Error as error:
            raise connect.unusable(self._where, error) from error
        self._pool = Readers(self._where, "")
        if log is not None:
            self._pool.outage = log.outage
        super().__init__(self._pool, RELEASES, self._where.shown, read_only=read_only)
        fork.track(self)

    def move(self, deployment: Deployment, *events: AuditEvent) -> None:
        """Make a move durable, with the events that tell of it. Raises Conflict unless it follows the last move."""
        super().move(deployment, *events)
        self._made[deployment.agent] = deployment

    def current(self) -> list[Deployment]:
        """Return the last move of each agent, by agent: those made here, and others as soon as they are heard of."""
        if self._log is None:
            return super().current()
        found = {each.agent: each for each in self._log.production()}
        for agent, made in list(self._made.items()):
            if agent not in found or found[agent].number < made.number:
                found[agent] = made
        return [found[agent] for agent in sorted(found)]

    def close(self) -> None:
        """Let the database go."""
        self._pool.close()

    def abandon(self) -> None:
        """Let go without touching the database, in a process that was forked."""
        self._pool.closed = True
        fork.leak(self._pool.connections())

    @contextmanager
    def _transaction(self) -> Iterator[Connection]:
        try:
            with connect.writer(self._where) as connection, connection.transaction():
                yield connection
        except psycopg.DataError as error:
            raise InvalidInput(f"this cannot be stored: {str(error).splitlines()[0]}. Nothing was changed.") from error
        except psycopg.Error as error:
            raise connect.unusable(self._where, error) from error

    def _hold(self, connection: Connection) -> None:
        connection.execute(SQL.lock_head)

    def _tell(self, connection: Connection, events: tuple[AuditEvent, ...]) -> None:
        assert isinstance(connection, psycopg.Connection)  # noqa: S101 - `_transaction` gave it
        write_audit(connection, events, self._audit_key)
        connection.execute("SELECT pg_notify(%s, '')", (connect.channel(self._where),))

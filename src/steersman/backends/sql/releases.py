"""Versions, moves and verdicts in the store of the log, whichever database that is.

They do not pass the queue of the log: each is a short transaction of its own, so that any process may move the pointer,
whoever owns the log. The database lets one of them in at a time, and refuses a move that was made from an older one.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, TypeVar

import msgspec

from steersman.backends.sql.reads import Connection, Pool
from steersman.backends.sql.rows import deployment as deployment_of
from steersman.core.errors import Conflict, NotFound, StoreError, nearest
from steersman.core.values import AuditEvent
from steersman.core.versions import (
    Deployment,
    Judgement,
    PolicyVersion,
    address,
    check_address,
    check_follows,
    encoded,
    short,
)

if TYPE_CHECKING:
    from steersman.backends.sql.release_queries import ReleaseQueries

R = TypeVar("R", PolicyVersion, Deployment, Judgement)

_SHOWN = 10


class StoredReleases(ABC):
    """The `Registry` and `Releases` ports in an SQL database. `shown` names the store to people.

    After a StoreError from a write it may have been made or not: look at what there is.
    """

    def __init__(self, readers: Pool, sql: "ReleaseQueries", shown: str, *, read_only: bool) -> None:
        self._readers = readers
        self._sql = sql
        self._shown = shown
        self._read_only = read_only

    @abstractmethod
    def _transaction(self) -> AbstractContextManager[Connection]:
        """Give a connection in a transaction, which is durable when the context ends. Raises StoreError."""

    @abstractmethod
    def _hold(self, connection: Connection) -> None:
        """Let nobody else move or tell anything until the transaction ends."""

    @abstractmethod
    def _tell(self, connection: Connection, events: tuple[AuditEvent, ...]) -> None:
        """Write audit events behind the last one, and wake who listens. The transaction holds."""

    @abstractmethod
    def close(self) -> None:
        """Let the store go."""

    # the registry

    def keep(self, version: PolicyVersion, artefact: bytes) -> None:
        """Keep a version durably; to keep it again changes nothing. Raises InvalidInput where its name is not the hash."""
        check_address(version, artefact)
        columns = (version.agent, version.id, version.cut_at, body_of(version), artefact)
        self._check_writable()
        with self._transaction() as connection:
            connection.execute(self._sql.keep_version, columns)

    def artefact(self, agent: str, version: str) -> bytes:
        """Return a version's artefact, as it was kept. Raises NotFound, and StoreError where its hash is another."""
        with self._readers.lend() as connection:
            row = connection.execute(self._sql.artefact, (agent, version)).fetchone()
        if row is None:
            raise self._unknown(agent, version)
        artefact = bytes(row[0])
        if (found := address(artefact)) != version:
            raise StoreError(
                f"the artefact of version {short(version)} of {agent} in {self._shown} is not the one that was kept: its "
                f"hash is {short(found)}. It is not served. Roll back to another version, or put back a copy of the store."
            )
        return artefact

    def versions(self, agent: str, limit: int = 100) -> list[PolicyVersion]:
        """Return the agent's last versions, newest first."""
        return self._bodies(PolicyVersion, self._sql.versions, agent, limit)

    def version(self, agent: str, name: str) -> PolicyVersion:
        """Return a version by the beginning of its name. Raises NotFound, and Conflict where several begin so."""
        found = self._bodies(PolicyVersion, self._sql.named, agent, len(name), name) if name else []
        if not found:
            raise self._unknown(agent, name)
        if len(found) > 1:
            listed = ", ".join(short(each.id) for each in found[:_SHOWN])
            raise Conflict(f"{len(found)} versions of {agent} begin with {name!r}: {listed}. Give more of the name.")
        return found[0]

    def name(self, agent: str, aliases: Mapping[str, str]) -> None:  # noqa: B027 - every store has it like this
        """Do nothing: who has which part is what the last move says, and nobody else keeps names here."""

    # what is in production

    def move(self, deployment: Deployment, *events: AuditEvent) -> None:
        """Make a move durable, with the events that tell of it. Raises Conflict unless it follows the last move."""
        columns = (deployment.agent, deployment.number, deployment.at, body_of(deployment))
        self._check_writable()
        with self._transaction() as connection:
            self._hold(connection)
            last = connection.execute(self._sql.moves, (deployment.agent, 1)).fetchone()
            check_follows(deployment, last and deployment_of(last[0]))
            connection.execute(self._sql.add_move, columns)
            self._tell(connection, events)

    def current(self) -> list[Deployment]:
        """Return the last move of each agent, by agent."""
        return sorted(self._bodies(Deployment, self._sql.current), key=lambda each: each.agent)

    def moves(self, agent: str, limit: int = 100) -> list[Deployment]:
        """Return the last moves of an agent, newest first."""
        return self._bodies(Deployment, self._sql.moves, agent, limit)

    def at(self, agent: str, at: float) -> Deployment | None:
        """Return what was in production at a time (unix seconds); None before the first move.

        Of the moves up to then, that with the greatest number: where a clock was set back, or two moves bear the same time,
        their order is that of their numbers.
        """
        return next(iter(self._bodies(Deployment, self._sql.in_production, agent, at, 1)), None)

    def judge(self, judgement: Judgement, *events: AuditEvent) -> None:
        """Keep a verdict, with the events that tell of it; to keep it again changes nothing. Raises Conflict for another."""
        columns = (judgement.id, judgement.agent, judgement.at, body := body_of(judgement))
        self._check_writable()
        with self._transaction() as connection:
            self._hold(connection)
            if connection.execute(self._sql.add_judgement, columns).rowcount:
                self._tell(connection, events)
            elif connection.execute(self._sql.judgement, (judgement.id,)).fetchone() != (body,):
                raise Conflict(f"there is another verdict of the name {judgement.id!r}; verdicts are never changed.")

    def judgements(self, agent: str, limit: int = 100) -> list[Judgement]:
        """Return the last verdicts on an agent's versions, newest first."""
        return self._bodies(Judgement, self._sql.judgements, agent, limit)

    def _bodies(self, kind: type[R], statement: str, *parameters: object) -> list[R]:
        with self._readers.lend() as connection:
            found: Iterable[tuple[str]] = connection.execute(statement, parameters).fetchall()
        return [msgspec.json.decode(body, type=kind) for (body,) in found]

    def _check_writable(self) -> None:
        if self._read_only:
            raise StoreError(f"the store {self._shown} was opened read-only. Open it without read_only to release.")

    def _unknown(self, agent: str, name: str) -> NotFound:
        known = [short(each.id) for each in self.versions(agent, _SHOWN)]
        return NotFound(f"{agent} has no version {name!r} in {self._shown}.{nearest(name, known)}")


def body_of(row: R) -> str:
    """Return a row as JSON text. Raises InvalidInput for one that would not read back the same."""
    return encoded(row).decode()

"""What can be asked of the log: a snapshot of the tables, and over it the batches that are not in the snapshot yet."""

import heapq
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import chain
from operator import itemgetter
from typing import TypeVar

import msgspec

from steersman.backends.sql import rows as codec
from steersman.backends.sql.batch import Batch, Changes
from steersman.backends.sql.queue import Queue
from steersman.backends.sql.readers import Readers
from steersman.backends.sql.statements import SQL
from steersman.core.values import AuditEvent, Decision, Entry, EpisodeRecord, KillSwitch, Learned, Outcome

T = TypeVar("T")

_ALL = 2**63 - 1


class Reads:
    """The reading half of the log; without a queue (another process owns the store) it sees what is durable."""

    def __init__(self, readers: Readers, queue: Queue | None) -> None:
        self._readers = readers
        self._queue = queue

    def position(self) -> int:
        """Return the position of the last row."""
        if self._queue is not None:
            return self._queue.position
        with self._readers.lend() as connection:
            position: int = connection.execute(SQL.head).fetchone()[0]
            return position

    def decision(self, decision_id: str) -> Decision | None:
        """Return a decision, or None."""
        for found in self._look(lambda batch: batch.decisions.get(decision_id)):
            if found is not None:
                return found
        with self._readers.lend() as connection:
            row = connection.execute(SQL.decision, (decision_id,)).fetchone()
        return None if row is None else codec.decision(row[0])

    def outcomes(self, decision_id: str) -> list[Outcome]:
        """Return all revisions of an outcome, oldest first."""
        with self._view(lambda batch: list(batch.outcomes.get(decision_id, ()))) as (connection, later):
            stored = [codec.outcome(body) for (body,) in connection.execute(SQL.outcomes, (decision_id,))]
        return sorted(chain(stored, *later), key=lambda each: each.revision)

    def history(self, agent: str, until: int | None = None) -> Iterator[tuple[int, Decision, Outcome]]:
        """Yield an agent's outcomes with their decisions in log order, row by row from a snapshot."""
        last = _ALL if until is None else until

        def of_agent(batch: Batch) -> list[tuple[int, Outcome]]:
            return [(p, row) for p, row in batch.rows if isinstance(row, Outcome) and row.agent == agent and p <= last]

        with self._view(of_agent) as (connection, later):
            for position, decision, outcome in connection.execute(SQL.history, (agent, last)):
                yield position, codec.decision(decision), codec.outcome(outcome)
        for position, row in chain(*later):
            decided = self.decision(row.decision_id)
            if decided is not None:
                yield position, decided, row

    def rows(self, agent: str | None = None) -> Iterator[Decision | Outcome]:
        """Yield decisions and outcomes in log order."""
        with self._view(lambda batch: [row for _, row in batch.rows]) as (connection, later):
            decisions = ((p, codec.decision(body)) for p, body in connection.execute(SQL.all_decisions))
            outcomes = ((p, codec.outcome(body)) for p, body in connection.execute(SQL.all_outcomes))
            both: Iterable[tuple[int, Decision | Outcome]] = heapq.merge(decisions, outcomes, key=itemgetter(0))
            for _, row in both:
                if agent is None or row.agent == agent:
                    yield row
        yield from (row for row in chain(*later) if agent is None or row.agent == agent)

    def recent(self, agent: str, limit: int) -> list[Decision]:
        """Return the last decisions of an agent, newest first."""
        with self._view(lambda batch: _decisions(batch, agent)) as (connection, later):
            stored = _placed(connection, SQL.recent, (agent, limit, 0))
        newest = sorted(chain(stored, *later), key=_when, reverse=True)
        return [each for _, each in newest[:limit]]

    def last_of_episode(self, agent: str, episode: str) -> Decision | None:
        """Return the last decision of a named episode; None if it has none."""

        def named(batch: Batch) -> list[tuple[int, Decision]]:
            return [each for each in _decisions(batch, agent) if each[1].episode == episode != each[1].id]

        with self._view(named) as (connection, later):
            stored = _placed(connection, SQL.last_of_episode, (agent, episode, 1, 0))
        found = max(chain(stored, *later), default=None, key=lambda each: each[0])
        return None if found is None else found[1]

    def waiting(self, agent: str, before: float) -> list[Decision]:
        """Return decisions made before a time without an outcome, oldest first."""

        def early(batch: Batch) -> tuple[list[tuple[int, Decision]], set[str]]:
            made = [each for each in _decisions(batch, agent) if each[1].decided_at < before]
            return made, set(batch.outcomes)

        with self._view(early) as (connection, later):
            stored = _placed(connection, SQL.waiting, (agent, before))
        answered = set().union(*(each for _, each in later))
        oldest = sorted(chain(stored, *(made for made, _ in later)), key=_when)
        return [each for _, each in oldest if each.id not in answered]

    def open_episodes(self, agent: str) -> list[EpisodeRecord]:
        """Return the episodes that have not ended, oldest first."""
        return sorted(self._episodes(agent), key=lambda each: (each.started_at, each.episode))

    def _episodes(self, agent: str) -> Iterator[EpisodeRecord]:
        def changed(batch: Batch) -> tuple[bool, dict[str, EpisodeRecord]]:
            changes = batch.learned.get(agent)
            return (False, {}) if changes is None else (changes.replace, dict(changes.episodes))

        with self._view(changed) as (connection, later):
            found = _open_episodes(connection, agent)
        for replaced, episodes in later:
            found = episodes if replaced else found | episodes
        yield from (each for each in found.values() if each.ended_at is None)

    def decision_count(self, agent: str) -> int:
        """Return how many decisions an agent has made."""
        return self._queue.count(agent) if self._queue is not None else self._counts().get(agent, 0)

    def agents(self) -> list[str]:
        """Return the names of the agents that have decided, sorted."""
        return sorted(self._counts() if self._queue is None else self._queue.counts())

    def learned(self, agent: str) -> tuple[Learned, int] | None:
        """Return the whole working table, with the open episodes, and the position up to which it has learned."""

        def changed(batch: Batch) -> Changes | None:
            changes = batch.learned.get(agent)
            return None if changes is None else changes.copy()

        with self._view(changed) as (connection, later):
            found = _stored_table(connection, agent)
        for changes in later:
            if changes is not None:
                found = changes.over(None if found is None else found[0], agent), changes.position
        return found

    def audit(self, limit: int = 100) -> list[AuditEvent]:
        """Return the newest audit events, newest first."""
        with self._view(lambda batch: list(batch.audit)) as (connection, later):
            stored = [codec.audit_event(each) for each in connection.execute(SQL.audit, (limit, 0))]
        return [*reversed(list(chain(*later))), *stored][:limit]

    def kill_switches(self) -> list[KillSwitch]:
        """Return the latest word for each scope, by scope."""
        with self._view(lambda batch: list(batch.switches)) as (connection, later):
            latest = {each[0]: codec.kill_switch(each) for each in connection.execute(SQL.kill_switches)}
        latest.update({each.scope: each for each in chain(*later)})
        return [latest[scope] for scope in sorted(latest)]

    def _counts(self) -> dict[str, int]:
        with self._readers.lend() as connection:
            return dict(connection.execute(SQL.agents))

    def _look(self, found: Callable[[Batch], T]) -> list[T]:
        return [] if self._queue is None else self._queue.look(found)

    @contextmanager
    def _view(self, found: Callable[[Batch], T]) -> Iterator[tuple[sqlite3.Connection, list[T]]]:
        """Begin a snapshot and give it with what `found` says of each batch that is not in it: together, the whole log."""
        with self._readers.lend() as connection:
            if self._queue is None:
                connection.execute("BEGIN")
                yield connection, []
            else:
                yield connection, self._queue.view(connection, found)


def _decisions(batch: Batch, agent: str) -> list[tuple[int, Decision]]:
    return [(p, row) for p, row in batch.rows if isinstance(row, Decision) and row.agent == agent]


def _when(placed: tuple[int, Decision]) -> tuple[float, int]:
    return placed[1].decided_at, placed[0]


def _placed(connection: sqlite3.Connection, statement: str, parameters: tuple[object, ...]) -> list[tuple[int, Decision]]:
    return [(position, codec.decision(body)) for position, body in connection.execute(statement, parameters)]


def _open_episodes(connection: sqlite3.Connection, agent: str) -> dict[str, EpisodeRecord]:
    found = [codec.episode(each) for each in connection.execute(SQL.open_episodes, (agent,))]
    return {each.episode: each for each in found}


def _stored_table(connection: sqlite3.Connection, agent: str) -> tuple[Learned, int] | None:
    head = connection.execute(SQL.learned, (agent,)).fetchone()
    if head is None:
        return None
    entries = {(key, slot): Entry(*numbers) for key, slot, *numbers in connection.execute(SQL.entries, (agent,))}
    states = {key: msgspec.json.decode(bins, type=dict[str, int]) for key, bins in connection.execute(SQL.states, (agent,))}
    position, carry = head
    episodes = _open_episodes(connection, agent)
    table = Learned(agent=agent, entries=entries, states=states, removed=set(), episodes=episodes, carry=carry)
    return table, position

"""What can be asked of the log: a snapshot of the tables, and over it the batches that are not in the snapshot yet."""

import heapq
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, closing, contextmanager
from itertools import chain
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import msgspec

from steersman.backends.sql import rows as codec
from steersman.backends.sql.batch import Batch, Changes
from steersman.backends.sql.queue import Queue
from steersman.core.values import (
    ApiKey,
    AuditEvent,
    Contribution,
    Control,
    Decision,
    Entry,
    EpisodeRecord,
    Figures,
    Learned,
    Outcome,
    Taken,
    Window,
)

if TYPE_CHECKING:
    from steersman.backends.sql.queries import Queries

T = TypeVar("T")

_ALL = 2**63 - 1
_BEFORE_ALL = -1


class Connection(Protocol):
    """What the drivers' connections have in common."""

    def execute(self, query: Any, parameters: Any = ..., /) -> Any:
        """Run a statement and return a cursor over what it found."""


class Pool(Protocol):
    """Connections to read with."""

    def lend(self) -> AbstractContextManager[Connection]:
        """Lend a connection; a snapshot begun on it ends when it comes back."""

    def begin(self, connection: Any) -> int:
        """Begin a snapshot and return how many of this process' batches are in it."""

    def ask(self, connection: Any, statement: str, parameters: tuple[object, ...]) -> list[Any]:
        """Return the rows of an answer whose way to them depends on the parameters."""

    def scan(self, connection: Any, statement: str, parameters: tuple[object, ...]) -> "Scan":
        """Return the rows of a long answer, fetched as they are taken."""


class Scan(Protocol):
    """Rows on their way."""

    def __iter__(self) -> Iterator[Any]:
        """Yield the rows."""

    def close(self) -> None:
        """Fetch no more."""


class Reads:
    """The reading half of the log; without a queue (another process owns the store) it sees what is durable."""

    def __init__(self, readers: Pool, queue: Queue | None, sql: "Queries") -> None:
        self._readers = readers
        self._queue = queue
        self._sql = sql

    def decision(self, decision_id: str) -> Decision | None:
        """Return a decision, or None."""
        for _, found in self._look(lambda batch: batch.decisions.get(decision_id)):
            if found is not None:
                return found
        with self._readers.lend() as connection:
            row = connection.execute(self._sql.decision, (decision_id,)).fetchone()
        return None if row is None else codec.decision(row[0])

    def taken(self, stream: str, event: str) -> Taken | None:
        """Return what an event led to, or None."""
        for _, found in self._look(lambda batch: batch.taken.get((stream, event))):
            if found is not None:
                return found
        with self._readers.lend() as connection:
            row = connection.execute(self._sql.taken, (stream, event)).fetchone()
        return None if row is None else codec.taken(row)

    def outcomes(self, decision_id: str) -> list[Outcome]:
        """Return all revisions of an outcome, oldest first."""
        with self._view(lambda batch: list(batch.outcomes.get(decision_id, ()))) as (connection, later):
            stored = [codec.outcome(body) for (body,) in connection.execute(self._sql.outcomes, (decision_id,))]
        return sorted(chain(stored, *later), key=lambda each: each.revision)

    def history(
        self, agent: str, until: int | None = None, *, after: int = 0, durable: bool = False
    ) -> Iterator[tuple[int, Decision, Outcome]]:
        """Yield an agent's outcomes with their decisions in log order, row by row from a snapshot."""
        last = _ALL if until is None else until

        def of_agent(batch: Batch) -> list[tuple[int, Outcome]]:
            mine = ((p, row) for p, row in batch.rows if isinstance(row, Outcome) and row.agent == agent)
            return [(p, row) for p, row in mine if after < p <= last]

        with (
            self._view(of_agent) as (connection, later),
            closing(self._readers.scan(connection, self._sql.history, (agent, after, last))) as found,
        ):
            for position, decision, outcome in found:
                yield position, codec.decision(decision), codec.outcome(outcome)
        for position, row in () if durable else chain(*later):
            decided = self.decision(row.decision_id)
            if decided is not None:
                yield position, decided, row

    def since(self, agent: str, after: int, limit: int) -> list[tuple[int, Decision | Outcome]]:
        """Return an agent's next durable decisions and outcomes behind a position, in log order, by one statement."""
        with self._readers.lend() as connection:
            found = self._readers.ask(connection, self._sql.since, (agent, after, limit, agent, after, limit, limit))
        return [(place, codec.decision(body) if decided else codec.outcome(body)) for place, decided, body in found]

    def sample(
        self, agent: str, shares: Sequence[float], keys: Callable[[list[int]], object]
    ) -> list[tuple[Decision, Outcome]]:
        """Return what is durable at shares of an agent's span of positions; `keys` makes a parameter of many positions."""
        with self._readers.lend() as connection:
            first, last = connection.execute(self._sql.span, (agent,)).fetchone()
            if first is None:
                return []
            wanted = keys([first + int(share * (last - first + 1)) for share in shares])
            found = connection.execute(self._sql.sample, (wanted, agent)).fetchall()
        return [(codec.decision(decided), codec.outcome(came)) for decided, came in found]

    def rows(self, agent: str | None = None) -> Iterator[Decision | Outcome]:
        """Yield decisions and outcomes in log order."""
        with (
            self._view(lambda batch: [row for _, row in batch.rows]) as (connection, later),
            closing(self._readers.scan(connection, self._sql.all_decisions, ())) as decided,
            closing(self._readers.scan(connection, self._sql.all_outcomes, ())) as came,
        ):
            decisions = ((p, codec.decision(body)) for p, body in decided)
            outcomes = ((p, codec.outcome(body)) for p, body in came)
            both: Iterable[tuple[int, Decision | Outcome]] = heapq.merge(decisions, outcomes, key=itemgetter(0))
            yield from (row for _, row in both if agent is None or row.agent == agent)
        yield from (row for row in chain(*later) if agent is None or row.agent == agent)

    def recent(self, agent: str, limit: int) -> list[Decision]:
        """Return the last decisions of an agent, newest first."""
        with self._view(lambda batch: _decisions(batch, agent)) as (connection, later):
            stored = _placed(connection, self._sql.recent, (agent, limit))
        newest = sorted(chain(stored, *later), key=_when, reverse=True)
        return [each for _, each in newest[:limit]]

    def of_episode(self, agent: str, episode: str) -> list[Decision]:
        """Return the decisions of a named episode, in log order."""

        def named(batch: Batch) -> list[tuple[int, Decision]]:
            return [each for each in _decisions(batch, agent) if each[1].episode == episode != each[1].id]

        with self._view(named) as (connection, later):
            stored = _placed(connection, self._sql.of_episode, (agent, episode))
        return [each for _, each in sorted(chain(stored, *later), key=itemgetter(0))]

    def waiting(self, agent: str, before: float) -> list[Decision]:
        """Return decisions made before a time without an outcome, oldest first."""

        def early(batch: Batch) -> tuple[list[tuple[int, Decision]], set[str]]:
            made = [each for each in _decisions(batch, agent) if each[1].decided_at < before]
            return made, set(batch.outcomes)

        with self._view(early) as (connection, later):
            stored = _placed(connection, self._sql.waiting, (agent, before))
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
            found = self._open_episodes(connection, agent)
        for replaced, episodes in later:
            found = episodes if replaced else found | episodes
        yield from (each for each in found.values() if each.ended_at is None)

    def learned(self, agent: str) -> tuple[Learned, int] | None:
        """Return the whole working table, with the open episodes, and the position up to which it has learned."""

        def changed(batch: Batch) -> Changes | None:
            changes = batch.learned.get(agent)
            return None if changes is None else changes.copy()

        with self._view(changed) as (connection, later):
            found = self._stored_table(connection, agent)
        for changes in later:
            if changes is not None:
                found = changes.over(None if found is None else found[0], agent), changes.position
        return found

    def learned_since(self, agent: str, version: int) -> Learned | None:
        """Return what was stored of a table after a version, as durable; all of it after 0. None if nothing was."""
        with self._readers.lend() as connection:
            self._readers.begin(connection)
            found = self._stored_table(connection, agent, version, follow=True)
        if found is None:
            return None
        found[0].position = found[1]
        return found[0]

    def counts(self) -> dict[tuple[str, int], int]:
        """Return how many decisions each agent has made in each stream."""
        with self._view(lambda batch: [(row.agent, row.stream) for row in batch.decisions.values()]) as (connection, later):
            stored = {(agent, stream): count for agent, stream, count in connection.execute(self._sql.counts)}
        return dict(Counter(stored) + Counter(chain(*later)))

    def audit(self, limit: int = 100) -> list[AuditEvent]:
        """Return the newest audit events, newest first."""
        with self._view(lambda batch: list(batch.audit)) as (connection, later):
            stored = [codec.audit_event(each) for each in connection.execute(self._sql.audit, (limit,))]
        return [*reversed(list(chain(*later))), *stored][:limit]

    def trail(self, after: int, limit: int) -> list[AuditEvent]:
        """Return the next events of the chain behind a number, oldest first, as they are stored."""
        with self._readers.lend() as connection:
            return [codec.audit_event(each) for each in connection.execute(self._sql.trail, (after, limit))]

    def controls(self) -> list[Control]:
        """Return the latest word of each kind for each scope, by kind and scope."""
        with self._view(lambda batch: list(batch.controls)) as (connection, later):
            stored = [codec.control(each) for each in connection.execute(self._sql.controls)]
        latest = {(each.kind, each.scope): each for each in chain(stored, *later)}
        return [latest[place] for place in sorted(latest)]

    def keys(self) -> list[ApiKey]:
        """Return the latest row of each API key, by id."""
        with self._view(lambda batch: list(batch.keys.values())) as (connection, later):
            stored = [codec.api_key(each) for each in connection.execute(self._sql.keys)]
        latest = {each.id: each for each in chain(stored, *later)}
        return [latest[name] for name in sorted(latest)]

    def figures(self, after: int, until: int | None) -> list[Figures]:
        """Return what happened between two positions, summed; of what is durable."""
        with self._readers.lend() as connection:
            self._readers.begin(connection)
            between = (after, _ALL if until is None else until)
            found = [codec.decided(each) for each in connection.execute(self._sql.decided, between)]
            found += [codec.rewarded(each, sign=1) for each in connection.execute(self._sql.rewarded, between)]
            found += [codec.rewarded(each, sign=-1) for each in connection.execute(self._sql.replaced, between)]
        return found

    def durable_position(self) -> int:
        """Return the position of the last row that is durable."""
        with self._readers.lend() as connection:
            (position, *_) = connection.execute(self._sql.head).fetchone()
        return int(position)

    def base(self, agent: str) -> Learned | None:
        """Return what was learned of an agent's rows that were cut."""
        with self._view(lambda batch: [each for each in batch.cuts if each.agent == agent]) as (connection, later):
            row = connection.execute(self._sql.base, (agent,)).fetchone()
        waiting = list(chain(*later))
        return waiting[-1] if waiting else row and codec.learned(bytes(row[0]))

    def windows(self, agent: str, limit: int) -> list[Window]:
        """Return an agent's last windows of learning, newest first."""

        def changed(batch: Batch) -> tuple[bool, dict[int, Window]]:
            changes = batch.learned.get(agent)
            return (False, {}) if changes is None else (changes.replace, dict(changes.windows))

        with self._view(changed) as (connection, later):
            found = {each.number: each for each in map(codec.window, connection.execute(self._sql.windows, (agent, limit)))}
        for replaced, windows in later:
            found = windows if replaced else found | windows
        return [found[number] for number in sorted(found, reverse=True)][:limit]

    def contributions(self, pool: str) -> list[Contribution]:
        """Return what each source of a pool said last, by source, key and role."""
        with self._view(lambda batch: [row for place, row in batch.contributions.items() if place[0] == pool]) as view:
            connection, later = view
            stored = [codec.contribution(each) for each in connection.execute(self._sql.contributions, (pool,))]
        latest = {(each.source, each.key, each.role): each for each in chain(stored, *later)}
        return [latest[place] for place in sorted(latest) if latest[place].count > 0]

    def _look(self, found: Callable[[Batch], T]) -> list[tuple[Batch, T]]:
        return [] if self._queue is None else self._queue.look(found)

    @contextmanager
    def _view(self, found: Callable[[Batch], T]) -> Iterator[tuple[Connection, list[T]]]:
        """Begin a snapshot and give it with what `found` says of each batch that is not in it: together, the whole log.

        The batches are looked at first: one that is written meanwhile is then in the snapshot as well, and left out.
        """
        seen = self._look(found)
        with self._readers.lend() as connection:
            commits = self._readers.begin(connection)
            yield connection, [each for batch, each in seen if batch.number == 0 or batch.number > commits]

    def _open_episodes(self, connection: Connection, agent: str) -> dict[str, EpisodeRecord]:
        found = [codec.episode(each) for each in connection.execute(self._sql.open_episodes, (agent,))]
        return {each.episode: each for each in found}

    def _stored_table(
        self, connection: Connection, agent: str, seen: int = 0, *, follow: bool = False
    ) -> tuple[Learned, int] | None:
        """Return what was stored of a table after a version, or all of it if entries were taken away since; its position."""
        head = connection.execute(self._sql.learned, (agent,)).fetchone()
        if head is None:
            return None
        position, carry, version, replaced = head
        if follow and version == seen:
            return None
        since = seen if seen and replaced <= seen else _BEFORE_ALL
        entries = connection.execute(self._sql.entries, (agent, since))
        states = connection.execute(self._sql.states, (agent, since))
        table = Learned(
            agent=agent,
            entries={(key, slot): Entry(*numbers) for key, slot, *numbers in entries},
            states={key: msgspec.json.decode(bins, type=dict[str, int]) for key, bins in states},
            removed=set(),
            episodes=self._open_episodes(connection, agent),
            carry=bytes(carry),
        )
        table.replace = bool(seen) and since != seen
        table.version = version if follow else 0
        return table, position


def _decisions(batch: Batch, agent: str) -> list[tuple[int, Decision]]:
    return [(p, row) for p, row in batch.rows if isinstance(row, Decision) and row.agent == agent]


def _when(placed: tuple[int, Decision]) -> tuple[float, int]:
    return placed[1].decided_at, placed[0]


def _placed(connection: Connection, statement: str, parameters: tuple[object, ...]) -> list[tuple[int, Decision]]:
    return [(position, codec.decision(body)) for position, body in connection.execute(statement, parameters)]

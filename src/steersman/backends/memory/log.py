"""`MemoryLog`: the log as plainly as it can be written. What the other backends must do, read here."""

import threading
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from itertools import islice

from steersman.backends.memory.figures import counted, decided
from steersman.backends.memory.table import Table, check_finite, read_back
from steersman.core.chain import chained
from steersman.core.errors import Conflict, DeadlineExceeded, NotFound, Overloaded, StoreError
from steersman.core.ports import Row
from steersman.core.values import (
    TAKEN_S,
    ApiKey,
    AuditEvent,
    Contribution,
    Control,
    Decision,
    EpisodeRecord,
    Figures,
    Learned,
    Outcome,
    Taken,
    Window,
)


class MemoryReceipt:
    """Done once the log is not stalled, or has been since."""

    def __init__(self, log: "MemoryLog", ticket: int) -> None:
        self._log = log
        self._ticket = ticket

    def wait(self, timeout_s: float | None = None) -> None:
        """Return once the rows count as durable. Raises DeadlineExceeded, or StoreError if they never will."""
        self._log.wait_for(self._ticket, timeout_s)

    def done(self) -> bool:
        """Return whether the rows count as durable."""
        return self._log.durable >= self._ticket

    def settled(self) -> bool:
        """Return whether `wait` would return, or raise, at once."""
        return self._log.settled(self._ticket)

    def notify(self, callback: Callable[[], None]) -> None:
        """Have a callback called once this is settled."""
        self._log.notify(self._ticket, callback)


class MemoryGrant(MemoryReceipt):
    """Tokens, once the log is not stalled."""

    def __init__(self, log: "MemoryLog", ticket: int, count: int) -> None:
        super().__init__(log, ticket)
        self._count = count

    @property
    def granted(self) -> int:
        """How many there are."""
        return self._count if self.done() else 0


class MemoryLog:
    """The `Log` port without a disk. `stall` makes it behave as a log whose disk is full, until `resume`."""

    def __init__(self, *, queue_rows: int = 100_000, audit_key: bytes = b"", taken_s: float = TAKEN_S) -> None:
        self._queue_rows = queue_rows
        self._audit_key = audit_key
        self._changed = threading.Condition(threading.RLock())
        self._rows: list[Decision | Outcome | None] = []  # None where a row was cut
        self._places: dict[str, list[int]] = {}  # the positions of each agent's rows
        self._stored = 0
        self._counts: Counter[tuple[str, int]] = Counter()
        self._bases: dict[str, Learned] = {}
        self._decisions: dict[str, tuple[int, Decision]] = {}
        self._outcomes: dict[str, list[Outcome]] = {}
        self._episodes: dict[tuple[str, str], list[Decision]] = {}  # by agent and name; those that nobody named left out
        self._tables: dict[str, Table] = {}
        self._audit: list[AuditEvent] = []
        self._controls: dict[tuple[str, str], Control] = {}
        self._keys: dict[str, ApiKey] = {}
        self._taken: dict[tuple[str, str], Taken] = {}
        self._taken_s = taken_s
        self._callbacks: dict[Callable[[], None], None] = {}
        self._pools: dict[str, dict[tuple[str, str, str], Contribution]] = {}
        self._tokens: dict[tuple[str, int], int] = {}
        self._stalled = ""
        self._closed = False
        self._waiting_rows = 0
        self._ticket = 0
        self.durable = 0

    def append(self, rows: Sequence[Row], learned: Learned | None = None) -> MemoryReceipt:
        """Put rows at the end. Raises Overloaded, Conflict, NotFound or InvalidInput: nothing was taken then."""
        with self._changed:
            if self._closed:
                raise StoreError("the log is closed. Open the store again to append.")
            if learned is None and any(isinstance(row, Decision | Outcome | Taken) for row in rows):
                self.reserve(len(rows))  # a person's hand on the switch always finds room
            if learned is not None:
                check_finite(learned)
            kept = [read_back(row) for row in rows]
            self._refuse_known(kept)
            for row in kept:
                self._take(row)
            if learned is not None:
                self._tables.setdefault(learned.agent, Table()).learn(
                    learned, self.position if learned.position is None else learned.position
                )
            self._ticket += bool(rows) or learned is not None
            self._waiting_rows += len(rows)
            self._settle()
            return MemoryReceipt(self, self._ticket)

    def reserve(self, rows: int = 1) -> None:
        """Return if there is room for rows. Raises Overloaded if not."""
        if self._waiting_rows + rows > self._queue_rows:
            raise Overloaded(f"{self._waiting_rows} rows wait and the queue holds {self._queue_rows}. Try again later.")

    @property
    def position(self) -> int:
        """The position of the last row."""
        return len(self._rows)

    def taken(self, stream: str, event: str) -> Taken | None:
        """Return what an event led to; None if it was not taken, or so long ago that it was forgotten."""
        return self._taken.get((stream, event))

    @property
    def shared(self) -> bool:
        """Nobody else can reach it."""
        return False

    @property
    def stream(self) -> int:
        """It is alone."""
        return 0

    def flush(self, timeout_s: float | None = None) -> None:
        """Wait until all that was appended counts as durable. Raises DeadlineExceeded or StoreError."""
        self.wait_for(self._ticket, timeout_s)

    def health(self) -> str:
        """Return "" or why the log is stalled."""
        return self._stalled

    def decision(self, decision_id: str) -> Decision | None:
        """Return a decision, or None."""
        found = self._decisions.get(decision_id)
        return None if found is None else found[1]

    def outcomes(self, decision_id: str) -> list[Outcome]:
        """Return all revisions of an outcome, oldest first."""
        return sorted(self._outcomes.get(decision_id, []), key=lambda each: each.revision)

    def history(
        self, agent: str, until: int | None = None, *, after: int = 0, durable: bool = False
    ) -> Iterator[tuple[int, Decision, Outcome]]:
        """Yield (position, decision, outcome) for each outcome of an agent whose decision is known, in log order."""
        for position, row in enumerate(self._rows[after:until], start=after + 1):
            if isinstance(row, Outcome) and row.agent == agent and row.decision_id in self._decisions:
                yield position, self._decisions[row.decision_id][1], row

    def since(self, agent: str, after: int, limit: int = 10_000) -> list[tuple[int, Decision | Outcome]]:
        """Return an agent's next decisions and outcomes behind a position, in log order; of what counts as durable."""
        mine = self._places.get(agent, [])
        behind = islice(mine, bisect_right(mine, after), bisect_right(mine, self._stored))
        found = ((position, self._rows[position - 1]) for position in behind)
        return list(islice(((position, row) for position, row in found if row is not None), limit))

    def sample(self, agent: str, shares: Sequence[float]) -> list[tuple[Decision, Outcome]]:
        """Return a decision with its last outcome for each share of the agent's span of positions."""
        mine = [place for place, row in enumerate(self._rows) if isinstance(row, Outcome) and row.agent == agent]
        found = []
        for share in shares if mine else ():
            wanted = mine[0] + int(share * (mine[-1] - mine[0] + 1))
            row = self._rows[mine[bisect_left(mine, wanted)]]
            assert isinstance(row, Outcome)  # noqa: S101 - `mine` holds the places of outcomes
            found.append((self._decisions[row.decision_id][1], self.outcomes(row.decision_id)[-1]))
        return found

    def rows(self, agent: str | None = None) -> Iterator[Decision | Outcome]:
        """Yield decisions and outcomes in log order."""
        return (row for row in list(self._rows) if row is not None and agent in (None, row.agent))

    def recent(self, agent: str, limit: int) -> list[Decision]:
        """Return the last decisions of an agent, newest first."""
        return self._made(agent)[::-1][:limit]

    def of_episode(self, agent: str, episode: str) -> list[Decision]:
        """Return the decisions of a named episode, in log order."""
        return list(self._episodes.get((agent, episode), ()))

    def waiting(self, agent: str, before: float) -> list[Decision]:
        """Return decisions made before a time without an outcome, oldest first."""
        return [each for each in self._made(agent) if each.decided_at < before and each.id not in self._outcomes]

    def open_episodes(self, agent: str) -> list[EpisodeRecord]:
        """Return the episodes that have not ended, oldest first."""
        found = self._tables[agent].open_episodes() if agent in self._tables else []
        return sorted(found, key=lambda each: (each.started_at, each.episode))

    def decision_count(self, agent: str, stream: int | None = None) -> int:
        """Return how many decisions an agent has made, in one stream or in all."""
        return sum(count for (name, each), count in self._counts.items() if name == agent and stream in (None, each))

    def agents(self) -> list[str]:
        """Return the names of the agents that have decided, sorted."""
        return sorted({agent for agent, _ in self._counts})

    def learned(self, agent: str) -> tuple[Learned, int] | None:
        """Return the agent's working table with its open episodes, and the position up to which it has learned."""
        return self._tables[agent].whole(agent) if agent in self._tables else None

    def windows(self, agent: str, limit: int = 10) -> list[Window]:
        """Return the agent's last windows of learning, newest first."""
        return self._tables[agent].windows(limit) if agent in self._tables else []

    def audit(self, limit: int = 100) -> list[AuditEvent]:
        """Return the newest audit events, newest first."""
        return self._audit[::-1][:limit]

    def controls(self) -> list[Control]:
        """Return the latest word of each kind for each scope, by kind and scope."""
        return [self._controls[place] for place in sorted(self._controls)]

    def trail(self, after: int = 0, limit: int = 1_000) -> list[AuditEvent]:
        """Return the next audit events behind a number, oldest first."""
        return self._audit[max(after, 0) :][:limit]

    def keys(self) -> list[ApiKey]:
        """Return the latest row of each API key, by id."""
        return [self._keys[name] for name in sorted(self._keys)]

    def figures(self, after: int = 0, until: int | None = None) -> list[Figures]:
        """Return what happened between two positions, one row for each decision and each revision of an outcome."""
        found: list[Figures] = []
        for row in self._rows[after:until]:
            if isinstance(row, Decision):
                found.append(decided(row))
            elif isinstance(row, Outcome):
                made = self._decisions[row.decision_id][1]
                found.append(counted(made, row))
                found += [counted(made, each, -1) for each in self.outcomes(made.id) if each.revision == row.revision - 1]
        return found

    @property
    def durable_position(self) -> int:
        """The position of the last row; all are as durable as they will be."""
        return self.position

    def contributions(self, pool: str) -> list[Contribution]:
        """Return what each source of a pool said last, rows taken back left out, by source, key and role."""
        said = self._pools.get(pool, {})
        return [said[place] for place in sorted(said)]

    def base(self, agent: str) -> Learned | None:
        """Return what was learned of an agent's rows that were cut."""
        return self._bases.get(agent)

    def cut(self, base: Learned) -> MemoryReceipt:
        """Put what was learned up to a position in the place of an agent's rows up to there."""
        with self._changed:
            for place, row in enumerate(self._rows[: base.position]):
                if isinstance(row, Outcome) and row.agent == base.agent:
                    self._outcomes[row.decision_id].remove(row)
                    self._rows[place] = None
            for place, row in enumerate(self._rows[: base.position]):
                if isinstance(row, Decision) and row.agent == base.agent and self._outcomes.get(row.id) == []:
                    del self._outcomes[row.id], self._decisions[row.id]
                    self._rows[place] = None
                    if row.episode != row.id:
                        self._leave_episode(row)
            self._bases[base.agent] = base
            self._ticket += 1
            self._settle()
            return MemoryReceipt(self, self._ticket)

    def reserve_tokens(self, agent: str, period: int, count: int, budget: int) -> "MemoryGrant":
        """Grant as many of a period's tokens as are left."""
        with self._changed:
            reserved = self._tokens.get((agent, period), 0)
            granted = max(0, min(count, budget - reserved))
            self._tokens[agent, period] = reserved + granted
            self._ticket += 1
            self._settle()
            return MemoryGrant(self, self._ticket, granted)

    def close(self) -> None:
        """End the log. Raises StoreError if it is stalled and rows wait."""
        with self._changed:
            lost, self._closed = self._waiting_rows, True
            self._tell()
        if lost:
            raise StoreError(f"{lost} rows could not be stored and were not acknowledged: {self._stalled}.")

    def stall(self, reason: str) -> None:
        """Acknowledge nothing from now on, as if the disk were full."""
        self._stalled = reason

    def resume(self) -> None:
        """Acknowledge what waits."""
        with self._changed:
            self._stalled = ""
            self._settle()

    def wait_for(self, ticket: int, timeout_s: float | None) -> None:
        """Return once everything up to a ticket counts as durable."""
        with self._changed:
            if not self._changed.wait_for(lambda: self.durable >= ticket or self._closed, timeout_s):
                raise DeadlineExceeded(f"not durable after {timeout_s} s: {self._stalled}.")
            if self.durable < ticket:
                raise StoreError(f"the rows were not stored: {self._stalled}. Report them again.")

    def settled(self, ticket: int) -> bool:
        """Return whether it is known what became of everything up to a ticket."""
        return self.durable >= ticket or self._closed

    def notify(self, ticket: int, callback: Callable[[], None]) -> None:
        """Have a callback called once everything up to a ticket is settled."""
        with self._changed:
            if not self.settled(ticket):
                self._callbacks[callback] = None
                return
        callback()

    def _made(self, agent: str) -> list[Decision]:
        made = [each for each in self._decisions.values() if each[1].agent == agent]
        return [each for _, each in sorted(made, key=lambda placed: (placed[1].decided_at, placed[0]))]

    def _take(self, row: Row) -> None:
        if isinstance(row, Decision):
            self._place(row)
            self._decisions[row.id] = (len(self._rows), row)
            self._counts[row.agent, row.stream] += 1
            if row.episode != row.id:
                self._episodes.setdefault((row.agent, row.episode), []).append(row)
        elif isinstance(row, Outcome):
            self._place(row)
            self._outcomes.setdefault(row.decision_id, []).append(row)
        elif isinstance(row, AuditEvent):
            self._audit += chained(self._audit_key, self._audit[-1] if self._audit else None, [row])
        elif isinstance(row, Contribution):
            place = (row.source, row.key, row.role)
            said = self._pools.setdefault(row.pool, {})
            said.pop(place, None)
            if row.count > 0.0:
                said[place] = row
        elif isinstance(row, Taken):
            self._taken[row.stream, row.event] = row
            while (oldest := next(iter(self._taken.values()))).at < row.at - self._taken_s:
                del self._taken[oldest.stream, oldest.event]
        elif isinstance(row, ApiKey):
            self._keys[row.id] = row
        else:
            self._controls[row.kind, row.scope] = row

    def _leave_episode(self, row: Decision) -> None:
        left = self._episodes[row.agent, row.episode]
        left.remove(row)
        if not left:
            del self._episodes[row.agent, row.episode]

    def _place(self, row: Decision | Outcome) -> None:
        self._rows.append(row)
        self._places.setdefault(row.agent, []).append(len(self._rows))

    def _refuse_known(self, rows: Sequence[Row]) -> None:
        """Raise Conflict for a row that the log holds, NotFound for an outcome of no decision."""
        given: set[object] = set()
        for row in rows:
            if isinstance(row, Taken):
                place = (row.stream, row.event)
                if place in given or place in self._taken:
                    raise Conflict(f"event {row.event!r} of {row.stream} was taken already. Nothing was taken.")
                given.add(place)
            elif isinstance(row, Decision | Outcome):
                key = row.id if isinstance(row, Decision) else (row.decision_id, row.revision)
                if key in given or self._holds(row):
                    raise Conflict(f"the log already holds {key}; rows are never changed. Nothing was taken.")
                given.add(key)
        for row in rows:
            if isinstance(row, Outcome) and row.decision_id not in given and row.decision_id not in self._decisions:
                raise NotFound(f"there is no decision {row.decision_id!r} for an outcome. Nothing was taken.")

    def _holds(self, row: Decision | Outcome) -> bool:
        if isinstance(row, Decision):
            return row.id in self._decisions
        return any(each.revision == row.revision for each in self._outcomes.get(row.decision_id, ()))

    def _settle(self) -> None:
        if not self._stalled:
            self.durable, self._waiting_rows, self._stored = self._ticket, 0, len(self._rows)
            self._tell()

    def _tell(self) -> None:
        callbacks, self._callbacks = self._callbacks, {}
        for callback in callbacks:
            callback()
        self._changed.notify_all()

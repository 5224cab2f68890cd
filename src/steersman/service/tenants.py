"""Tenants: a store for each, opened when first asked for, and what the service remembers of it to answer quickly."""

import asyncio
import hashlib
import re
import threading
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, Protocol, cast

from steersman.app import Steersman
from steersman.core.access import DEFAULT_TENANT
from steersman.core.ports import Meter, Receipt, SharedLog
from steersman.core.values import Decision, Outcome
from steersman.loops.agent import Agent
from steersman.service.events import Changes

_MOST_RECENT = 100_000
_MOST_EPISODES = 50_000
_PLAIN = re.compile(r"[a-z0-9]+")
_HASHED = 12
_LOCKS = 64

Opener = Callable[[str, Sequence[Meter]], Steersman]
"""Opens a tenant's store by its name; meters are told what its agents do."""


def tenant_url(url: str, name: str) -> str:
    """Return where a tenant's store is, from where the default tenant's is.

    Beside a file FILE.db it is FILE.tenants/NAME.db; in PostgreSQL it is a schema of its own.
    """
    if name == DEFAULT_TENANT or url.startswith("memory:"):
        return url
    if url.startswith(("postgresql://", "postgres://")):
        return _with_schema(url, name)
    scheme, found, rest = url.partition("://")
    path = Path(rest if found else url)
    file = path.with_suffix(".tenants") / f"{name}.db"
    return f"{scheme}{found}{file}" if found else str(file)


def _with_schema(url: str, name: str) -> str:
    bare, _, query = url.partition("?")
    options = [each for each in query.split("&") if each]
    base = next((each.removeprefix("schema=") for each in options[::-1] if each.startswith("schema=")), "steersman")
    others = [each for each in options if not each.startswith("schema=")]
    return f"{bare}?{'&'.join([*others, f'schema={base}_t_{_identifier(name)}'])}"


def _identifier(name: str) -> str:
    """Return a tenant's name as a part of an identifier of SQL, never the same for two of them."""
    if _PLAIN.fullmatch(name):
        return name
    return f"{re.sub('[^a-z0-9]', '', name)[:20]}_{hashlib.sha256(name.encode()).hexdigest()[:_HASHED]}"


class Metrics(Meter, Protocol):
    """A meter that also tells what it counted."""

    def served(self, operation: str, status: int, seconds: float) -> None:
        """Count a request that was answered."""

    def observe(self, steersman: Any) -> None:
        """Read anew what is computed from the agents and their store."""

    def exposition(self, accept: str = "") -> tuple[bytes, str]:
        """Return the text of all metrics and its content type."""


class Tracing(Meter, Protocol):
    """A meter that spans decisions and what comes of them."""

    def deciding(self, agent: str, traceparent: str = "", tracestate: str = "") -> AbstractContextManager[str]:
        """Span a decision, and give the traceparent that is to be stored with it."""

    def close(self) -> None:
        """Send what is left."""


class LastSaid:
    """A `Meter` that catches the outcome that a report makes, while it is made, so that the log need not be asked.

    Meters are told in the thread that reports, so each thread has a catch of its own, and callers may overlap.
    recorded_of: is told of each decision that has an outcome now, whoever gave it.
    """

    def __init__(self, recorded_of: Callable[[str], object] = lambda decision_id: None) -> None:
        self._recorded_of = recorded_of
        self._here = threading.local()

    def decided(self, decision: Decision) -> None:
        """Decisions are returned by who makes them."""

    def recorded(self, decision: Decision, outcome: Outcome) -> None:
        """Catch an outcome that somebody waits for."""
        self._recorded_of(decision.id)
        if getattr(self._here, "awaited", None) == decision.id:
            self._here.caught = outcome

    def learned(self, decision: Decision, outcome: Outcome) -> None:
        """What was learned of it is not asked."""

    def by(self, decision_id: str, report: Callable[[], Receipt]) -> tuple[Receipt, Outcome | None]:
        """Return what a report gives, with the outcome that it made; None where it was there already."""
        self._here.awaited, self._here.caught = decision_id, None
        try:
            receipt = report()
            return receipt, self._here.caught
        finally:
            self._here.awaited = self._here.caught = None


class Tenant:
    """One store with the agents on it.

    recent: decisions that wait for a first outcome, and need not be looked for. episodes: named episodes of a shared
    store that this process knows. metrics: what counts in it, if anything does. busy: how many threads hold an agent, or
    will, for as long as it takes to learn anew: nobody on the event loop may wait for it then.
    """

    def __init__(self, name: str, opener: Opener, metrics: Metrics | None = None, others: Sequence[Meter] = ()) -> None:
        self.name = name
        self.metrics = metrics
        self.changes = Changes()
        self.recent: OrderedDict[str, Decision] = OrderedDict()
        self.said = LastSaid(self.forget)
        self.steersman = opener(name, (self.changes, self.said, *others, *(() if metrics is None else (metrics,))))
        self.shared = self.steersman.log.shared
        self.agents: dict[str, Agent] = {}
        self.episodes: OrderedDict[tuple[str, str], None] = OrderedDict()
        self.busy: Counter[str] = Counter()
        self._counting = threading.Lock()
        self._head = 0
        self._moves: dict[str, int] | None = None
        self._looking = threading.Lock()
        self._revising = [asyncio.Lock() for _ in range(_LOCKS)]

    def open_agent(self, name: str) -> Agent:
        """Return an agent; the first time it is put together, which may take long. Raises NotFound."""
        found = self.agents.get(name)
        if found is None:
            found = self.agents[name] = self.steersman.agent(name)
        return found

    def open_all(self) -> None:
        """Open all agents that have decided, so that what is reported of them is learned."""
        known = set(self.steersman.catalog.names())
        for name in self.steersman.log.agents():
            if name in known:
                self.open_agent(name)

    def remember(self, decision: Decision, episode: str | None) -> None:
        """Keep a decision at hand for its outcome; the oldest go first, and are then read from the log."""
        self.recent[decision.id] = decision
        if len(self.recent) > _MOST_RECENT:
            self.recent.popitem(last=False)
        if episode is not None and self.shared:
            self.episodes[decision.agent, episode] = None
            if len(self.episodes) > _MOST_EPISODES:
                self.episodes.popitem(last=False)

    def forget(self, decision_id: str) -> None:
        """Let go of a decision that has an outcome, reported or by default: what comes next of it revises that."""
        self.recent.pop(decision_id, None)

    def revising(self, decision_id: str) -> asyncio.Lock:
        """Return the lock under which one after the other revises an outcome.

        So the revision that was looked at is still the last one when the next is appended.
        """
        return self._revising[hash(decision_id) % _LOCKS]

    @contextmanager
    def held(self, agent: str) -> Iterator[None]:
        """Say that a thread holds an agent."""
        with self._counting:
            self.busy[agent] += 1
        try:
            yield
        finally:
            with self._counting:
                self.busy[agent] -= 1

    def look_around(self) -> None:
        """Note for who watches that other processes have written to a shared store: all agents may have changed."""
        head = cast(SharedLog, self.steersman.log).head()
        if head != self._head:
            self._head = head
            for name in self.agents:
                self.changes.touch(name)

    def look_at_releases(self) -> None:
        """Tell who watches what was put into production since the last look, whoever moved it. Raises StoreError."""
        production = self.steersman.production
        if production is None:
            return
        with self._looking:
            numbers = {each.agent: each.number for each in production.releases.current()}
            known, self._moves = self._moves, numbers
            for agent, number in numbers.items():
                new = 0 if known is None else number - known.get(agent, 0)
                for each in reversed(production.releases.moves(agent, new) if new else ()):
                    self.changes.moved(each)

    def outcome(self, decision_id: str) -> Outcome:
        """Return the last revision of a decision's outcome, as the log has it."""
        return self.steersman.outcomes(decision_id)[-1]


class Tenants:
    """All tenants that were asked for. Safe to use from several threads."""

    def __init__(
        self, opener: Opener, metrics: Callable[[str], Metrics | None] = lambda tenant: None, others: Sequence[Meter] = ()
    ) -> None:
        self._opener = opener
        self._metrics = metrics
        self._others = others
        self._lock = threading.Lock()
        self._open: dict[str, Tenant] = {}

    def known(self, name: str) -> Tenant | None:
        """Return a tenant that is open."""
        return self._open.get(name)

    def get(self, name: str) -> Tenant:
        """Return a tenant, opening its store if it is the first time. Raises as `Steersman.open`."""
        with self._lock:
            found = self._open.get(name)
            if found is None:
                found = self._open[name] = Tenant(name, self._opener, self._metrics(name), self._others)
            return found

    def __iter__(self) -> Iterator[Tenant]:
        return iter(list(self._open.values()))

    def __getitem__(self, name: str) -> Steersman:
        return self.get(name).steersman

    def close(self) -> None:
        """Make everything durable and release all stores. Raises the first error, after all were closed."""
        errors: list[Exception] = []
        for each in self:
            try:
                each.steersman.close()
            except Exception as error:  # noqa: BLE001 - raised below, once the others are closed as well
                errors.append(error)
        if errors:
            raise errors[0]

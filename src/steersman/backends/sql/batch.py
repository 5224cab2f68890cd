"""What has been appended and is not durable yet: the rows, and what was learned up to them, for one transaction."""

import threading
from collections.abc import Callable, Sequence
from itertools import chain
from typing import NamedTuple, Protocol

from steersman.backends.sql.rows import Columns
from steersman.core.errors import SteersmanError
from steersman.core.ports import Row
from steersman.core.values import (
    ApiKey,
    AuditEvent,
    Contribution,
    Control,
    Decision,
    Entry,
    EpisodeRecord,
    Learned,
    Outcome,
    Taken,
    Window,
)

Place = tuple[str, str, str, str]  # of a contribution: pool, source, key, role


class Changes:
    """What several `Learned` of one agent amount to. What is removed goes before what is put."""

    def __init__(self) -> None:
        self.replace = False
        self.position = 0
        self.carry = b""
        self.removed: set[str] = set()
        self.entries: dict[str, dict[tuple[str, int], Entry]] = {}  # by state, so that a state goes as a whole
        self.states: dict[str, dict[str, int]] = {}
        self.episodes: dict[str, EpisodeRecord] = {}
        self.windows: dict[int, Window] = {}

    def merge(self, learned: Learned, position: int) -> None:
        """Put a later change on top of the earlier ones."""
        if learned.replace:
            self.__init__()  # type: ignore[misc]  # nothing that came before counts
            self.replace = True
        for key in learned.removed:
            self.removed.add(key)
            self.entries.pop(key, None)
            self.states.pop(key, None)
        for place, entry in learned.entries.items():
            self.entries.setdefault(place[0], {})[place] = entry
        self.states.update(learned.states)
        self.episodes.update(learned.episodes)
        self.windows.update({each.number: each for each in learned.windows})
        self.carry = learned.carry
        self.position = position

    def copy(self) -> "Changes":
        """Return these changes as they are now; more may be merged in later."""
        now = Changes()
        now.replace, now.position, now.carry, now.removed = self.replace, self.position, self.carry, set(self.removed)
        now.entries = {key: dict(each) for key, each in self.entries.items()}
        now.states, now.episodes = dict(self.states), dict(self.episodes)
        return now

    def over(self, stored: Learned | None, agent: str) -> Learned:
        """Return the table after these changes, with its open episodes, from the table before them."""
        table = Learned(agent=agent, entries={}, states={}, removed=set(), episodes={}, carry=self.carry)
        if stored is not None and not self.replace:
            gone = self.removed
            table.entries = {place: entry for place, entry in stored.entries.items() if place[0] not in gone}
            table.states = {key: bins for key, bins in stored.states.items() if key not in gone}
            table.episodes = stored.episodes
        table.entries.update(chain.from_iterable(each.items() for each in self.entries.values()))
        table.states.update(self.states)
        episodes = table.episodes | self.episodes
        table.episodes = {name: each for name, each in episodes.items() if each.ended_at is None}
        return table


class Told(Protocol):
    """A receipt, as the writer sees it: where it says what the store said."""

    refusal: SteersmanError | None
    promised: int


class Group(NamedTuple):
    """What one append gave: a shared store takes all of it or refuses it."""

    receipt: Told
    rows: Sequence[Row]
    columns: Sequence[Columns]
    learned: Learned | None
    cut: Learned | None = None


class Batch:
    """Rows with their positions, and the changes that go with them."""

    def __init__(self) -> None:
        self.size = 0
        self.ticket = 0
        self.position = 0
        self.number = 0
        self.rows: list[tuple[int, Decision | Outcome]] = []
        self.decisions: dict[str, Decision] = {}
        self.outcomes: dict[str, list[Outcome]] = {}
        self.decision_columns: list[Columns] = []
        self.outcome_columns: list[Columns] = []
        self.audit: list[AuditEvent] = []
        self.controls: list[Control] = []
        self.keys: dict[str, ApiKey] = {}
        self.contributions: dict[Place, Contribution] = {}
        self.taken: dict[tuple[str, str], Taken] = {}  # by stream and event
        self.asked: list[tuple[Told, str, int, int, int]] = []  # for tokens: agent, period, how many, budget
        self.groups: list[Group] = []
        self.gates: list[threading.Lock] = []  # of those who wait for it
        self.callbacks: dict[Callable[[], None], int] = {}  # of those who are told, and how often they asked
        self.cuts: list[Learned] = []
        self.learned: dict[str, Changes] = {}

    def add_decision(self, position: int, row: Decision, columns: Columns) -> None:
        """Take a decision in."""
        self.rows.append((position, row))
        self.decisions[row.id] = row
        self.decision_columns.append((position, *columns))

    def add_outcome(self, position: int, row: Outcome, columns: Columns) -> None:
        """Take an outcome in."""
        self.rows.append((position, row))
        self.outcomes.setdefault(row.decision_id, []).append(row)
        self.outcome_columns.append((position, *columns))

    def learn(self, learned: Learned, position: int) -> None:
        """Take in what was learned up to a position."""
        self.learned.setdefault(learned.agent, Changes()).merge(learned, position)

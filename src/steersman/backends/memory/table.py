"""An agent's working table in memory."""

import math

import msgspec

from steersman.core.errors import InvalidInput
from steersman.core.ports import Row
from steersman.core.values import Entry, EpisodeRecord, Learned, Window


class Table:
    """Entries, states and episodes, as the last `Learned` left them."""

    def __init__(self) -> None:
        self._entries: dict[tuple[str, int], Entry] = {}
        self._states: dict[str, dict[str, int]] = {}
        self._episodes: dict[str, EpisodeRecord] = {}
        self._windows: dict[int, Window] = {}
        self._carry = b""
        self._position = 0

    def learn(self, learned: Learned, position: int) -> None:
        """Take changes in: what is removed goes first."""
        if learned.replace:
            self._entries, self._states, self._episodes, self._windows = {}, {}, {}, {}
        for place in [each for each in self._entries if each[0] in learned.removed]:
            del self._entries[place]
        for key in learned.removed:
            self._states.pop(key, None)
        self._entries.update(learned.entries)
        self._states.update(learned.states)
        self._episodes.update(learned.episodes)
        self._windows.update({each.number: each for each in learned.windows})
        self._carry = learned.carry
        self._position = position

    def open_episodes(self) -> list[EpisodeRecord]:
        """Return the episodes that have not ended."""
        return [each for each in self._episodes.values() if each.ended_at is None]

    def windows(self, limit: int) -> list[Window]:
        """Return the last windows, newest first."""
        return [self._windows[number] for number in sorted(self._windows, reverse=True)[:limit]]

    def whole(self, agent: str) -> tuple[Learned, int]:
        """Return the table with its open episodes, and the position up to which it has learned."""
        episodes = {each.episode: each for each in self.open_episodes()}
        table = Learned(
            agent=agent,
            entries=dict(self._entries),
            states=dict(self._states),
            removed=set(),
            episodes=episodes,
            carry=self._carry,
        )
        return table, self._position


def check_finite(learned: Learned) -> None:
    """Raise InvalidInput for an entry that holds NaN or infinity."""
    for place, each in learned.entries.items():
        if not all(map(math.isfinite, (each.value, each.td_variance, each.reward_mean, each.reward_m2, each.updated_at))):
            raise InvalidInput(f"{learned.agent}: the learned entry {place} is not finite: {each}.")


def read_back(row: Row) -> Row:
    """Return a row as a store would give it back. Raises InvalidInput where that is another one: NaN, or a wrong type."""
    try:
        kept = msgspec.json.decode(msgspec.json.encode(row), type=type(row))
    except (TypeError, ValueError, OverflowError) as error:
        raise InvalidInput(f"a row cannot be stored: {error}.") from error
    if kept != row:
        raise InvalidInput(f"a row holds NaN or infinity, or would not read back the same: {row}.")
    return kept

"""Sources: how much of each entry of the table is the word of one source, and who has said enough."""

from dataclasses import dataclass, field

from steersman.core.agent import AgentSpec
from steersman.core.errors import InvalidInput
from steersman.core.sections import Learning

KNOWN_APART = 16
_MIXED = ("n_step_sarsa", "monte_carlo")


@dataclass(kw_only=True, slots=True)
class _Entry:
    """The shares in one entry. `rest` bounds that of each source that is not told apart, so that none is taken for less."""

    known: dict[str, float] = field(default_factory=dict)
    rest: float = 0.0


class Shares:
    """The share that each source has in each column of each state's row, and what each may have at most.

    An update with step size α leaves 1 − α of what an entry was, so the share of source s is
    w_s ← (1 − α)·w_s + α·[s reported it], and its word cannot have moved the entry by more than w_s times the range of
    targets. Up to 16 sources are told apart for each entry, so that many names cannot fill the memory; the smallest share
    is forgotten as a bound for all others (as in Metwally, Agrawal and El Abbadi (2005), "Efficient computation of
    frequent and top-k elements in data streams").
    """

    def __init__(self, limit: float) -> None:
        self.limit = limit
        self._states: dict[str, dict[int, _Entry]] = {}

    def take(self, key: str, columns: list[int], source: str, steps: list[float]) -> bool:
        """Count an update of columns of a state's row, with a step size for each; false, if that is too much."""
        row = self._states.setdefault(key, {})
        entries = [row.setdefault(column, _Entry()) for column in columns]
        shares = [
            (1.0 - step) * entry.known.get(source, entry.rest) + step for entry, step in zip(entries, steps, strict=True)
        ]
        if max(shares) > self.limit:
            return False
        for entry, step, share in zip(entries, steps, shares, strict=True):
            _move(entry, step, source, share)
        return True

    def share(self, key: str, column: int, source: str) -> float:
        """Return the share of a source in one entry, or what bounds it."""
        entry = self._states.get(key, {}).get(column, _Entry())
        return entry.known.get(source, entry.rest)

    def forget(self, key: str) -> None:
        """Let a state go that has left the table."""
        self._states.pop(key, None)

    def __len__(self) -> int:
        """Return how many shares are kept, of all entries together."""
        return sum(len(entry.known) for row in self._states.values() for entry in row.values())


def _move(entry: _Entry, step: float, source: str, share: float) -> None:
    for name in entry.known:
        entry.known[name] *= 1.0 - step
    entry.rest *= 1.0 - step
    entry.known[source] = share
    if len(entry.known) > KNOWN_APART:
        least = min(entry.known, key=lambda name: (entry.known[name], name))
        entry.rest = max(entry.rest, entry.known.pop(least))


def shares(spec: AgentSpec, learning: Learning) -> Shares | None:
    """Return what keeps the shares, None where the settings set no limit.

    Raises InvalidInput where the limit could not be kept: targets that mix outcomes of several sources, or a step size
    beyond it, with which nobody could say anything.
    """
    limit = learning.source_share
    if limit >= 1.0:
        return None
    if learning.method in _MIXED or learning.planning_steps:
        raise InvalidInput(
            f"{spec.name}: learning.source_share = {limit} needs a rule that learns from one outcome at a time: not "
            f"{' or '.join(_MIXED)}, and learning.planning_steps = 0."
        )
    if learning.alpha > limit:
        raise InvalidInput(
            f"{spec.name}: with learning.alpha = {learning.alpha} one outcome has a larger share of an entry than "
            f"learning.source_share = {limit} allows. Lower the one or raise the other."
        )
    return Shares(limit)

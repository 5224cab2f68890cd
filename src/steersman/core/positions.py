"""Positions: how a page reads what is open, what came of what was closed, and what was refused, out of decisions alone."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Positions:
    """What a pack says of its positions, so that pages can show them without knowing the pack.

    A position is an episode. opens: the agent whose decision opens it, unless its arm is "safe", and whose outcome closes
    it. before: agents that decide on the same episode sooner. earns: the measurement of that outcome that says what was
    earned, in % of the account. An episode is named "account/…"; its subject is what is held.
    """

    opens: str
    earns: str
    before: tuple[str, ...] = ()

    @property
    def agents(self) -> tuple[str, ...]:
        """All agents that decide on a position, in their order."""
        return (*self.before, self.opens)


def account_of(episode: str) -> str:
    """Return the account of a position by its episode's name."""
    return episode.partition("/")[0]

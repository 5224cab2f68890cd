"""The answers that every log in an SQL database gives alike, whatever it takes to write there."""

from collections.abc import Iterator

from steersman.backends.sql.reads import Reads
from steersman.core.values import (
    ApiKey,
    AuditEvent,
    Contribution,
    Decision,
    EpisodeRecord,
    Figures,
    Learned,
    Outcome,
    Taken,
    Window,
)


class Answers:
    """The questions of the `Log` port that its readers answer."""

    _reads: Reads

    def decision(self, decision_id: str) -> Decision | None:
        """Return a decision, durable or not; None if there is none of that id."""
        return self._reads.decision(decision_id)

    def taken(self, stream: str, event: str) -> Taken | None:
        """Return what an event led to, durable or not; None if it was not taken, or so long ago that it was forgotten."""
        return self._reads.taken(stream, event)

    def outcomes(self, decision_id: str) -> list[Outcome]:
        """Return all revisions of a decision's outcome, oldest first."""
        return self._reads.outcomes(decision_id)

    def history(
        self, agent: str, until: int | None = None, *, after: int = 0, durable: bool = False
    ) -> Iterator[tuple[int, Decision, Outcome]]:
        """Yield (position, decision, outcome) for each outcome row of an agent in log order, between two positions."""
        return self._reads.history(agent, until, after=after, durable=durable)

    def since(self, agent: str, after: int, limit: int = 10_000) -> list[tuple[int, Decision | Outcome]]:
        """Return an agent's next decisions and outcomes behind a position, in log order; of what is durable."""
        return self._reads.since(agent, after, limit)

    def rows(self, agent: str | None = None) -> Iterator[Decision | Outcome]:
        """Yield all decisions and outcomes in log order."""
        return self._reads.rows(agent)

    def recent(self, agent: str, limit: int) -> list[Decision]:
        """Return the last decisions of an agent, newest first."""
        return self._reads.recent(agent, limit)

    def of_episode(self, agent: str, episode: str) -> list[Decision]:
        """Return the decisions of a named episode, in log order."""
        return self._reads.of_episode(agent, episode)

    def waiting(self, agent: str, before: float) -> list[Decision]:
        """Return the agent's decisions made before a time that have no outcome yet, oldest first."""
        return self._reads.waiting(agent, before)

    def open_episodes(self, agent: str) -> list[EpisodeRecord]:
        """Return the agent's episodes that have not ended, oldest first."""
        return self._reads.open_episodes(agent)

    def base(self, agent: str) -> Learned | None:
        """Return what was learned of the agent's rows that were cut; its position says up to where."""
        return self._reads.base(agent)

    def windows(self, agent: str, limit: int = 10) -> list[Window]:
        """Return the agent's last windows of learning, newest first."""
        return self._reads.windows(agent, limit)

    def contributions(self, pool: str) -> list[Contribution]:
        """Return what each source of a pool said last, rows taken back left out, by source, key and role."""
        return self._reads.contributions(pool)

    def learned(self, agent: str) -> tuple[Learned, int] | None:
        """Return the agent's working table with its open episodes, and the position up to which it has learned."""
        return self._reads.learned(agent)

    def audit(self, limit: int = 100) -> list[AuditEvent]:
        """Return the newest audit events, newest first."""
        return self._reads.audit(limit)

    def trail(self, after: int = 0, limit: int = 1_000) -> list[AuditEvent]:
        """Return the next audit events of the chain behind a number, oldest first, as they are stored."""
        return self._reads.trail(after, limit)

    def keys(self) -> list[ApiKey]:
        """Return the latest row of each API key, by id."""
        return self._reads.keys()

    def figures(self, after: int = 0, until: int | None = None) -> list[Figures]:
        """Return what happened between two positions of the log, summed, as far as it is durable."""
        return self._reads.figures(after, until)

    @property
    def durable_position(self) -> int:
        """The position of the last row that is durable."""
        return self._reads.durable_position()

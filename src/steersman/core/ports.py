"""The ports: what lies outside, as the loops see it. Backends supply them; `steersman.testing` proves that they do."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from steersman.core.actions import Action, Choice
from steersman.core.state import StateValues
from steersman.core.values import (
    ApiKey,
    Arm,
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
from steersman.core.versions import Deployment, Judgement, PolicyVersion

Clock = Callable[[], float]
Row = Decision | Outcome | AuditEvent | Control | Contribution | ApiKey | Taken


@runtime_checkable
class Receipt(Protocol):
    """The promise of an acknowledgement: once `wait` returns, the rows are durable and learned."""

    def wait(self, timeout_s: float | None = None) -> None:
        """Return once the rows are durable. Raises DeadlineExceeded after `timeout_s`, StoreError if they never will be."""

    def done(self) -> bool:
        """Return whether the rows are durable."""

    def settled(self) -> bool:
        """Return whether `wait` would return, or raise, at once."""

    def notify(self, callback: Callable[[], None]) -> None:
        """Have a callback called once `settled` may have become true; at once if it is.

        It is called from another thread, once for all receipts of one transaction that asked for the same callback, and
        must return quickly. Rows whose receipt asks for it do not wait for company on the way to the disk.
        """


class Log(Protocol):
    """An append-only, ordered log with the tables that are folded from it.

    Rows get rising positions in the order of `append`, from any number of threads. Durability comes later, in order
    and in groups: once a row is durable, so is every row before it, together with what was `learned` up to it.
    """

    def append(self, rows: Sequence[Row], learned: Learned | None = None) -> Receipt:
        """Put rows at the end, all of them or none, and return at once.

        The receipt covers everything appended so far, so that of no rows at all acknowledges what came before. Raises
        Overloaded when the queue is full, Conflict for a decision, a revision or a taken event that the log holds and
        NotFound for an outcome without decision: nothing was taken then. A shared log may tell the last two by the
        receipt's `wait`.
        What was `learned` is always taken, because the table
        in memory has moved already; ask `reserve` before learning.
        """

    def reserve(self, rows: int = 1) -> None:
        """Return if the queue has room for rows. Raises Overloaded if not."""

    @property
    def position(self) -> int:
        """The position of the last row that was appended, durable or not; 0 for an empty log."""

    def flush(self, timeout_s: float | None = None) -> None:
        """Wait until all that was appended is durable. Raises DeadlineExceeded or StoreError."""

    def health(self) -> str:
        """Return "" when the log is writing, else what keeps it from writing."""

    def decision(self, decision_id: str) -> Decision | None:
        """Return a decision, durable or not; None if there is none of that id."""

    def outcomes(self, decision_id: str) -> list[Outcome]:
        """Return all revisions of a decision's outcome, oldest first."""

    def taken(self, stream: str, event: str) -> Taken | None:
        """Return what an event led to, durable or not; None if it was not taken, or so long ago that it was forgotten."""

    @property
    def shared(self) -> bool:
        """Whether other processes append as well: then it is a `SharedLog`, and learning follows it."""

    @property
    def stream(self) -> int:
        """The number of this process' stream of random numbers, its own for as long as it is at work; 0 if it is alone."""

    def history(
        self, agent: str, until: int | None = None, *, after: int = 0, durable: bool = False
    ) -> Iterator[tuple[int, Decision, Outcome]]:
        """Yield (position, decision, outcome) for each outcome row of an agent in log order, after and up to a position.

        durable: leave out what this process has appended and not yet stored.
        """

    def since(self, agent: str, after: int, limit: int = 10_000) -> list[tuple[int, Decision | Outcome]]:
        """Return an agent's next decisions and outcomes behind a position, in log order; of what is durable."""

    def sample(self, agent: str, shares: Sequence[float]) -> list[tuple[Decision, Outcome]]:
        """Return a decision with its last outcome for each share in [0, 1) of the agent's span of positions in the log.

        A share stands for the first outcome at or behind it, of what is durable. The cost grows with the number of shares
        alone, however long the log is.
        """

    def rows(self, agent: str | None = None) -> Iterator[Decision | Outcome]:
        """Yield all decisions and outcomes in log order."""

    def recent(self, agent: str, limit: int) -> list[Decision]:
        """Return the last decisions of an agent, newest first."""

    def of_episode(self, agent: str, episode: str) -> list[Decision]:
        """Return the decisions of a named episode, in log order."""

    def waiting(self, agent: str, before: float) -> list[Decision]:
        """Return the agent's decisions made before a time that have no outcome yet, oldest first."""

    def open_episodes(self, agent: str) -> list[EpisodeRecord]:
        """Return the agent's episodes that have not ended."""

    def decision_count(self, agent: str, stream: int | None = None) -> int:
        """Return how many decisions of the agent, of one stream or of all, are in the log, durable or not."""

    def agents(self) -> list[str]:
        """Return the names of the agents that have decided, sorted."""

    def learned(self, agent: str) -> tuple[Learned, int] | None:
        """Return the agent's whole working table and the position up to which it has learned; None if it has none."""

    def base(self, agent: str) -> Learned | None:
        """Return what was learned of the agent's rows that were cut; its position says up to where. None if none were."""

    def cut(self, base: Learned) -> Receipt:
        """Put what was learned up to a position in the place of the agent's outcomes up to there, for good.

        Their decisions go as well, but for those that wait for an outcome or have a later one. A shared log refuses it
        under an old fence.
        """

    def windows(self, agent: str, limit: int = 10) -> list[Window]:
        """Return the agent's last windows of learning, newest first."""

    def audit(self, limit: int = 100) -> list[AuditEvent]:
        """Return the newest audit events, newest first."""

    def trail(self, after: int = 0, limit: int = 1_000) -> list[AuditEvent]:
        """Return the next audit events behind a number, oldest first, as they are stored; those of no chain have 0."""

    def controls(self) -> list[Control]:
        """Return the latest word of each kind for each scope, by kind and scope, as written by any process."""

    def keys(self) -> list[ApiKey]:
        """Return the latest row of each API key, by id, as written by any process."""

    def figures(self, after: int = 0, until: int | None = None) -> list[Figures]:
        """Return what happened between two positions of the log (behind `after`, up to `until`), summed.

        Only what is durable counts, up to `durable_position` where no `until` is given. An outcome counts in the hour and
        the arm of its decision, with its last revision; where an earlier one was counted before `after`, that is taken back.
        """

    @property
    def durable_position(self) -> int:
        """The position of the last row that is durable."""

    def contributions(self, pool: str) -> list[Contribution]:
        """Return what each source of a pool said last, rows taken back left out, by source, key and role."""

    def reserve_tokens(self, agent: str, period: int, count: int, budget: int) -> "Grant":
        """Ask for `count` exploring decisions of a period's budget, and return at once.

        What is granted is reserved durably before it can be used, by whichever process, and burned by one that dies.
        """

    def close(self) -> None:
        """Make everything durable and release the store."""


class Grant(Receipt, Protocol):
    """Tokens on their way."""

    @property
    def granted(self) -> int:
        """How many there are, once it is done; 0 before."""


class SharedLog(Log, Protocol):
    """A log that many processes append to, of which one at a time learns for an agent.

    Positions are given by the store when rows become durable. What another process did shows in the receipt: its `wait`
    raises Conflict for an id or a revision that was there first, and for what was learned under an old fence.
    """

    def lease(self, agent: str) -> int | None:
        """Take or renew the right to learn for an agent; return its fence, or None while another process has it."""

    def release(self, agent: str) -> None:
        """Give the right to learn back at once, if this process has it."""

    def head(self) -> int:
        """Return the position of the last row in the store, whoever appended it: every row up to it can be read."""

    def learner(self, agent: str) -> str:
        """Return who learns for an agent now; "" if nobody does."""

    def learned_since(self, agent: str, version: int) -> Learned | None:
        """Return what was stored of an agent's table after a version, all of it after 0; None if nothing was.

        `replace` says that entries were taken away since, and that this is the whole table.
        """

    def watch(self, timeout_s: float) -> bool:
        """Wait until rows or tables have changed in the store; return whether they have. Returns at once if overdue."""


class Registry(Protocol):
    """Where policy versions are kept. Each is written once and never changed; its name is the hash of its artefact."""

    def keep(self, version: PolicyVersion, artefact: bytes) -> None:
        """Keep a version durably; to keep it again changes nothing. Raises InvalidInput where the name is not the hash."""

    def artefact(self, agent: str, version: str) -> bytes:
        """Return a version's artefact, as it was kept. Raises NotFound, and StoreError where its hash is another."""

    def versions(self, agent: str, limit: int = 100) -> list[PolicyVersion]:
        """Return the agent's last versions, newest first."""

    def version(self, agent: str, name: str) -> PolicyVersion:
        """Return a version by its name, or by the beginning of it. Raises NotFound, and Conflict where several begin so."""

    def name(self, agent: str, aliases: Mapping[str, str]) -> None:
        """Say which version has which part now: "champion", "challenger"; "" for none. What it says decides nothing."""


class Releases(Protocol):
    """What is in production and why: each move of an agent's pointer, and each verdict. Part of the store of the log.

    Any process may move it, whoever owns the log; all see it at their next look.
    """

    def move(self, deployment: Deployment, *events: AuditEvent) -> None:
        """Make a move durable, with the events that tell of it. Raises Conflict unless it follows the last move."""

    def current(self) -> list[Deployment]:
        """Return the last move of each agent, by agent."""

    def moves(self, agent: str, limit: int = 100) -> list[Deployment]:
        """Return the last moves of an agent, newest first."""

    def at(self, agent: str, at: float) -> Deployment | None:
        """Return what was in production at a time (unix seconds); None before the first move."""

    def judge(self, judgement: Judgement, *events: AuditEvent) -> None:
        """Keep a verdict, with the events that tell of it."""

    def judgements(self, agent: str, limit: int = 100) -> list[Judgement]:
        """Return the last verdicts on an agent's versions, newest first."""


@dataclass(frozen=True, kw_only=True)
class Delivery:
    """An entry of a stream as a consumer has it: to be worked off and then acknowledged with `Bus.done`.

    position: where it is in its stream, as the bus writes it. attempt: the how many-th delivery it is, from 1, as far as
    the bus knows. reason: why it was rejected, for an entry of dead letters; "" for others.
    """

    stream: str
    position: str
    body: bytes
    key: str = ""
    attempt: int = 1
    reason: str = ""


class Bus(Protocol):
    """A transport of events: entries of a stream go to one consumer of a group each, at least once. Never the truth.

    A bus is opened by one consumer, for the streams that it takes from. Entries of one key come in their order, to one
    consumer at a time; those of the key "" in any. An entry that was taken and not acknowledged comes again, later, to
    whoever is there then. An object belongs to one thread.
    """

    def publish(self, stream: str, entries: Sequence[tuple[str, bytes]]) -> None:
        """Put entries (key, body) into a stream; they are durable once this returns.

        Raises StoreError where the bus cannot be reached or does not keep them, Overloaded where it is full, InvalidInput
        for a body that is too large. Some of them may be there all the same: publish all again, ids tell the same event.
        """

    def take(self, limit: int, wait_s: float) -> list[Delivery]:
        """Return up to `limit` new entries, or such that nobody acknowledged in time; none if none came within `wait_s`.

        While the bus cannot be reached there are none, and `health` says why; it goes on by itself.
        """

    def done(self, deliveries: Sequence[Delivery]) -> None:
        """Acknowledge entries, so that they do not come again. Raises StoreError; then they do, and must do no harm."""

    def reject(self, delivery: Delivery, reason: str) -> None:
        """Put an entry that nobody can work off into the dead letters, `<stream>.dead`, with the reason; acknowledge it."""

    def waiting(self) -> int:
        """Return how many entries of the group's streams are not acknowledged yet. Raises StoreError."""

    def health(self) -> str:
        """Return "" while the bus can be reached, else what keeps it from being."""

    def close(self) -> None:
        """Leave the group; what was not acknowledged goes to others."""


class Meter(Protocol):
    """Who is told what agents do, as it happens: metrics, traces, pages that watch. Must be quick and thread-safe.

    A meter that raises breaks nothing: the failure is noted, for `doctor` to tell.
    """

    def decided(self, decision: Decision) -> None:
        """Take note of a decision that was just logged."""

    def recorded(self, decision: Decision, outcome: Outcome) -> None:
        """Take note of an outcome, or a revision of one, that was just logged."""

    def learned(self, decision: Decision, outcome: Outcome) -> None:
        """Take note of an outcome that this process has just learned."""


class AgentHandle(Protocol):
    """An agent at work, as a pack's command or tool sees it."""

    def decide(
        self,
        state: StateValues,
        *,
        episode: str | None = None,
        subject: str | None = None,
        arm: Arm | None = None,
        observed_at: float | None = None,
        taken: Taken | None = None,
    ) -> Decision:
        """Decide for a state; `arm` asks for one arm by design of an experiment instead of drawing it.

        `observed_at` (unix seconds) is when the state was observed, if that is not now. `taken` is the event of a bus that
        asks for it, to be taken once.
        """

    def report(
        self,
        decision: Decision | str,
        measurements: Mapping[str, float],
        *,
        next_state: StateValues | None = None,
        terminated: bool | None = None,
        truncated: bool = False,
        executed: Action | Choice | None = None,
        source: str = "",
        taken: Taken | None = None,
    ) -> Receipt:
        """Report what came of a decision. Waiting on the receipt is the acknowledgement.

        `taken` is the event of a bus that tells it, to be taken once.
        """

    def values(self, state: StateValues) -> dict[str, dict[Choice, Entry]]:
        """Return what has been learned for a state, by dimension and choice."""


class Progress(Protocol):
    """Where a long command tells how far it is."""

    def phase(self, title: str, total: int | None = None) -> None:
        """Begin a phase of `total` steps (None: not known)."""

    def step(self, text: str, amount: int = 1) -> None:
        """Say what was just done, and count it."""

    def note(self, text: str) -> None:
        """Say something that belongs to no step: a warning, or what was found."""


class Command(Protocol):
    """Something that a pack can be asked to do, such as `qe run`. Options are the command's own dataclass."""

    def __call__(self, agent: Callable[[str], AgentHandle], options: Any, progress: Progress) -> Any:
        """Run, asking `agent(name)` for the agents it needs, and return a report value."""

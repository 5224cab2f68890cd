"""What clients and the service say to each other, and what the clients keep of it in a ledger of their own."""

from dataclasses import dataclass, field
from typing import Literal

from steersman.core.state import StateValues
from steersman.core.values import Arm, Decision

Verb = Literal["decide", "report", "withdraw"]
Intent = Literal["honest", "again", "contrary", "forged", "foreign", "poison"]


@dataclass(frozen=True, kw_only=True)
class Request:
    """A request as it travels. `intent` is for the checks alone: the service does not look at it.

    waits: whether the answer to a decision comes only once it is durable.
    """

    number: int
    client: str
    verb: Verb
    agent: str
    intent: Intent = "honest"
    state: StateValues | None = None
    episode: str | None = None
    arm: Arm | None = None
    waits: bool = True
    decision: str = ""
    reward: float = 0.0
    next_state: StateValues | None = None
    terminated: bool | None = None
    executed: str | None = None
    correct: bool = False


@dataclass(frozen=True, kw_only=True)
class Reply:
    """An answer: "ok", or the name of the error."""

    number: int
    status: str
    decision: Decision | None = None


@dataclass(kw_only=True)
class Ledger:
    """What the clients were told, and what they said: the other side's book, which the log must agree with.

    decided: ids of decisions that were acknowledged. acknowledged: (decision id, what, reward) of each outcome that
    was. said: all that an honest client ever sent, by decision id. revised: decisions of which something else was said
    later. forged: ids that were never given out.
    """

    decided: set[str] = field(default_factory=set)
    acknowledged: list[tuple[str, str, float]] = field(default_factory=list)
    said: dict[str, set[float]] = field(default_factory=dict)
    revised: set[str] = field(default_factory=set)
    forged: set[str] = field(default_factory=set)

    def note(self, request: Request) -> None:
        """Keep what is about to be sent."""
        if request.verb == "report" and request.intent in ("honest", "again"):
            self.said.setdefault(request.decision, set()).add(request.reward)
        if request.correct or request.verb == "withdraw":
            self.revised.add(request.decision)
        if request.intent == "forged":
            self.forged.add(request.decision)

    def note_answer(self, request: Request, reply: Reply) -> None:
        """Keep what was acknowledged."""
        if reply.status != "ok":
            return
        if request.verb != "decide":
            self.acknowledged.append((request.decision, request.verb, request.reward))
        elif request.waits and reply.decision is not None and not reply.decision.reason.startswith("not recorded"):
            self.decided.add(reply.decision.id)

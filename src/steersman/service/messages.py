"""What goes over the wire: bodies of requests and of answers. Unknown fields, NaN and infinity are refused while reading."""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from steersman.core.actions import Choice
from steersman.core.influence import Mode
from steersman.core.state import Scalar
from steersman.core.values import (
    ApiKey,
    Arm,
    AuditEvent,
    Control,
    ControlKind,
    Decision,
    Figures,
    Outcome,
    OutcomeKind,
    Role,
    Window,
)
from steersman.service.problems import Problem

MOST_IN_A_BATCH = 1_000


def _either(name: str) -> Meta:
    """Return what the document says of a list that holds answers and refusals: msgspec has no union of plain structs."""
    parts = [{"$ref": f"#/components/schemas/{each}"} for each in (name, "Failed")]
    return Meta(extra_json_schema={"items": {"anyOf": parts}})


Name = Annotated[str, Meta(min_length=1, max_length=200)]
Text = Annotated[str, Meta(max_length=1_000)]


class DecisionRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Ask for a decision.

    agent: its name, as GET /v1/agents lists it. state: its fields by name. episode: where decisions follow each other.
    subject: whom the decision is about. arm: one arm by design of an experiment, instead of drawing it. observed_at: when
    the state was observed (unix seconds), if that is not now.
    """

    agent: Name
    state: dict[str, Scalar]
    episode: Name | None = None
    subject: Name | None = None
    arm: Arm | None = None
    observed_at: float | None = None


class DecisionAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What to do, and how it came about.

    propensity: with which probability the action was drawn, by whichever arm; null where it was not drawn. recorded: false
    where the store could take nothing, so that the safe action is served and no outcome can be reported. durable: whether
    it is on the disk already. mode: the influence of what was learned; shadow: what the learned policy, or a challenger,
    would have done where it was only asked: in mode "advisory" the advice.
    """

    id: str
    agent: str
    action: dict[str, Choice]
    arm: Arm
    propensity: float | None
    confidence: float
    reason: str
    policy: str
    episode: str
    step: int
    recorded: bool
    durable: bool
    mode: Mode
    shadow: dict[str, Choice] | None


class Failed(msgspec.Struct, frozen=True, kw_only=True):
    """A part of a batch that was refused."""

    problem: Problem


class DecisionBatch(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Ask for several decisions at once."""

    decisions: Annotated[list[DecisionRequest], Meta(max_length=MOST_IN_A_BATCH)]


class DecisionResults(msgspec.Struct, frozen=True, kw_only=True):
    """The answers to a batch, in its order."""

    results: Annotated[list[Any], _either("DecisionAnswer")]


class DecisionList(msgspec.Struct, frozen=True, kw_only=True):
    """Decisions as they lie in the log, newest first."""

    decisions: list[Decision]


class DecisionRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A decision as it lies in the log, with all revisions of its outcome, oldest first."""

    decision: Decision
    outcomes: list[Outcome]


class OutcomeRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Report what came of a decision.

    next_state: where it led, when the episode goes on. terminated: the episode is over. truncated: watching stopped.
    executed: the action that was carried out, where it was another. source: who reports; the key's name stands before it.
    correct: replace what was reported before. revision: which revision this is meant to be (0 is the first): the same
    again is acknowledged, something else refused.
    """

    decision_id: Name
    measurements: dict[str, float]
    next_state: dict[str, Scalar] | None = None
    terminated: bool | None = None
    truncated: bool = False
    executed: Choice | dict[str, Choice] | None = None
    source: Annotated[str, Meta(max_length=200)] = ""
    correct: bool = False
    revision: Annotated[int, Meta(ge=0)] | None = None


class OutcomeAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What was recorded; it is on the disk."""

    decision_id: str
    revision: int
    kind: OutcomeKind
    reward: float | None
    components: dict[str, float]


class OutcomeBatch(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Report several outcomes at once."""

    outcomes: Annotated[list[OutcomeRequest], Meta(max_length=MOST_IN_A_BATCH)]


class OutcomeResults(msgspec.Struct, frozen=True, kw_only=True):
    """The answers to a batch, in its order."""

    results: Annotated[list[Any], _either("OutcomeAnswer")]


class AgentLine(msgspec.Struct, frozen=True, kw_only=True):
    """An agent in the list. defined: whether its definition is here; without it nothing can be decided."""

    agent: str
    description: str
    decisions: int
    defined: bool


class AgentList(msgspec.Struct, frozen=True, kw_only=True):
    """All agents that are defined here or have decided, by name."""

    agents: list[AgentLine]


class WindowList(msgspec.Struct, frozen=True, kw_only=True):
    """Windows of learning, newest first."""

    windows: list[Window]


class FigureList(msgspec.Struct, frozen=True, kw_only=True):
    """Sums by agent, hour and arm."""

    figures: list[Figures]


class ControlRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A person's hand: kill (safe actions only), pin (hold choices), pause (explore nothing) or mode, or its release.

    scope: "*", a pack or an agent. choices: for a pin, by dimension; for a mode {"mode": "shadow"}. expires_in_s: until
    when; null until it is released.
    """

    kind: ControlKind
    active: bool = True
    scope: Annotated[str, Meta(min_length=1, max_length=200)] = "*"
    choices: dict[str, Choice] = {}
    expires_in_s: Annotated[float, Meta(gt=0, le=10 * 366 * 86_400)] | None = None
    reason: Text = ""


class ControlList(msgspec.Struct, frozen=True, kw_only=True):
    """The latest word of each kind for each scope."""

    controls: list[Control]


class AuditList(msgspec.Struct, frozen=True, kw_only=True):
    """Events of the audit trail, newest first."""

    events: list[AuditEvent]


class Verification(msgspec.Struct, frozen=True, kw_only=True):
    """Whether the audit trail is whole: how many events there are, and what is wrong with them, in words."""

    intact: bool
    events: int
    faults: list[str]


class KeyRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A new key. name: for the audit trail. expires_in_s: null for one that does not expire."""

    name: Annotated[str, Meta(min_length=1, max_length=100)]
    roles: Annotated[list[Role], Meta(min_length=1, max_length=5)]
    expires_in_s: Annotated[float, Meta(gt=0, le=10 * 366 * 86_400)] | None = None


class KeyLine(msgspec.Struct, frozen=True, kw_only=True):
    """A key without its secret. Times are unix seconds."""

    id: str
    tenant: str
    name: str
    roles: tuple[Role, ...]
    created_at: float
    expires_at: float | None
    revoked_at: float | None

    @classmethod
    def of(cls, key: ApiKey) -> "KeyLine":
        """Return what may be shown of a key."""
        return cls(
            id=key.id,
            tenant=key.tenant,
            name=key.name,
            roles=key.roles,
            created_at=key.created_at,
            expires_at=key.expires_at,
            revoked_at=key.revoked_at,
        )


class NewKey(msgspec.Struct, frozen=True, kw_only=True):
    """A key that was just made. secret: its whole text, shown this once."""

    key: KeyLine
    secret: str


class KeyList(msgspec.Struct, frozen=True, kw_only=True):
    """The tenant's keys, without their secrets."""

    keys: list[KeyLine]


class RotationRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A new secret for a key. grace_s: how long the old one holds still."""

    grace_s: Annotated[float, Meta(ge=0, le=90 * 86_400)] = 0.0


class Health(msgspec.Struct, frozen=True, kw_only=True):
    """Whether the process answers, or is ready. reason: why not."""

    status: Literal["ok", "not ready"]
    reason: str = ""

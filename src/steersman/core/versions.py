"""Policy versions and what is in production: immutable artefacts, and one row for each move of the pointer to them."""

import hashlib
from typing import Any, Literal, TypeVar

import msgspec
from msgspec.structs import replace

from steersman.core.errors import Conflict, InvalidInput

Stage = Literal["shadow", "canary", "full"]
Kind = Literal["table", "network"]
Purpose = Literal["release", "experiment"]
Move = Literal[
    "begun",
    "started",
    "advanced",
    "held",
    "resumed",
    "promoted",
    "aborted",
    "rolled back",
    "concluded",
    "quarantined",
    "released from quarantine",
]

LEARNING = ""
"""The name of what is being learned: the working table, whatever it holds at the moment."""
BASELINE = "baseline"
"""The name of the agent's rule, alone and without exploring."""
_SHOWN = 12


def address(artefact: bytes) -> str:
    """Return the name of an artefact: the SHA-256 of its bytes, in hexadecimal."""
    return hashlib.sha256(artefact).hexdigest()


def short(version: str) -> str:
    """Return a version's name as people read it."""
    return {LEARNING: "what is being learned", BASELINE: "the baseline rule"}.get(version, version[:_SHOWN])


class PolicyVersion(msgspec.Struct, gc=False, frozen=True, kw_only=True):
    """What is known about a version beside its artefact, which `id` addresses by its content.

    position: the place in the log up to which it had learned. parent: the version that was in production when it was cut.
    schema, actions: of the state, and a digest of the action space: a version serves no other. outcomes: what it learned
    from. states: that a table knows; a network knows them by their numbers. size: of the artefact, in bytes. kind: what it
    is; hidden: the widths of a network's hidden layers.
    """

    id: str
    agent: str
    cut_at: float
    position: int
    parent: str
    settings_hash: str
    schema: str
    actions: str
    states: int
    outcomes: int
    epsilon: float
    size: int
    actor: str
    reason: str = ""
    kind: Kind = "table"
    hidden: tuple[int, ...] = ()

    @property
    def holds(self) -> str:
        """What it is, in words: "table, 37 states" or "network, 512-256"."""
        if self.kind == "network":
            return ", ".join(("network", *filter(None, ["-".join(map(str, self.hidden))])))
        return f"table, {self.states:,} {'state' if self.states == 1 else 'states'}"


class Deployment(msgspec.Struct, frozen=True, kw_only=True):
    """What is in production for an agent from `at` on, until the row with the next number.

    number: 1, 2, 3 …; a move is refused unless it was made from the last one. champion: who decides: a version,
    LEARNING or BASELINE. challenger: who is tried on the `share` of subjects that the hash of the subject under `release`
    falls to; in the shadow stage it is asked and not obeyed. release: the name of the trial, "" outside of one. step:
    of its plan, `stages`, in words. entered_at: when that step began. started_at, position: when, and where in the log,
    the trial began: what it is compared by lies behind it. previous: who decided before this trial, or before this move.
    held: why it does not go on, "" if it does. waits_for_person: the next step is confirmed by a person. quarantined:
    versions whose experience is not learned from. evidence: what the move was made on.
    """

    agent: str
    number: int
    at: float
    actor: str
    move: Move
    reason: str
    champion: str
    challenger: str = ""
    purpose: Purpose = "release"
    release: str = ""
    stages: str = ""
    step: int = 0
    stage: Stage = "full"
    share: float = 0.0
    entered_at: float = 0.0
    started_at: float = 0.0
    position: int = 0
    previous: str = ""
    held: str = ""
    waits_for_person: bool = False
    quarantined: tuple[str, ...] = ()
    evidence: dict[str, Any] = {}

    @property
    def under_way(self) -> bool:
        """Whether somebody is being tried."""
        return self.release != ""


class Judgement(msgspec.Struct, frozen=True, kw_only=True):
    """A verdict on a version as it was given, with its evidence.

    kind: "evaluation" (off the log, before a release), "outcome" (what a release or an experiment came to), "drill" (a
    bad version that was planted in a sandbox) or "training" (of a network; without a version where that failed). body: the
    figures, as plain values.
    """

    id: str
    agent: str
    version: str
    against: str
    at: float
    actor: str
    kind: Literal["evaluation", "outcome", "drill", "training"]
    verdict: str
    reason: str
    release: str = ""
    body: dict[str, Any] = {}


R = TypeVar("R", PolicyVersion, Deployment, Judgement)


def never_moved(agent: str) -> Deployment:
    """Return what is in production before the first move: whatever was learned at the moment."""
    return Deployment(agent=agent, number=0, at=0.0, actor="", move="started", reason="", champion=LEARNING)


def check_address(version: PolicyVersion, artefact: bytes) -> None:
    """Raise InvalidInput unless a version is named by the hash of its artefact."""
    if version.id != (found := address(artefact)):
        raise InvalidInput(
            f"version {version.id!r} of {version.agent} is not the hash of its artefact, {found}. Name it so."
        )


def check_follows(move: Deployment, last: Deployment | None) -> None:
    """Raise Conflict unless a move has the number behind the last one."""
    if last is None and move.number != 1:
        raise Conflict(f"{move.agent}: nothing was moved yet; the first move has number 1, not {move.number}. Look again.")
    if last is not None and move.number != last.number + 1:
        raise Conflict(
            f"{move.agent}: {last.actor} moved meanwhile ({last.move}, number {last.number}); number {move.number} does not "
            "follow it. Nothing was changed. Look again, and decide on what is in production now."
        )


def encoded(row: R) -> bytes:
    """Return a row as JSON. Raises InvalidInput for one that would not read back the same.

    What is not finite in the evidence becomes null there, knowingly: no rollback may fail because an interval is infinite.
    """
    try:
        body = msgspec.json.encode(row)
        read = msgspec.json.decode(body, type=type(row))
    except (TypeError, ValueError, OverflowError) as error:
        raise InvalidInput(f"{row.agent}: this cannot be stored: {error}. Use plain, finite numbers and text.") from error
    if _strict(read) != _strict(row):
        raise InvalidInput(f"{row.agent}: this would not read back the same: {row}.")
    return body


def _strict(row: R) -> R:
    """Return a row without its evidence."""
    if isinstance(row, Deployment):
        return replace(row, evidence={})
    return replace(row, body={}) if isinstance(row, Judgement) else row

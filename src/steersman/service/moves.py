"""Moves: what is asked of releases over the wire, and what is answered."""

from typing import Annotated, Any

import msgspec
from msgspec import Meta

from steersman.core.versions import Deployment, Judgement, PolicyVersion
from steersman.loops.drill import Drill
from steersman.service.messages import Name, Text

MOST_DRILLED = 100_000
_LONGEST_S = 366 * 86_400.0
Share = Annotated[float, Meta(gt=0, lt=1)]


class CutRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Make a version of what was learned so far."""

    reason: Text = ""


class VersionList(msgspec.Struct, frozen=True, kw_only=True):
    """Versions, newest first."""

    versions: list[PolicyVersion]


class Start(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="move", tag="start"):
    """Begin to release a version, once the gate lets it pass.

    challenger: a version, or how its name begins; null for what is being learned, cut now. plan: its steps, as in
    "shadow 1h, 10% 24h, 50% 24h" ("" for those of the settings). despite: why it is tried although the gate cannot tell.
    """

    challenger: Name | None = None
    plan: Annotated[str, Meta(max_length=200)] = ""
    despite: Text = ""
    reason: Text = ""


class Experiment(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="move", tag="experiment"):
    """Compare two policies for a time; then who was first decides again. share: of the subjects, for the second."""

    first: Name = "champion"
    second: Name = "baseline"
    share: Share = 0.5
    lasts_s: Annotated[float, Meta(gt=0, le=_LONGEST_S)] = 86_400.0
    reason: Text = ""


class Hold(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="move", tag="hold"):
    """Stop a trial where it is; harm still rolls it back."""

    reason: Text = ""


class Resume(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="move", tag="resume"):
    """Go on with a trial that is held, or confirm the step that waits for a person.

    number: of the move that the person saw; refused where another one was made since.
    """

    reason: Text = ""
    number: int | None = None


class Abort(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="move", tag="abort"):
    """End a trial: what was in production before decides again."""

    reason: Text = ""


class Rollback(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="move", tag="rollback"):
    """Let the version of before, or the one named in `to`, decide for everybody."""

    to: Name | None = None
    reason: Text = ""


class Quarantine(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="move", tag="quarantine"):
    """Leave what a version did out of learning."""

    version: Name
    reason: Text = ""


class ReleaseFromQuarantine(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="move", tag="release-from-quarantine"
):
    """Learn again from what a version did."""

    version: Name
    reason: Text = ""


MoveRequest = Start | Experiment | Hold | Resume | Abort | Rollback | Quarantine | ReleaseFromQuarantine


class DeploymentList(msgspec.Struct, frozen=True, kw_only=True):
    """What is in production for each agent that has decided or was released."""

    releases: list[Deployment]


class ReleaseAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What is, or was, in production, and how it came to that.

    now: null before the first move, when what was being learned decided. moves: newest first. trial: how the trial under
    way compares so far; null where none is, and for a time in the past. floor: how what decides compares with the rule's
    own share, likewise; null also where nothing is compared.
    """

    agent: str
    now: Deployment | None
    moves: list[Deployment]
    trial: dict[str, Any] | None
    floor: dict[str, Any] | None


class EvaluationRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Judge a version on the log. Each is a version, or how its name begins, or learning, champion, previous, baseline."""

    candidate: Name = "learning"
    against: Name = "champion"


class JudgementList(msgspec.Struct, frozen=True, kw_only=True):
    """Verdicts with their evidence, newest first."""

    judgements: list[Judgement]


class DrillRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Plant a bad version in a sandbox. share: of the subjects, for it. decisions: after how many it counts as missed."""

    share: Share = 0.1
    decisions: Annotated[int, Meta(ge=100, le=MOST_DRILLED)] = 20_000


class DrillAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """Whether the bad version was caught and the control was not, in words and in figures."""

    passed: bool
    sentence: str
    drill: Drill


class SignalList(msgspec.Struct, frozen=True, kw_only=True):
    """What monitoring tells of agents: the most urgent first."""

    signals: list[dict[str, Any]]

"""What a client sends and gets, as the service's API (version 1) writes it."""

from collections.abc import Iterator, Mapping
from typing import Any, Literal, TypeVar

import msgspec

from steersman.core.errors import InvalidInput
from steersman.core.state import Scalar, finite

T = TypeVar("T")

Choice = str | int | float


class Ask(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A question: what should `agent` do in `state`? The rest is as in `Agent.decide`."""

    agent: str
    state: Mapping[str, Scalar]
    episode: str | None = None
    subject: str | None = None
    arm: str | None = None
    observed_at: float | None = None


class Decided(msgspec.Struct, frozen=True, kw_only=True):
    """A decision. `propensity` is the probability of the action, None where it was not drawn.

    recorded: whether the service knows of it; one that was made here, or while the service could not write, it does not.
    durable: whether it was on the disk when the service answered. mode: the influence of what was learned. shadow: what was
    only asked would have done: in mode "advisory" the advice.
    """

    id: str
    agent: str
    action: dict[str, Choice]
    arm: str
    propensity: float | None = None
    confidence: float = 0.0
    reason: str = ""
    policy: str = ""
    episode: str = ""
    step: int = 0
    recorded: bool = True
    durable: bool = True
    mode: str = "live"
    shadow: dict[str, Choice] | None = None

    @property
    def choice(self) -> Choice:
        """The action of a flat space, as its one choice. Raises InvalidInput in a factored space; use `action` there."""
        if len(self.action) != 1:
            raise InvalidInput(f"{self.agent} chooses in {len(self.action)} dimensions; use decision.action.")
        return next(iter(self.action.values()))


class Said(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What came of a decision, as in `Agent.report`. revision: the one that this should become; leave it out otherwise."""

    decision_id: str
    measurements: Mapping[str, float]
    next_state: Mapping[str, Scalar] | None = None
    terminated: bool | None = None
    truncated: bool = False
    executed: Mapping[str, Choice] | Choice | None = None
    source: str = ""
    correct: bool = False
    revision: int | None = None


class Reported(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a report.

    status: "stored" is durable and learned, and all else is known; "waiting" could not be delivered yet and is sent later;
    "unrecorded" belongs to a decision that the service does not know, so there was nothing to send.
    """

    decision_id: str
    revision: int | None = None
    kind: str = ""
    reward: float | None = None
    components: dict[str, float] = {}
    status: Literal["stored", "waiting", "unrecorded"] = "stored"


OURS = "urn:steersman:problem:"


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """A problem document (RFC 9457) as the service writes it; `error` is the name of the class in `core.errors`."""

    type: str = ""
    title: str = ""
    detail: str = ""
    status: int = 500
    error: str = ""

    @property
    def ours(self) -> bool:
        """Whether a Steersman service wrote it, and not something that stands before it."""
        return self.type.startswith(OURS)


class Results(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to a batch: for each item, in order, an answer or {"problem": …}."""

    results: list[msgspec.Raw]

    def read(self, kind: type[T]) -> list[T | Problem]:
        """Return what each holds. Raises msgspec.MsgspecError."""
        return [_either(each, kind) for each in self.results]


class _Refused(msgspec.Struct, frozen=True, kw_only=True):
    problem: Problem


def _either(raw: msgspec.Raw, kind: type[T]) -> T | Problem:
    try:
        return msgspec.json.decode(raw, type=_Refused).problem
    except msgspec.ValidationError:
        return msgspec.json.decode(raw, type=kind)


def encode(body: Any) -> bytes:
    """Return JSON. Raises InvalidInput for numbers that are not finite, which would arrive as null."""
    plain = msgspec.to_builtins(body)
    for name, value in _numbers("", plain):
        finite(value, name=name)
    return msgspec.json.encode(plain)


def _numbers(name: str, value: Any) -> Iterator[tuple[str, float]]:
    match value:
        case float():
            yield name, value
        case dict():
            for key, each in value.items():
                yield from _numbers(f"{name}.{key}".lstrip("."), each)
        case list() | tuple():
            for index, each in enumerate(value):
                yield from _numbers(f"{name}[{index}]", each)

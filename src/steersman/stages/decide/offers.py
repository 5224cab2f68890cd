"""Offers: a request for a ranking, whose actions come with it, checked, and put into the words of the log."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import msgspec

from steersman.core.errors import InvalidInput
from steersman.core.state import Scalar
from steersman.core.values import Refused

MOST_ACTIONS = 50
MOST_SLOTS = 50
MOST_NAME = 256
MOST_TEXT = 200_000
"""Characters of features, as JSON, that one event may have."""
MOST_LOGGED = 2_000_000
"""Characters that all slots of an event may have together: each is logged with all that was offered."""
MOST_PAIRS = 1_000_000
"""Pairs of a feature of the context with one of an action that all slots of an event may have together."""

_encoder = msgspec.json.Encoder()

Json = Mapping[str, Any]
State = dict[str, Scalar]


@dataclass(frozen=True, kw_only=True)
class Offer:
    """An action that can be chosen this time: its id, and what is known of it."""

    id: str
    features: Sequence[Json] = ()


@dataclass(frozen=True, kw_only=True)
class Slot:
    """A place that gets one action: the action it would have by itself, those it must not have, what is known of it."""

    id: str
    baseline: str
    excluded: Sequence[str] = ()
    features: Sequence[Json] = ()


@dataclass(frozen=True, kw_only=True)
class Request:
    """A question for a ranking. Without slots the first action that is not excluded is the baseline.

    event: "" has the ranker name it. deferred: the event counts only after it is activated.
    """

    offers: Sequence[Offer]
    context: Sequence[Json] = ()
    excluded: Sequence[str] = ()
    event: str = ""
    deferred: bool = False
    slots: Sequence[Slot] = ()

    @property
    def mode(self) -> Literal["advisory", "live"]:
        """What is logged of whether the answer is carried out: for certain ("live"), or perhaps ("advisory")."""
        return "advisory" if self.deferred else "live"

    @property
    def pairs(self) -> int:
        """How many pairs of features are asked about at most, over all slots: what ranking costs."""
        own = sum(1 + _leaves(each.features) for each in self.offers)
        context = 1 + _leaves(self.context)
        return own * (sum(context + _leaves(each.features) for each in self.slots) or context)


def slot_id(event: str, slot: str) -> str:
    """Return the id of the decision that a slot of an event is."""
    return f"{event}\x1f{slot}"


def asked(request: Request, event: str) -> list[tuple[str, State]]:
    """Return the id and the state of each decision that a request asks for: what was known, as JSON text.

    Raises InvalidInput for what is no JSON, or too long.
    """
    state: State = {
        "context": _text(list(request.context)),
        "actions": _text([(each.id, list(each.features)) for each in request.offers]),
        "excluded": _text(list(request.excluded)),
    }
    length = sum(len(str(each)) for each in state.values())
    if length > MOST_TEXT:
        raise InvalidInput(f"features: more than {MOST_TEXT} characters for one event. Send fewer.")
    if length * len(request.slots) > MOST_LOGGED:
        raise InvalidInput(
            f"features: {length} characters for each of {len(request.slots)} slots; at most {MOST_LOGGED} for all. "
            "Send fewer."
        )
    return [(slot_id(event, each.id), {**state, **_of_slot(each)}) for each in request.slots] or [(event, state)]


def _of_slot(slot: Slot) -> State:
    return {"slot": _text([{"id": slot.id}, *slot.features]), "excluded": _text(list(slot.excluded))}


def _leaves(value: object) -> int:
    """Return how many plain values there are in a nested one."""
    found, left = 0, [value]
    while left:
        each = left.pop()
        if isinstance(each, Mapping):
            left.extend(each.values())
        elif isinstance(each, list | tuple):
            left.extend(each)
        else:
            found += 1
    return found


def refused(request: Request, slot: Slot | None, taken: Sequence[str]) -> tuple[Refused, ...]:
    """Return which actions cannot be chosen: those that the caller excluded, and those that earlier slots have."""
    known = {each.id for each in request.offers}
    excluded = [*request.excluded, *(slot.excluded if slot is not None else ())]
    return (
        *(Refused(where={"action": each}, guard="excluded", reason="by the caller") for each in excluded if each in known),
        *(Refused(where={"action": each}, guard="taken", reason="by an earlier slot") for each in taken),
    )


def check(request: Request) -> None:
    """Raise InvalidInput for a request that cannot be answered."""
    ids = [each.id for each in request.offers]
    if not 1 <= len(ids) <= MOST_ACTIONS:
        raise InvalidInput(f"{len(ids)} actions; between 1 and {MOST_ACTIONS} can be ranked.")
    for name in (*ids, request.event, *(each.id for each in request.slots)):
        if len(name) > MOST_NAME or not name.isprintable():
            raise InvalidInput(f"id {name[:40]!r}: expected at most {MOST_NAME} printable characters.")
    if "" in ids:
        raise InvalidInput("an action's id is empty. Give each action an id of its own.")
    if len(set(ids)) != len(ids):
        twice = next(each for each in ids if ids.count(each) > 1)
        raise InvalidInput(f"action {twice!r} is there twice. Give each action an id of its own.")
    if not set(ids) - set(request.excluded):
        raise InvalidInput("all actions are excluded. Leave at least one.")
    if request.slots:
        _check_slots(request.slots, ids)
        _check_pairs(request)


def _check_pairs(request: Request) -> None:
    found = request.pairs
    if found > MOST_PAIRS:
        raise InvalidInput(
            f"{found} pairs of features of the context and the actions over {len(request.slots)} slots; at most "
            f"{MOST_PAIRS}. Send fewer features, or fewer slots."
        )


def _check_slots(slots: Sequence[Slot], ids: Sequence[str]) -> None:
    if len(slots) > min(MOST_SLOTS, len(ids)):
        raise InvalidInput(f"{len(slots)} slots; at most {MOST_SLOTS}, and no more than there are actions ({len(ids)}).")
    for kind, values in (("id", [each.id for each in slots]), ("baselineAction", [each.baseline for each in slots])):
        if len(set(values)) != len(values) or "" in values:
            raise InvalidInput(f"slots: each needs a {kind} of its own, got {values[:10]}.")
    for number, each in enumerate(slots):
        if each.baseline not in ids or each.baseline in each.excluded:
            raise InvalidInput(f"slot {each.id!r}: baselineAction {each.baseline!r} is no action, or excluded.")
        if len(set(ids) - set(each.excluded)) <= number:
            raise InvalidInput(f"slot {each.id!r}: so many actions are excluded that none may be left for it.")


def _text(value: object) -> str:
    try:
        text = _encoder.encode(value).decode()
        if "null" in text and not _finite(value):  # NaN and infinity become null there
            raise InvalidInput("features: a number is not finite. Leave it out.")
    except (TypeError, ValueError, RecursionError, OverflowError) as error:
        raise InvalidInput(f"features are no plain JSON: {error}.") from error
    return text


def _finite(value: object) -> bool:
    if isinstance(value, float):
        return math.isfinite(value)
    if isinstance(value, Mapping):
        return all(map(_finite, value.values()))
    return not isinstance(value, list | tuple) or all(map(_finite, value))

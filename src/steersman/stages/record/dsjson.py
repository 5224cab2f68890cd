"""DSJSON: the logs that Azure Personalizer exported, in the format of Vowpal Wabbit's decision service, line by line.

Each line is one event: context and actions ("c", with "_multi"), the order and the probabilities in which they were ranked
("a", "p"), what was observed ("o") and the cost that learning saw ("_label_cost", the negative reward).
"""

from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec

from steersman.core.actions import Choice
from steersman.core.errors import InvalidInput
from steersman.core.values import Decision, Outcome
from steersman.stages.record.events import HIGH, LOW

MOST_ACTIONS = 1_000
_CONTEXT, _ACTION = "FromUrl", "j"
"""The namespaces in which the service put what a client sent as contextFeatures, and as the features of an action."""

SKIPPED = ("not activated", "reward without its event", "several slots", "no actions")
"""Why a line that can be read is left out."""

_Chance = Annotated[float, msgspec.Meta(ge=0.0, le=1.0)]


class _Observation(msgspec.Struct):
    v: float | None = None


class _Line(
    msgspec.Struct, rename={"event": "EventId", "at": "Timestamp", "reward": "RewardValue", "outcomes": "_outcomes"}
):
    event: str = ""
    at: str = ""
    label_cost: float | None = msgspec.field(default=None, name="_label_cost")
    label_probability: _Chance | None = msgspec.field(default=None, name="_label_probability")
    label_action: int | None = msgspec.field(default=None, name="_label_Action")
    label_index: int | None = msgspec.field(default=None, name="_labelIndex")
    skip: bool = msgspec.field(default=False, name="_skipLearn")
    a: list[int] = []
    p: list[_Chance] = []
    c: dict[str, Any] = {}
    o: list[_Observation] = []
    reward: Any = None
    outcomes: Any = None


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """An event of a log, as rows of ours."""

    decision: Decision
    outcome: Outcome


_decoder = msgspec.json.Decoder(_Line)
_encoder = msgspec.json.Encoder()


def read(line: bytes, *, agent: str, schema: str) -> Event | str:
    """Return the event of a line, or why it is left out: one of `SKIPPED`. Raises InvalidInput for what cannot be read."""
    try:
        found = _decoder.decode(line)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidInput(f"no line of such a log: {error or 'it is nested too deeply'}.") from error
    multi = found.c.get("_multi")
    if found.reward is not None and not found.c:
        return "reward without its event"
    if found.outcomes is not None or "_slots" in found.c:
        return "several slots"
    if not isinstance(multi, list) or not multi:
        return "no actions"
    if found.skip:
        return "not activated"
    return _event(found, _offers(multi), agent, schema)


def _event(found: _Line, offers: "list[tuple[str, list[dict[str, Any]]]]", agent: str, schema: str) -> Event:
    if not 0 < len(found.event) <= 256:
        raise InvalidInput("EventId is missing, or longer than 256 characters.")
    chosen = _chosen(found, len(offers))
    chances = _chances(found, len(offers))
    at = _time(found.at)
    action: dict[str, Choice] = {"action": offers[chosen][0]}
    chance = chances[chosen] if chances[chosen] > 0.0 else None
    decision = Decision(
        id=found.event,
        agent=agent,
        episode=found.event,
        step=0,
        subject=found.event,
        state={
            "context": _encoder.encode(_objects(found.c, _CONTEXT)).decode(),
            "actions": _encoder.encode(offers).decode(),
            "excluded": "[]",
            "probabilities": _encoder.encode(chances).decode(),
        },
        schema=schema,
        refusals=(),
        proposed=action if chance is not None else None,
        executed=action,
        propensity=chance,
        action_probability=chance,
        arm="champion",
        arm_probability=1.0,
        reason="imported from Personalizer",
        values=(),
        confidence=0.0,
        epsilon=0.0,
        policy="imported/personalizer",
        settings_hash="",
        table_position=0,
        seed=0,
        draw=-1,
        decided_at=at,
        latency_us=0.0,
    )
    return Event(decision=decision, outcome=_outcome(found, decision))


def _outcome(found: _Line, decision: Decision) -> Outcome:
    """Return what learning saw: the negative cost. Without an observation it was the default reward."""
    if found.label_cost is None:
        raise InvalidInput("_label_cost is missing: what came of the event is not known.")
    reward = min(max(-found.label_cost, LOW), HIGH) + 0.0
    observed = any(each.v is not None for each in found.o)
    kind: Literal["reported", "expired"] = "reported" if observed else "expired"
    return Outcome(
        decision_id=decision.id,
        agent=decision.agent,
        revision=0,
        kind=kind,
        measurements={"value": reward} if observed else {},
        components={"reward": reward},
        reward=reward,
        next_state=None,
        next_refusals=(),
        terminated=True,
        truncated=False,
        executed=None,
        reported_at=decision.decided_at,
        source="personalizer",
    )


def _offers(multi: list[Any]) -> "list[tuple[str, list[dict[str, Any]]]]":
    """Return id and features of each action. The id stands in "_tag", or in the namespace "i"; else its place is its id."""
    if len(multi) > MOST_ACTIONS:
        raise InvalidInput(f"{len(multi)} actions; at most {MOST_ACTIONS} are read.")
    offers = []
    for place, each in enumerate(multi):
        if not isinstance(each, dict):
            raise InvalidInput(f"action {place} of _multi is no object.")
        inner = each.get("i")
        name = each.get("_tag") or (inner.get("id") if isinstance(inner, dict) else None) or str(place)
        known = {key: value for key, value in each.items() if key != "i"}
        offers.append((str(name), _objects(known, _ACTION)))
    if len({name for name, _ in offers}) != len(offers):
        offers = [(f"{name}#{place}", known) for place, (name, known) in enumerate(offers)]
    return offers


def _objects(known: dict[str, Any], wrapped: str) -> "list[dict[str, Any]]":
    """Return objects with features as a client sent them: the service kept its list of them in a namespace of its own."""
    inner = known.get(wrapped)
    sent = [each for each in inner if isinstance(each, dict)] if isinstance(inner, list) else []
    rest = {name: each for name, each in known.items() if not name.startswith("_") and not (sent and name == wrapped)}
    return [*sent, rest] if rest else sent


def _chosen(found: _Line, count: int) -> int:
    """Return the place of the chosen action among the actions. Actions are counted from 1 in a log, indices from 0."""
    if found.label_index is not None:
        chosen = found.label_index
    elif found.label_action is not None:
        chosen = found.label_action - 1
    elif found.a:
        chosen = found.a[0] - 1
    else:
        raise InvalidInput("neither _labelIndex nor _label_Action nor a: which action was chosen is not known.")
    if not 0 <= chosen < count:
        raise InvalidInput(f"action {chosen + 1} was chosen of {count}.")
    return chosen


def _chances(found: _Line, count: int) -> list[float]:
    """Return the probability of each action, by its place; 0 where the log does not say. "p" follows the order of "a"."""
    chances = [0.0] * count
    if found.a and len(found.a) == len(found.p) == count and sorted(found.a) == list(range(1, count + 1)):
        for place, chance in zip(found.a, found.p, strict=True):
            chances[place - 1] = chance
    if found.label_probability is not None:
        chances[_chosen(found, count)] = found.label_probability
    return chances


def _time(text: str) -> float:
    """Return unix seconds of a time such as 2020-11-15T17:09:31.8350000Z."""
    head, _, rest = text.rstrip("Z").partition(".")
    try:
        return datetime.fromisoformat(f"{head}.{(rest or '0')[:6].ljust(6, '0')}+00:00").timestamp()
    except ValueError as error:
        raise InvalidInput(f"Timestamp {text!r} is no time such as 2026-01-31T12:00:00.0000000Z.") from error

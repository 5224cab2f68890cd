"""Events: what becomes of a ranking. Each word about it (activated, rewarded, silent) is a revision of its outcome.

An event whose activation was deferred counts once it is activated: until then it has no reward, whatever was reported.
`measurements` hold what was said so far ("value", "activated"). Where a reward takes the place of one that was learned,
`components` hold that one as "before".
"""

from steersman.core.errors import InvalidInput
from steersman.core.state import finite
from steersman.core.values import Decision, Outcome, OutcomeKind

LOW, HIGH = -1.0, 1.0
DEFERRED = "advisory"
"""The mode of a decision that may not have been carried out: it waits for its activation."""


def checked_reward(value: object) -> float:
    """Return a reward. Raises InvalidInput unless it is a finite number from -1 to 1."""
    number = finite(value, name="value")
    if not LOW <= number <= HIGH:
        raise InvalidInput(f"value: {number} lies outside [{LOW:g}, {HIGH:g}].")
    return number


def rewarded(decision: Decision, last: Outcome | None, value: float, aggregation: str, *, at: float) -> Outcome | None:
    """Return the next revision after a reward, or None where an earlier one stands ("earliest"). Sums stay in [-1, 1]."""
    said = {} if last is None else last.measurements
    if "value" in said and aggregation == "earliest":
        return None
    return _revision(decision, last, {**said, "value": said.get("value", 0.0) + value}, at=at)


def activated(decision: Decision, last: Outcome | None, *, at: float) -> Outcome | None:
    """Return the next revision after an activation, or None where the event is active already."""
    if _active(decision, {} if last is None else last.measurements):
        return None
    said = {} if last is None else last.measurements
    return _revision(decision, last, {**said, "activated": 1.0}, at=at)


def silent(decision: Decision, last: Outcome | None, *, default: float, at: float) -> Outcome:
    """Return the next revision of an event that nobody rewarded in time: the default reward, or none if it is not active."""
    said = {} if last is None else last.measurements
    reward = default if _active(decision, said) else None
    return _revision(decision, last, said, at=at, kind="expired", reward=reward)


def awaits_reward(outcome: Outcome) -> bool:
    """Return whether a revision says that the event is active and has no reward yet."""
    return outcome.kind == "reported" and outcome.reward is None and "activated" in outcome.measurements


def _active(decision: Decision, said: dict[str, float]) -> bool:
    return decision.mode != DEFERRED or "activated" in said


def _revision(
    decision: Decision,
    last: Outcome | None,
    said: dict[str, float],
    *,
    at: float,
    kind: OutcomeKind = "reported",
    reward: float | None = None,
) -> Outcome:
    if kind == "reported" and "value" in said and _active(decision, said):
        reward = min(max(said["value"], LOW), HIGH)
    before = None if last is None else last.reward
    components = {} if reward is None else {"reward": reward}
    if reward is not None and before is not None:
        components["before"] = before
    return Outcome(
        decision_id=decision.id,
        agent=decision.agent,
        revision=0 if last is None else last.revision + 1,
        kind=kind,
        measurements=said,
        components=components,
        reward=reward,
        next_state=None,
        next_refusals=(),
        terminated=True,
        truncated=False,
        executed=None,
        reported_at=at,
        source="",
    )

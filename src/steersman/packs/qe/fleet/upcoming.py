"""What an agent would do next, and why: the values behind it, beside what its baseline rule would do."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from steersman.core.actions import Choice
from steersman.core.agent import AgentSpec
from steersman.core.ports import AgentHandle
from steersman.core.state import StateValues


@dataclass(frozen=True, kw_only=True)
class ChoiceValue:
    """What was learned about one choice in the last state: its value (a summand of the reward), and from how many runs."""

    choice: Choice
    value: float
    runs: int


@dataclass(frozen=True, kw_only=True)
class Next:
    """What the learned values say for the last state, why, and what the baseline rule would do."""

    state: Mapping[str, Any]
    action: Mapping[str, Choice]
    baseline: Mapping[str, Choice]
    values: Mapping[str, tuple[ChoiceValue, ...]]
    why: str


def next_action(spec: AgentSpec, handle: AgentHandle, state: StateValues) -> Next:
    """Return the best known allowed action for a state, with the values behind it."""
    learned = handle.values(state)
    values = {
        dimension: tuple(
            ChoiceValue(choice=choice, value=round(entry.value, 3), runs=entry.visits) for choice, entry in each.items()
        )
        for dimension, each in learned.items()
    }
    refused = [dict(refusal.where) for guard in spec.guards for refusal in guard.refuse(state)]
    allowed = [a for a in spec.actions.actions if not any(all(a[k] == v for k, v in where.items()) for where in refused)]
    rule = dict(spec.actions.action(spec.baseline(state)))
    known = {(dimension, each.choice): each for dimension, choices in values.items() for each in choices if each.runs}
    tried = [action for action in allowed if all((k, v) in known for k, v in action.items())]
    if not tried:
        why = "This state was hardly seen, so the baseline rule would decide."
        return Next(state=dict(state), action=rule, baseline=rule, values=values, why=why)
    best = max(tried, key=lambda action: sum(known[item].value for item in action.items()))
    return Next(state=dict(state), action=dict(best), baseline=rule, values=values, why=_why(best, values, tried))


def _why(
    best: Mapping[str, Choice],
    values: Mapping[str, Sequence[ChoiceValue]],
    tried: Sequence[Mapping[str, Choice]],
) -> str:
    parts = []
    for dimension, choice in best.items():
        open_choices = {action[dimension] for action in tried}
        known = sorted((each for each in values[dimension] if each.choice in open_choices), key=lambda each: -each.value)
        mine = next(each for each in known if each.choice == choice)
        others = [each for each in known if each.choice != choice]
        text = f"{dimension} {choice} ({mine.value:+.1f}, {mine.runs} runs)"
        if others:
            text += f" before {others[0].choice} ({others[0].value:+.1f}, {others[0].runs} runs)"
        parts.append(text)
    sums = " Values add up over the dimensions to the expected reward." if len(parts) > 1 else ""
    return "; ".join(parts) + f".{sums}"

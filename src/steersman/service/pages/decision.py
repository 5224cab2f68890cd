"""One decision: the situation, what was allowed, what each choice was worth and by whose evidence, and what came of it."""

from collections.abc import Mapping
from dataclasses import dataclass

from steersman.core.actions import Choice
from steersman.core.errors import NotFound
from steersman.core.values import Decision
from steersman.loops.explain import Explanation
from steersman.service.operations import Call, Reply
from steersman.service.pages.shell import html, page


@dataclass(frozen=True, kw_only=True)
class Bar:
    """A choice's value on an axis from 0 to 100, and what became of the choice.

    start, width: of the bar, from the axis' zero. sources: (whose evidence, share) pairs, the largest first.
    """

    choice: str
    value: float
    start: float
    width: float
    chosen: bool
    refused: str
    sources: tuple[tuple[str, float], ...]


def bars(explanation: Explanation) -> dict[str, list[Bar]]:
    """Return the bars of each dimension, best first, all on one axis."""
    every = [value for values in explanation.values.values() for value in values.values()]
    low, high = min([0.0, *every]), max([0.0, *every])
    width = (high - low) or 1.0

    def bar(dimension: str, choice: str, value: float) -> Bar:
        shares = explanation.shares.get(dimension, {}).get(choice, {})
        return Bar(
            choice=choice,
            value=value,
            start=round(100.0 * (min(value, 0.0) - low) / width, 2),
            width=round(100.0 * abs(value) / width, 2),
            chosen=str(explanation.decision.executed.get(dimension)) == choice,
            refused=_refused(explanation, dimension, choice),
            sources=tuple(sorted(shares.items(), key=lambda each: -each[1])),
        )

    return {
        dimension: sorted((bar(dimension, *each) for each in values.items()), key=lambda each: -each.value)
        for dimension, values in explanation.values.items()
    }


def _refused(explanation: Explanation, dimension: str, choice: str) -> str:
    """Return the reason for which a choice was refused whatever else was chosen; "" if it was not."""
    for each in explanation.decision.refusals:
        where: Mapping[str, Choice] = each.where
        if not where or (list(where) == [dimension] and str(where[dimension]) == choice):
            return f"{each.guard}: {each.reason}"
    return ""


def _view(call: Call) -> Reply:
    try:
        agent, decision = call.steersman.decision(call.path["id"])
    except NotFound:
        logged = call.steersman.log.decision(call.path["id"])
        if logged is None:
            raise
        return _undefined(call, logged)
    explanation = agent.explain(decision.id)
    return html(
        call,
        "decision.html",
        active="",
        decision=decision,
        spec=agent.spec,
        explanation=explanation,
        bars=bars(explanation),
        outcomes=explanation.outcomes,
        last=explanation.outcomes[-1] if explanation.outcomes else None,
        fields={each.name: each for each in agent.spec.state.fields},
    )


def _undefined(call: Call, decision: Decision) -> Reply:
    """Return the logged row of an agent whose definition is not known to this service."""
    outcomes = call.steersman.log.outcomes(decision.id)
    return html(
        call,
        "decision_undefined.html",
        active="",
        decision=decision,
        outcomes=outcomes,
        last=outcomes[-1] if outcomes else None,
    )


PAGE = page("/decisions/{id}", "One decision, explained.", _view)

"""From what was measured to an outcome row: typed, finite, scored, and never more than once."""

from dataclasses import dataclass

from steersman.core.actions import Choice
from steersman.core.agent import AgentSpec
from steersman.core.errors import Conflict, InvalidInput
from steersman.core.sections import Episodes
from steersman.core.state import Scalar
from steersman.core.values import Decision, Outcome


@dataclass(frozen=True, kw_only=True, slots=True)
class Report:
    """What a caller says about a decision, after its parts were checked."""

    measurements: dict[str, float]
    next_state: dict[str, Scalar] | None
    next_refusals: tuple[dict[str, Choice], ...]
    terminated: bool | None
    truncated: bool
    executed: dict[str, Choice] | None
    source: str


def outcome(decision: Decision, report: Report, *, spec: AgentSpec, episodes: Episodes, gamma: float, at: float) -> Outcome:
    """Return the first revision of a decision's outcome.

    A decision without a named episode ends with its outcome: terminated, or truncated where a next state is given. A
    named episode is truncated at `max_steps`. Raises InvalidInput where the episode goes on and the next state is missing.
    """
    alone = decision.episode == decision.id
    terminated = report.terminated
    if terminated is None:
        terminated = alone and report.next_state is None and not report.truncated
    truncated = not terminated and (alone or report.truncated or decision.step + 1 >= episodes.max_steps)
    if report.next_state is None and not terminated and gamma > 0.0:
        raise InvalidInput(
            f"decision {decision.id}: the episode goes on, so say where it went: pass next_state=… (also where it "
            "is truncated), or terminated=True."
        )
    score, measured = spec.reward.score(report.measurements), report.measurements
    wrong = measured.get(spec.false_block)
    return Outcome(
        decision_id=decision.id,
        agent=decision.agent,
        revision=0,
        kind="reported",
        measurements=report.measurements,
        components=score.components,
        reward=score.reward,
        next_state=None if terminated else report.next_state,
        next_refusals=report.next_refusals,
        terminated=terminated,
        truncated=truncated,
        executed=report.executed if report.executed != decision.executed else None,
        reported_at=at,
        source=report.source,
        success=score.reward >= spec.success_from,
        cost=measured.get(spec.cost),
        false_block=None if wrong is None else wrong > 0.0,
    )


def silent(decision: Decision, *, spec: AgentSpec, at: float) -> Outcome:
    """Return the outcome of a decision of which nothing is known: the default reward, or none. A named episode goes on."""
    reward = spec.reward.default
    return Outcome(
        decision_id=decision.id,
        agent=decision.agent,
        revision=0,
        kind="expired",
        measurements={},
        components={},
        reward=reward,
        next_state=None,
        next_refusals=(),
        terminated=False,
        truncated=decision.episode == decision.id,
        executed=None,
        reported_at=at,
        source="",
        success=None if reward is None else reward >= spec.success_from,
    )


def same(one: Outcome, other: Outcome) -> bool:
    """Return whether two reports say the same, whoever said it and when."""
    return _content(one) == _content(other)


def _content(outcome: Outcome) -> tuple[object, ...]:
    return (
        outcome.kind,
        outcome.measurements,
        outcome.next_state,
        outcome.terminated,
        outcome.truncated,
        outcome.executed,
    )


def check_time(decision: Decision, episodes: Episodes, at: float) -> None:
    """Raise Conflict where a decision is too old for anything to be said about it."""
    age_s = at - decision.decided_at
    if age_s > episodes.accept_until_s:
        raise Conflict(
            f"decision {decision.id} is {age_s:.0f} s old and outcomes are accepted for {episodes.accept_until_s:.0f} s "
            "(setting episodes.accept_until_s)."
        )

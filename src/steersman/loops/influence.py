"""Influence: asks the gate with what it wants to know, and gives the situations in which the rule and advice are asked."""

from dataclasses import dataclass

from msgspec.structs import replace

from steersman.core.influence import Mode, withheld_by
from steersman.core.state import StateValues
from steersman.core.versions import BASELINE
from steersman.loops.runtime import Runtime
from steersman.loops.serving import Given, Served
from steersman.stages.decide.choose import Situation
from steersman.stages.decide.influence import closest, refusal


@dataclass(frozen=True, kw_only=True, slots=True)
class Question:
    """Whether the learned policy may decide for a subject, in a state that is known by its key and its values."""

    mode: Mode
    subject: str
    observed_at: float | None
    given: Given
    key: str
    state: StateValues


def withheld(agent: Runtime, question: Question, situation: Situation) -> str:
    """Return why the learned policy may not decide, "" where it may; where nothing is allowed nobody decides.

    Within a trial both sides must be confident: who is compared must not depend on who was drawn. The rule always is.
    """
    if not situation.allowed.any():
        return ""
    limits = agent.settings.influence

    def confidence() -> float:
        learned = (each for each in agent.serving.contenders(question.given) if each.version != BASELINE)
        return min((_conviction(each, situation, question) for each in learned), default=1.0)

    return refusal(
        question.mode,
        limits,
        age_s=None if question.observed_at is None else agent.world.clock() - question.observed_at,
        since_s=agent.cooldown.since_s(question.subject) if limits.cooldown_s and question.mode == "live" else None,
        confidence=confidence,
    )


def _conviction(served: Served, situation: Situation, question: Question) -> float:
    same = served is question.given.served
    there = situation if same else in_place(served, situation, question.key, question.state)
    return served.chooser.conviction(served.table, there)


def ruled(agent: Runtime, situation: Situation, why: str) -> Situation:
    """Return the situation in which the rule decides, by its action or the closest one that is allowed.

    Where only confidence is lacking (`why`), exploring goes on around the rule: or what was learned would never be surer.
    """
    space = agent.spec.actions
    safe = space.index(agent.spec.safe_action)
    rule = closest(space, situation.baseline, safe, situation.allowed)
    if withheld_by(why) == "confidence":
        return replace(situation, baseline=rule, unsure=True)
    return replace(situation, arm="baseline", baseline=rule)


def asked(mode: Mode, situation: Situation) -> Situation:
    """Return the situation in which the learned policy is asked what it would have done; it advises without exploring."""
    return replace(situation, arm=None, may_explore=situation.may_explore and mode != "advisory")


def in_place(served: Served, situation: Situation, key: str, state: StateValues) -> Situation:
    """Return the situation as another policy meets it than the one that was given."""
    return replace(situation, row=served.table.place(key, state), epsilon=served.epsilon or 0.0, priors=())

"""Rank: one action is drawn, by the baseline's share or from the champion's distribution, and the others stand behind it."""

from dataclasses import dataclass

import msgspec
import numpy as np

from steersman.core.values import Arm, Decision
from steersman.maths.distributions import Floats, draw

_offers = msgspec.json.Decoder(list[tuple[str, msgspec.Raw]])
_chances = msgspec.json.Decoder(list[float])


@dataclass(frozen=True, kw_only=True)
class Ranked:
    """A choice among actions. `probabilities` (A,) is the chance that each had, by whichever arm; it sums to 1.

    propensity: of the action within its arm; None where nothing was drawn.
    """

    action: int
    arm: Arm
    arm_probability: float
    propensity: float | None
    probabilities: Floats
    reason: str


def drawn(champion: Floats, baseline: int, share: float, uniforms: Floats, reason: str) -> Ranked:
    """Draw an arm by the first uniform number and, for the champion, an action from its distribution (A,) by the second."""
    probabilities = (1.0 - share) * champion
    probabilities[baseline] += share
    if uniforms[0] < share:
        return Ranked(
            action=baseline,
            arm="baseline",
            arm_probability=share,
            propensity=1.0,
            probabilities=probabilities,
            reason="baseline's share: the caller's first action",
        )
    action = draw(champion, float(uniforms[1]))
    return Ranked(
        action=action,
        arm="champion",
        arm_probability=1.0 - share,
        propensity=float(champion[action]),
        probabilities=probabilities,
        reason=reason,
    )


def safe(baseline: int, count: int, reason: str) -> Ranked:
    """Take the caller's first action, for certain: nothing was drawn."""
    probabilities = np.zeros(count)
    probabilities[baseline] = 1.0
    return Ranked(
        action=baseline, arm="safe", arm_probability=1.0, propensity=None, probabilities=probabilities, reason=reason
    )


def ranking(decision: Decision) -> list[tuple[str, float]]:
    """Return the ranking of a logged event: id and probability, the chosen action first, then by falling probability.

    Actions that could not be chosen come last, with a probability of 0.
    """
    offered = [name for name, _ in _offers.decode(str(decision.state["actions"]))]
    chances = dict(zip(offered, _chances.decode(str(decision.state["probabilities"])), strict=True))
    out, chosen = {each.where["action"] for each in decision.refusals}, decision.executed["action"]
    return sorted(chances.items(), key=lambda each: (each[0] != chosen, each[0] in out, -each[1]))

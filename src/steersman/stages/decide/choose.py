"""Choose: an arm, then an action inside it, each with the probability with which it was drawn."""

import math

import numpy as np
from msgspec import Struct
from msgspec.structs import replace
from numpy.typing import NDArray

from steersman.core.errors import InvalidInput
from steersman.core.settings import Settings
from steersman.core.values import Arm, Belief
from steersman.maths import distributions
from steersman.maths.schedules import effective_count
from steersman.maths.statistics import confidence
from steersman.policies.exploration import Explorer
from steersman.policies.prior import OWN, OwnEvidence, blend, worth
from steersman.policies.tabular import QTable
from steersman.policies.values import Place, Values

Mask = NDArray[np.bool_]
_SMALLEST_ALPHA = 1e-6


class Choice(Struct, frozen=True, kw_only=True):
    """What was chosen. `action` is None where nothing was allowed.

    `propensity` is the action's probability within its arm, `probability` that of the action by either arm.
    """

    action: int | None
    propensity: float | None
    probability: float | None
    arm: Arm
    arm_probability: float
    reason: str
    values: tuple[float, ...]
    confidence: float
    priors: tuple[Belief, ...] = ()


class Situation(Struct, frozen=True, kw_only=True, eq=False):
    """All that a choice depends on: where the state is known, what is allowed, the rule's action, ε and four uniform draws.

    `priors` is what others say about the state; without any, the choice rests on the table alone. Without `may_explore`
    the champion takes what it thinks best. `learned` names the arm of what was learned, which the subject got with the
    probability `assigned`. Where that is too `unsure` to decide, all is as in a cold state: the rule, and exploring.
    """

    row: Place | None
    allowed: Mask
    baseline: int
    epsilon: float
    uniforms: NDArray[np.float64]
    arm: Arm | None = None
    priors: tuple[Belief, ...] = ()
    may_explore: bool = True
    learned: Arm = "champion"
    assigned: float = 1.0
    unsure: bool = False


class Chooser:
    """Chooses for one agent. A pure function of the table and the situation: the same draws give the same choice."""

    def __init__(self, explorer: Explorer, settings: Settings, reward_range: float) -> None:
        self._explorer = explorer
        self._serving = settings.serving
        self._own = OwnEvidence(settings.learning)
        self._scale = reward_range
        learning = settings.learning
        constant = learning.alpha_schedule == "constant"
        self._last_alpha = max(learning.alpha if constant else learning.alpha_floor, _SMALLEST_ALPHA)

    @property
    def by_epsilon(self) -> bool:
        """Whether it explores by an even draw, with a probability of ε."""
        return self._explorer.by_epsilon

    def choose(self, table: Values, now: Situation) -> Choice:
        """Return the choice. Raises InvalidInput where the table holds a value that is not a number."""
        slot_values, priors = self._blended(table, now) if now.priors else (table.slot_values(now.row), ())
        values = tuple(slot_values.tolist())
        if not math.isfinite(sum(values)):
            raise InvalidInput(f"the table holds a value that is not a finite number: {values}.")
        if True not in now.allowed.tolist():
            return Choice(
                action=None,
                propensity=None,
                probability=None,
                arm="safe",
                arm_probability=1.0,
                reason="no action is allowed",
                values=values,
                confidence=0.0,
                priors=priors,
            )
        arm, within = self._arm(now)
        champion, reason = self.probabilities(table, now, slot_values)
        if arm == "baseline":
            action, propensity, reason = now.baseline, 1.0, "baseline rule"
        else:
            action = distributions.draw(champion, float(now.uniforms[1]))
            propensity = champion.item(action)
        share = within if arm == "baseline" else 1.0 - within
        probability = (share if action == now.baseline else 0.0) + (1.0 - share) * champion.item(action)
        return Choice(
            action=action,
            propensity=propensity,
            probability=probability,
            arm=arm,
            arm_probability=within if arm == "baseline" else within * now.assigned,
            reason=reason,
            values=values,
            confidence=self._confidence(table, now.row, action),
            priors=priors,
        )

    def _blended(self, table: Values, now: Situation) -> tuple[NDArray[np.float64], tuple[Belief, ...]]:
        """Return the value of each slot, own evidence and priors together, and what went into it, own evidence first."""
        assert isinstance(table, QTable)  # noqa: S101 - priors are of what is learned here, and that is a table
        own, visits = self._own.of(table, now.row)
        mine = Belief(source=OWN, means=tuple(own.tolist()), weights=tuple(visits.tolist()))
        return blend(own, visits, now.priors), (mine, *now.priors)

    def probabilities(
        self, table: Values, now: Situation, slot_values: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], str]:
        """Return the champion's probability of each action, shape (actions,), and the rule behind it in words.

        Priors count as visits when it is asked whether the state is cold. Rules that reward what is uncertain go by own
        visits alone: what others say tells where to look first, not that one has looked.
        """
        cold = now.row is None or not table.visited(now.row, self._serving.cold_visits)
        if cold and now.priors:
            visits = 0 if now.row is None else table.state_visits(now.row)
            cold = visits + worth(now.priors) < self._serving.cold_visits
        if cold and self._serving.cold_visits and now.allowed[now.baseline]:
            visits = 0 if now.row is None else table.state_visits(now.row)
            epsilon = now.epsilon if now.may_explore else 0.0
            return self._explorer.cold(now.baseline, now.allowed, epsilon), f"cold state ({visits} visits): baseline"
        if now.unsure:
            return self._explorer.cold(
                now.baseline, now.allowed, now.epsilon if now.may_explore else 0.0
            ), "unsure: baseline"
        values = table.action_values(slot_values)
        rule = "own and borrowed values" if now.priors else "learned values"
        if not now.may_explore:
            return distributions.greedy(values, now.allowed), f"{rule}; no exploration is left in the budget"
        return self._explorer.distribution(table, now.row, values, now.allowed, now.epsilon), rule

    def conviction(self, table: Values, now: Situation) -> float:
        """Return the confidence in what the champion would do without exploring, whatever is drawn."""
        chances = self._champion(table, replace(now, may_explore=False))
        return self._confidence(table, now.row, int(chances.argmax()))

    def beside(self, table: Values, now: Situation, action: int) -> tuple[int, float]:
        """Return what the champion would do, drawn by the third number, and how likely it would be to do an action."""
        chances = self._champion(table, now)
        return distributions.draw(chances, float(now.uniforms[2])), chances.item(action)

    def _champion(self, table: Values, now: Situation) -> NDArray[np.float64]:
        slot_values = self._blended(table, now)[0] if now.priors else table.slot_values(now.row)
        return self.probabilities(table, now, slot_values)[0]

    def explored(self, table: Values, now: Situation, choice: Choice) -> bool:
        """Return whether a choice is none that the champion would have made without exploring."""
        if choice.action is None or choice.arm not in ("champion", "challenger"):
            return False
        greedy, _ = self.probabilities(table, replace(now, may_explore=False), np.array(choice.values))
        return not greedy[choice.action]

    def overridden(self, table: Values, now: Situation, choice: Choice, guarded: Mask) -> bool:
        """Return whether guards refused what would have been best without them: by value, or by the rule in a cold state.

        guarded: what guards allow, pins apart. Where all values are equal nothing is best.
        """
        if choice.action is None:
            return not guarded.any()
        row_is_cold = now.row is None or not table.visited(now.row, self._serving.cold_visits)
        if now.unsure or (row_is_cold and not now.priors):
            return not guarded[now.baseline]
        values = table.action_values(np.array(choice.values))
        return bool(values.max() > values[guarded].max(initial=-np.inf))

    def _arm(self, now: Situation) -> tuple[Arm, float]:
        """Return the arm and its probability for this subject; where the rule's action is refused, it cannot be the rule."""
        if now.arm is not None:
            return (now.arm, 1.0) if now.arm != "baseline" or now.allowed[now.baseline] else (now.learned, 1.0)
        share = self._serving.baseline_share if now.allowed[now.baseline] else 0.0
        return ("baseline", share) if now.uniforms[0] < share else (now.learned, 1.0 - share)

    def _confidence(self, table: Values, row: Place | None, action: int) -> float:
        if row is None:
            return 0.0
        weakest = 1.0
        for slot in table.space.slots[action].tolist():
            visits, variance = table.evidence(row, slot)
            worth = effective_count(visits, self._last_alpha)
            error = math.sqrt(variance / max(worth, 1.0))
            weakest = min(weakest, confidence(visits, error, self._scale))
        return weakest

"""The contextual policy: a linear model of the reward over hashed features, followed by the gaps between its predictions."""

import math

import numpy as np

from steersman.core.sections import Personalizer
from steersman.maths.distributions import Floats, Mask, greedy, inverse_gap, mix
from steersman.maths.kalman import Belief
from steersman.policies.features import Rows


class ContextualPolicy:
    """From what is believed about each weight to the probability of each action.

    SquareCB: predict each action's reward by regression on all that was seen, and give each action the less probability
    the further its prediction lies behind the best one; Foster & Rakhlin (2020). Beside it, a small share is spread evenly,
    so that every action keeps a propensity that other policies can be evaluated with.
    """

    def __init__(self, settings: Personalizer) -> None:
        self._settings = settings

    def blank(self) -> Belief:
        """Return the belief before any evidence."""
        return Belief.blank(1 << self._settings.hash_bits, self._settings.prior_variance)

    def scores(self, belief: Belief, rows: Rows) -> Floats:
        """Return the predicted reward of each action, shape (actions,)."""
        shared = belief.mean[rows.shared] @ rows.known
        pairs = np.add.reduceat((belief.mean[rows.paired] * rows.values).sum(axis=0), rows.starts)
        scores: Floats = (shared + pairs) / rows.norms
        return scores

    def distribution(self, scores: Floats, allowed: Mask, learned: int, *, may_explore: bool = True) -> Floats:
        """Return the probability of each action, shape (actions,), after `learned` rewards.

        Where it may not explore, it is greedy.
        """
        if not may_explore:
            return greedy(scores, allowed)
        followed = inverse_gap(scores, allowed, self._settings.greed * math.sqrt(learned))
        return mix(followed, allowed / np.count_nonzero(allowed), self._settings.floor)

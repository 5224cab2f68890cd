"""Exploration: from the values of a state to a distribution over the allowed actions."""

import numpy as np
from numpy.typing import NDArray

from steersman.core.sections import Exploration
from steersman.maths import distributions
from steersman.policies.values import Place, Values

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]


class Explorer:
    """Applies one exploration rule. The result sums to 1 and is 0 where an action is not allowed.

    Ties share their probability, so the first action has no advantage and the propensity is honest.
    """

    def __init__(self, settings: Exploration, reward_range: float) -> None:
        self._settings = settings
        self._temperature = settings.temperature * reward_range
        self._ucb_width = settings.ucb_width * reward_range
        self._prior_variance = (reward_range / 4.0) ** 2

    @property
    def by_epsilon(self) -> bool:
        """Whether an even draw is mixed in, with a probability of ε."""
        return self._settings.policy == "epsilon_greedy"

    def distribution(self, table: Values, row: Place | None, values: Floats, allowed: Mask, epsilon: float) -> Floats:
        """Return the probability of each action, shape (actions,). `values` are the table's action values for the row."""
        match self._settings.policy:
            case "epsilon_greedy":
                return distributions.epsilon_greedy(values, allowed, epsilon)
            case "greedy":
                return distributions.greedy(values, allowed)
            case "softmax":
                return distributions.softmax(values, allowed, self._temperature)
            case "ucb":
                visits = table.action_visits(row)
                return distributions.ucb(values, allowed, visits, float(visits.sum()), width=self._ucb_width)
            case _:
                deviations = np.sqrt(table.action_variances(row, self._prior_variance))
                return distributions.thompson(values, deviations, allowed)

    def cold(self, best: int, allowed: Mask, epsilon: float) -> Floats:
        """Return ε-greedy around a rule's action `best`, for a state about which too little is known."""
        return distributions.around(best, allowed, epsilon)

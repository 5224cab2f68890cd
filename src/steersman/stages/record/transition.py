"""From logged rows to the transition that learning sees."""

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from steersman.core.actions import ActionSpace
from steersman.core.errors import InvalidInput
from steersman.core.state import StateSchema, StateValues
from steersman.core.transition import Transition
from steersman.core.values import Decision, Outcome
from steersman.policies.encoding import Bins, Encoder

_DIGITS = 6  # microseconds: what every store keeps of a time, so that tables are equal to the bit on all of them


class Recorder:
    """Makes transitions of one agent's rows. Raises InvalidInput for a row that fits neither schema nor space.

    A `potential` Φ shapes them by γΦ(s′) − Φ(s); Ng, Harada and Russell (1999), "Policy invariance under reward
    transformations".
    """

    def __init__(
        self,
        schema: StateSchema,
        space: ActionSpace,
        encoder: Encoder,
        *,
        potential: Callable[[StateValues], float] | None = None,
        gamma: float = 1.0,
    ) -> None:
        self._schema = schema
        self._space = space
        self._encoder = encoder
        self._potential = potential
        self._gamma = gamma

    def transition(self, decision: Decision, outcome: Outcome) -> Transition:
        """Return the transition. The action is the one that was executed, also where the outcome says so later."""
        if decision.schema != self._schema.id:
            raise InvalidInput(f"decision {decision.id} has a state of {decision.schema}, not {self._schema.id}.")
        bins = self._bins(decision.state)
        over = outcome.terminated or outcome.next_state is None
        return Transition(
            decision_id=decision.id,
            episode=decision.episode,
            step=decision.step,
            key=self._encoder.key(bins),
            bins=self._encoder.named(bins),
            action=self._space.index(outcome.executed or decision.executed),
            reward=None if outcome.kind == "withdrawn" else outcome.reward,
            next_key=None if over else self._encoder.key(self._bins(outcome.next_state or {})),
            next_allowed=None if over else self._next_allowed(outcome),
            terminated=outcome.terminated,
            truncated=outcome.truncated,
            epsilon=decision.epsilon,
            decided_at=round(decision.decided_at, _DIGITS),
            at=round(outcome.reported_at, _DIGITS),
            by_rule=decision.arm not in ("champion", "challenger"),
            source=outcome.source.partition("/")[0],
            shaping=0.0 if self._potential is None else self._shaping(self._potential, decision.state, outcome),
        )

    def _shaping(self, potential: Callable[[StateValues], float], state: StateValues, outcome: Outcome) -> float:
        """Return γΦ(s′) − Φ(s), with Φ = 0 where the world has ended; 0 where nobody knows how it went on."""
        here = _checked(potential, state)
        if outcome.terminated:
            return -here
        return 0.0 if outcome.next_state is None else self._gamma * _checked(potential, outcome.next_state) - here

    def _bins(self, state: StateValues) -> Bins:
        try:
            return self._encoder.bins(state)
        except (KeyError, ValueError, TypeError) as error:
            raise InvalidInput(f"a logged state does not fit {self._schema.id}: {error!r}.") from error

    def _next_allowed(self, outcome: Outcome) -> NDArray[np.bool_] | None:
        return self._space.allowed(outcome.next_refusals) if outcome.next_refusals else None


def _checked(potential: Callable[[StateValues], float], state: StateValues) -> float:
    """Return the potential of a state. Raises InvalidInput, naming the state, where it fails or is no finite number."""
    try:
        value = float(potential(state))
    except Exception as error:
        raise InvalidInput(f"the potential fails on {dict(state)}: {type(error).__name__}: {error}.") from error
    if not math.isfinite(value):
        raise InvalidInput(f"the potential of {dict(state)} is {value}; it must be a finite number.")
    return value

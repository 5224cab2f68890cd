"""Quality: which outcomes a network may learn from, why others are left out, and the experience that the rest is."""

import math
from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from steersman.core.actions import ActionSpace
from steersman.core.agent import AgentSpec
from steersman.core.errors import InvalidInput
from steersman.core.transition import Transition
from steersman.core.values import Decision, Outcome
from steersman.policies.encoding import Encoder
from steersman.stages.learn.deep.batch import Batch

_FEWEST, _SURE = 30, 4.0


@dataclass(frozen=True, kw_only=True, eq=False)
class Row:
    """One outcome to learn from, with the position in the log at which it stands."""

    position: int
    decision: Decision
    outcome: Outcome
    made: Transition

    @property
    def ends(self) -> bool:
        """Whether nothing comes after it that could be bootstrapped from."""
        return self.made.terminated or self.outcome.next_state is None


class Filter:
    """Keeps what a network may learn from, and counts the rest by reason.

    gamma: the discount; where it is 0, what comes next need not be known.
    """

    def __init__(self, spec: AgentSpec, gamma: float, quarantined: Collection[str]) -> None:
        self._spec = spec
        self._encoder = Encoder(spec.state)
        self._gamma = gamma
        self._quarantined = quarantined
        self._seen: set[str] = set()
        self.left_out: Counter[str] = Counter()

    def keeps(self, decision: Decision, outcome: Outcome) -> bool:
        """Return whether an outcome is to be learned from, by what its last revision says."""
        why = next(self._faults(decision, outcome), "")
        self._seen.add(decision.id)
        if why:
            self.left_out[why] += 1
        return not why

    def _faults(self, decision: Decision, outcome: Outcome) -> Iterator[str]:
        reward = outcome.reward
        if decision.id in self._seen:
            yield "a second time"
        if decision.schema != self._spec.state.id:
            yield "made under another definition"
        if reward is None or outcome.kind == "withdrawn":
            yield "without a reward"
        elif not self._spec.reward.low <= reward <= self._spec.reward.high:
            yield "with a reward outside of its range"
        if decision.version in self._quarantined:
            yield "of a version in quarantine"
        if self._gamma > 0.0 and outcome.next_state is None and not outcome.terminated:
            yield "without the next state"
        yield from self._misfits(decision, outcome)

    def _misfits(self, decision: Decision, outcome: Outcome) -> Iterator[str]:
        try:
            vectors = [self._encoder.vector(decision.state)]
            vectors += [] if outcome.next_state is None else [self._encoder.vector(outcome.next_state)]
            self._spec.actions.index(outcome.executed or decision.executed)
        except (InvalidInput, KeyError, TypeError, ValueError):
            yield "made under another definition"
            return
        if not all(np.isfinite(each).all() for each in vectors):
            yield "with a state that is no number"


def experience(rows: Iterable[Row], spec: AgentSpec, gamma: float, n_step: int = 1) -> Batch:
    """Return rows as experience of shape (N, …), all of weight 1. Raises InvalidInput where there are none.

    Each sums up to `n_step` rewards of its episode, as far as the following steps are among the rows. A step that ended its
    episode by the world's doing has discount 0; one that was only cut is bootstrapped from.
    """
    encoder, kept = Encoder(spec.state), list(rows)
    if not kept:
        raise InvalidInput(f"{spec.name}: there is nothing to learn from.")
    rewards, discounts, last = _sums(kept, gamma, n_step)
    states = [encoder.vector(each.decision.state) for each in kept]
    following = [
        states[place] if (state := kept[place].outcome.next_state) is None else encoder.vector(state) for place in last
    ]
    return Batch(
        states=np.array(states, dtype=np.float32),
        actions=np.array([each.made.action for each in kept], dtype=np.int32),
        rewards=rewards,
        next_states=np.array(following, dtype=np.float32),
        next_allowed=np.array([spec.actions.allowed(kept[place].outcome.next_refusals) for place in last]),
        discounts=discounts,
        weights=np.ones(len(kept), dtype=np.float32),
        allowed=np.array([_possible(spec.actions, each) for each in kept]),
    )


def _sums(rows: list[Row], gamma: float, n_step: int) -> tuple[NDArray[np.float32], NDArray[np.float32], list[int]]:
    """Return Σ γ^i·r over up to n steps from each row, γ^n or 0 at an end, and the place of the last step; Sutton (1988)."""
    places = {(each.made.episode, each.made.step): place for place, each in enumerate(rows) if each.made.episode}
    rewards, discounts, last = [], [], []
    for first, row in enumerate(rows):
        total, discount, place = row.made.signal, gamma, first
        for _ in range(n_step - 1):
            now = rows[place].made
            following = places.get((now.episode, now.step + 1))
            if rows[place].ends or now.truncated or following is None:
                break
            place = following
            total, discount = total + discount * rows[place].made.signal, discount * gamma
        rewards.append(total)
        discounts.append(0.0 if rows[place].ends else discount)
        last.append(place)
    return np.array(rewards, dtype=np.float32), np.array(discounts, dtype=np.float32), last


def _possible(space: ActionSpace, row: Row) -> NDArray[np.bool_]:
    """Return what was allowed; what was done, was."""
    allowed = space.allowed(each.where for each in row.decision.refusals)
    allowed[row.made.action] = True
    return allowed


def spread(errors: NDArray[np.float64], slots: NDArray[np.intp], width: int) -> NDArray[np.float64]:
    """Return the mean square of errors for each slot, shape (width,); of all where a slot has fewer than two.

    That is the variance of targets around what the network says, its own bias counted in. errors: (M,). slots: of the
    actions taken, (M, dimensions).
    """
    overall = float(np.mean(errors**2)) if len(errors) else 0.0
    found = np.full(width, overall if math.isfinite(overall) else 0.0)
    for slot in range(width):
        mine = errors[(slots == slot).any(axis=1)]
        if len(mine) > 1:
            found[slot] = float(np.mean(mine**2))
    return found


def contradicted(errors: NDArray[np.float64], slots: NDArray[np.intp], width: int, margin: float) -> bool:
    """Return whether outcomes say that what was learned is wrong: the mean error of a slot is surely beyond ±margin.

    |mean| − 4·s/√n > margin for a slot with at least 30 outcomes; noise has a mean of 0, whatever its size. errors: (M,).
    slots: of the actions taken, (M, dimensions). margin: in units of the reward.
    """
    for slot in range(width):
        mine = errors[(slots == slot).any(axis=1)]
        if len(mine) >= _FEWEST and abs(mine.mean()) - _SURE * mine.std(ddof=1) / math.sqrt(len(mine)) > margin:
            return True
    return False

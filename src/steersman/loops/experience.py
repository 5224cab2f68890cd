"""Experience: what a network learns from, taken from the log up to a position, always the same for the same log."""

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from steersman.core.actions import ActionSpace
from steersman.core.errors import InvalidInput
from steersman.core.values import Decision, Outcome
from steersman.loops import outcomes
from steersman.loops.learn import transition
from steersman.loops.runtime import Runtime
from steersman.maths.randomness import key_for

if TYPE_CHECKING:
    from steersman.stages.learn.deep.quality import Row


@dataclass(frozen=True, kw_only=True, eq=False)
class Gathered:
    """The outcomes that may be learned from, oldest first, and why how many others may not."""

    rows: "tuple[Row, ...]"
    left_out: dict[str, int]
    position: int

    def behind(self, position: int) -> "tuple[Row, ...]":
        """Return the outcomes behind a position."""
        return tuple(each for each in self.rows if each.position > position)


def gather(agent: Runtime, until: int) -> Gathered:
    """Return the newest outcomes up to a position that a network may learn from, each by its last revision up to there."""
    from steersman.stages.learn.deep.quality import Filter

    most = agent.settings.training.rows
    _, found = outcomes.newest(agent, most, until=until)
    quality = Filter(agent.spec, agent.settings.learning.gamma, agent.quarantined)
    rows = [
        row
        for position, decision, outcome in found[-most:]
        if quality.keeps(decision, outcome)
        if (row := _row(agent, position, decision, outcome, quality.left_out)) is not None
    ]
    return Gathered(rows=tuple(rows), left_out=dict(quality.left_out), position=until)


def _row(agent: Runtime, position: int, decision: Decision, outcome: Outcome, left_out: Counter[str]) -> "Row | None":
    from steersman.stages.learn.deep.quality import Row

    try:
        made = transition(agent, decision, outcome)
    except InvalidInput:  # its potential fails, or bins that are none
        left_out["made under another definition"] += 1
        return None
    return Row(position=position, decision=decision, outcome=outcome, made=made)


def generator(agent: Runtime, position: int, what: str) -> np.random.Generator:
    """Return random numbers for one purpose, the same for the same agent and position."""
    return np.random.default_rng(list(key_for(position, f"{agent.spec.name} {what}")))


def parted(agent: Runtime, rows: "tuple[Row, ...]", *, position: int, share: float) -> "tuple[list[Row], list[Row]]":
    """Return what is learned from, and a share that is held out of it; the same for the same log."""
    order = generator(agent, position, "held out").permutation(len(rows))
    held = max(round(share * len(rows)), 1)
    return [rows[each] for each in order[held:]], [rows[each] for each in order[:held]]


def incidence(space: ActionSpace) -> NDArray[np.float32]:
    """Return which slots make up each action, shape (actions, width), as 0 and 1."""
    found = np.zeros((len(space), space.width), dtype=np.float32)
    np.put_along_axis(found, space.slots, 1.0, axis=1)
    return found


def visits(rows: "tuple[Row, ...]", space: ActionSpace) -> NDArray[np.int64]:
    """Return how many outcomes there are of each slot, shape (width,)."""
    actions = np.array([each.made.action for each in rows], dtype=np.int64)
    return np.bincount(space.slots[actions].ravel(), minlength=space.width).astype(np.int64)

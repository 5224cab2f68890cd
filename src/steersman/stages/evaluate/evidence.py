"""Evidence: rows of the log, and what three policies would have done in each, checked before anything is estimated."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray

from steersman.core.errors import InvalidInput

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]
Name = Literal["candidate", "incumbent", "baseline"]

NAMES: tuple[Name, ...] = ("candidate", "incumbent", "baseline")
GAPS = "of an episode that lacks a step"
"""Why rows of an episode are left out of which an earlier step is not there."""
_SUM = 1e-6
"""How far the probabilities of a row may sum to something else than 1."""
_ROWS = ("propensity", "action", "state", "episode", "step", "next_state", "terminated", "decided_at")
_TABLES = (*NAMES, "allowed")


@dataclass(frozen=True, kw_only=True, eq=False)
class Evidence:
    """Outcomes of n decisions among A actions, with what each policy would have done.

    reward: (n,), in [low, high]. propensity: (n,), of the executed action, in (0, 1]. action: (n,), the executed one.
    state, next_state: (n,), numbers of states, −1 where the next one is not known. candidate, incumbent, baseline: (n, A),
    probabilities. allowed: (n, A), what guards left. episode, step: (n,). terminated: (n,), False at the end of an episode
    that was cut off. decided_at: (n,), seconds. left_out: rows that could not be used, by reason. gamma: discount; 0, or
    episodes of one step, make it a bandit's evidence. Raises InvalidInput for whatever does not fit.
    """

    reward: Floats
    propensity: Floats
    action: Ints
    state: Ints
    candidate: Floats
    incumbent: Floats
    baseline: Floats
    allowed: Bools
    episode: Ints
    step: Ints
    next_state: Ints
    terminated: Bools
    decided_at: Floats
    left_out: Mapping[str, int] = field(default_factory=dict)
    low: float
    high: float
    gamma: float

    def __post_init__(self) -> None:
        _check_shapes(self)
        _check_numbers(self)
        _check_choices(self)

    def __len__(self) -> int:
        return len(self.reward)

    @property
    def reach(self) -> float:
        """The width of the reward range."""
        return self.high - self.low

    @property
    def sequential(self) -> bool:
        """Whether later rewards count, so that whole episodes must be weighed."""
        return self.gamma > 0.0 and len(np.unique(self.episode)) < len(self)

    def policy(self, name: Name) -> Floats:
        """Return the probabilities (n, A) of one of the three policies."""
        tables: dict[Name, Floats] = {"candidate": self.candidate, "incumbent": self.incumbent, "baseline": self.baseline}
        return tables[name]

    def take(self, rows: Ints) -> Self:
        """Return the evidence of some rows, in the order given."""
        parts: dict[str, Any] = {name: getattr(self, name)[rows] for name in ("reward", *_ROWS, *_TABLES)}
        return replace(self, **parts)


def complete(evidence: Evidence) -> Evidence:
    """Return the evidence without rows of episodes that lack a step, and count these as left out; a bandit's as it is.

    The weight of a later step is the product of all before it: where one is missing, nobody knows it.
    """
    if not evidence.sequential:
        return evidence
    _, place, count = np.unique(evidence.episode, return_inverse=True, return_counts=True)
    longest = np.zeros(len(count), dtype=np.int64)
    np.maximum.at(longest, place, evidence.step)
    whole = np.flatnonzero((longest == count - 1)[place])
    if len(whole) == len(evidence):
        return evidence
    left_out = {**evidence.left_out, GAPS: len(evidence) - len(whole)}
    return replace(evidence.take(whole), left_out=left_out)


def _check_shapes(given: Evidence) -> None:
    if given.candidate.ndim != 2 or given.reward.ndim != 1:
        raise InvalidInput(f"evidence: candidate {given.candidate.shape} must be (n, A), reward {given.reward.shape} (n,).")
    table, row = given.candidate.shape, (len(given.reward),)
    wanted = {**dict.fromkeys(_ROWS, row), **dict.fromkeys(_TABLES, (len(given.reward), table[1]))}
    for name, shape in wanted.items():
        if getattr(given, name).shape != shape:
            raise InvalidInput(f"evidence: {name} has the shape {getattr(given, name).shape}, {shape} is needed.")


def _check_numbers(given: Evidence) -> None:
    if not (np.isfinite([given.low, given.high]).all() and given.low < given.high and 0.0 <= given.gamma <= 1.0):
        raise InvalidInput(
            f"evidence: need low < high and gamma in [0, 1], got [{given.low!r}, {given.high!r}] and {given.gamma!r}."
        )
    slack = 1e-9 * (given.high - given.low)
    _refuse(given.reward, (given.reward >= given.low - slack) & (given.reward <= given.high + slack), "reward", "the range")
    _refuse(given.propensity, (given.propensity > 0.0) & (given.propensity <= 1.0), "propensity", "(0, 1]")
    _refuse(given.decided_at, np.isfinite(given.decided_at), "decided_at", "finite times")


def _check_choices(given: Evidence) -> None:
    width = given.candidate.shape[1]
    _refuse(given.action, (given.action >= 0) & (given.action < width), "action", f"0 … {width - 1}")
    _refuse(given.state, given.state >= 0, "state", "numbers from 0 on")
    _refuse(given.next_state, given.next_state >= -1, "next_state", "numbers from −1 on")
    for name in NAMES:
        table = given.policy(name)
        if len(table) and not float(table.min()) >= 0.0:
            raise InvalidInput(f"evidence: a probability of {name} is {table.min()}; none may be below 0 or not a number.")
        total = table @ np.ones(width)
        _refuse(total, np.abs(total - 1.0) <= _SUM, f"the sum of the probabilities of {name}", "1 ± 1e-6")


def _refuse(values: NDArray[np.generic], fine: Bools, name: str, wanted: str) -> None:
    if not fine.all():
        row = int(np.argmin(fine))
        raise InvalidInput(f"evidence: {name} is {values[row]} in row {row}, outside {wanted}; leave such rows out.")

"""Drift: do the states, the actions and the rewards of an agent still look as they did? A fold over its log.

States and actions are compared with a window that stays, over the bins of the schema, until somebody says that the new is
the normal. A reference should span what comes and goes by itself, such as a day or a week: what it has not seen is new.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal

import numpy as np

from steersman.core.actions import Choice
from steersman.core.agent import AgentSpec
from steersman.core.state import Category, Field, Flag, Number, Scalar
from steersman.core.values import Decision, Outcome
from steersman.maths.drift import Counts, Shift, homogeneity, kl, psi, shares
from steersman.stages.monitor.anomaly import Better
from steersman.stages.monitor.blocks import Blocks
from steersman.stages.monitor.rewards import RewardWatch
from steersman.stages.monitor.signals import Level, Signal

Of = Literal["feature", "bounds", "action"]

_WARN, _ACT = 0.1, 0.25
_EQUAL_PARTS = 10
"""Bins of a number for which the schema has no edges."""
_STALE_S = 7 * 86_400.0
"""After so long without a row, nothing is said any more."""

_WORDS: dict[Of, str] = {
    "feature": "{subject} of the states of {agent} is distributed otherwise than before",
    "bounds": "{subject} of {agent} lies at its bounds, where it is clamped, another share of the time than before",
    "action": "{agent} chooses {subject} otherwise than before",
}
_SUBJECTS: dict[Of, str] = {"feature": "{}", "bounds": "{} at its bounds", "action": "choice of {}"}
_ADVICE: dict[Of, str] = {
    "feature": "See whether the measurement changed, or the world. If this is the new normal, say so (rebase), and let the "
    "agent learn; what was learned from other states may not hold.",
    "bounds": "See whether the measurement is wrong, has another unit, or outgrew its bounds; then widen them.",
    "action": "An agent that learns changes what it does. See whether rewards rose with it, and whether guards refuse more.",
}


@dataclass(frozen=True, kw_only=True)
class Drift:
    """How one distribution differs from its reference.

    of: "feature" for the bins of a field; "bounds" for whether a number lay at its lower bound, inside or at its upper;
    "action" for what was carried out in a dimension. psi, kl (nats): the distances. chance: the probability of such a
    difference if nothing changed. level: None unless the PSI is above 0.1 and the chance below what the watch allows.
    since: when it was first not None, without a break (unix seconds). reference, current: shares by bin.
    """

    subject: str
    of: Of
    psi: float
    kl: float
    chance: float
    level: Level | None
    since: float | None
    reference: tuple[float, ...]
    current: tuple[float, ...]


class Watch:
    """Watches the decisions and outcomes of one agent, in the order of its log and in bounded memory.

    reference, current: sizes of the windows, in decisions and in outcomes. guardrails: measurements, or components of the
    reward, and which direction is better. level: probability of a false alarm of drift at one look, over all
    distributions together; a look is taken whenever a tenth of the current window is new.
    """

    def __init__(
        self,
        spec: AgentSpec,
        *,
        reference: int = 2_000,
        current: int = 500,
        guardrails: Mapping[str, Better] | None = None,
        level: float = 1e-4,
    ) -> None:
        self._agent, self._schema = spec.name, spec.state.id
        self._distributions = _distributions(spec)
        self._level = level / len(self._distributions)
        self._blocks: Blocks[Counts] = Blocks(reference=reference, current=current)
        self._counts, self._rows = self._none(), 0
        self._drifts: tuple[Drift, ...] = ()
        self._rewards = RewardWatch(spec, Blocks(reference=reference, current=current), guardrails or {})
        self._latest = 0.0

    def add(self, decision: Decision) -> None:
        """Count a decision; one whose state has another schema is left out, as its bins say something else."""
        if decision.schema != self._schema:
            return
        self._latest = max(self._latest, decision.decided_at)
        for counts, each in zip(self._counts, self._distributions, strict=True):
            counts[each.bin_of(decision)] += 1
        self._rows += 1
        if self._rows == self._blocks.size:
            block = np.array([count for counts in self._counts for count in counts])
            self._counts, self._rows = self._none(), 0
            if self._blocks.close(block):
                self._look(decision.decided_at)

    def add_outcome(self, decision: Decision, outcome: Outcome) -> None:
        """Count the outcome of a decision; only the first revision says something, and only with a reward."""
        if outcome.decision_id == decision.id:
            self._latest = max(self._latest, outcome.reported_at)
            self._rewards.add(outcome)

    def drifts(self) -> tuple[Drift, ...]:
        """Return how each distribution differs from its reference, for a heat map; empty until both windows are full."""
        return self._drifts

    @property
    def shift(self) -> Shift | None:
        """The last change of the mean reward, up or down, as long as it is news."""
        return self._rewards.shift

    def signals(self, now: float) -> tuple[Signal, ...]:
        """Return what should be known now (unix seconds): nothing, when the agent has not been used for a week."""
        if now - self._latest > _STALE_S:
            return ()
        drifted = tuple(self._signal(each, each.level) for each in self._drifts if each.level)
        return drifted + self._rewards.signals()

    def rebase(self) -> None:
        """Take what the current windows hold as the normal from now on."""
        self._blocks.rebase()
        self._rewards.rebase()
        self._drifts = ()

    def _none(self) -> list[list[int]]:
        return [[0] * each.bins for each in self._distributions]

    def _look(self, at: float) -> None:
        since = {(each.subject, each.of): each.since for each in self._drifts if each.level}
        reference, current = np.array(self._blocks.reference), np.array(self._blocks.current)
        ends = np.cumsum([each.bins for each in self._distributions])[:-1]
        parts = zip(self._distributions, np.split(reference, ends, axis=1), np.split(current, ends, axis=1), strict=True)
        self._drifts = tuple(
            self._drift(each, before, after, since.get((each.subject, each.of), at)) for each, before, after in parts
        )

    def _drift(self, each: "_Distribution", reference: Counts, current: Counts, since: float | None) -> Drift:
        before, after = reference.sum(axis=0), current.sum(axis=0)
        figure, chance = psi(before, after), homogeneity(reference, current)
        drifts = figure > _WARN and chance < self._level
        level: Level = "act" if figure > _ACT and each.of != "action" else "warn"
        return Drift(
            subject=each.subject,
            of=each.of,
            psi=figure,
            kl=kl(before, after),
            chance=chance,
            level=level if drifts else None,
            since=since if drifts else None,
            reference=tuple(shares(before).tolist()),
            current=tuple(shares(after).tolist()),
        )

    def _signal(self, drift: Drift, level: Level) -> Signal:
        threshold = _ACT if level == "act" else _WARN
        words = _WORDS[drift.of].format(subject=drift.subject, agent=self._agent)
        return Signal(
            agent=self._agent,
            kind="drift",
            level=level,
            subject=_SUBJECTS[drift.of].format(drift.subject),
            figure=drift.psi,
            threshold=threshold,
            since=drift.since,
            sentence=f"{words}: PSI {drift.psi:.2f}, above {threshold:g}.",
            what_to_do=_ADVICE[drift.of],
        )


@dataclass(frozen=True, kw_only=True)
class _Distribution:
    """Something that decisions are counted by."""

    subject: str
    of: Of
    bins: int
    bin_of: Callable[[Decision], int]


def _distributions(spec: AgentSpec) -> list[_Distribution]:
    of_states = [each for field in spec.state.fields for each in _of_field(field)]
    return of_states + [_of_action(name, choices) for name, choices in spec.actions.dimensions.items()]


def _of_field(field: Field) -> list[_Distribution]:
    match field:
        case Number(name=name):
            bin_of = field.bin if field.edges else partial(_equal_part, field)
            bins = field.bins if field.edges else _EQUAL_PARTS
            return [_of_state(name, "feature", bins, bin_of), _of_state(name, "bounds", 3, partial(_at_bound, field))]
        case Category(name=name):
            place = _places(field.options)
            return [_of_state(name, "feature", len(place) + 1, lambda value: place.get(value, len(place)))]
        case Flag(name=name):
            return [_of_state(name, "feature", field.bins, field.bin)]


def _of_action(name: str, choices: Sequence[Choice]) -> _Distribution:
    place = _places(choices)
    return _Distribution(
        subject=name,
        of="action",
        bins=len(place) + 1,
        bin_of=lambda decision: place.get(decision.executed.get(name), len(place)),
    )


def _of_state(name: str, of: Of, bins: int, bin_of: Callable[[Scalar], int]) -> _Distribution:
    return _Distribution(subject=name, of=of, bins=bins, bin_of=lambda decision: bin_of(decision.state[name]))


def _places(options: Sequence[Choice]) -> dict[object, int]:
    """Return the bin of each option. What is no longer declared shares the bin after them."""
    return {option: index for index, option in enumerate(options)}


def _equal_part(number: Number, value: Scalar) -> int:
    share = (float(value) - number.low) / (number.high - number.low)
    return min(max(int(share * _EQUAL_PARTS), 0), _EQUAL_PARTS - 1)


def _at_bound(number: Number, value: Scalar) -> int:
    return 1 - (float(value) <= number.low) + (float(value) >= number.high)

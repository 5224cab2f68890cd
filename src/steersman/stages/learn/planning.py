"""A model of the world, learned from transitions: how often each action led where, and what it earned on the way."""

from dataclasses import dataclass, field

from steersman.core.transition import Transition
from steersman.policies.tabular import QTable
from steersman.stages.learn.methods import Method, Trajectory, Update

SUCCESSORS = 16
"""Next states kept for each pair; beyond that the one seen least often makes room."""


@dataclass(kw_only=True, slots=True)
class _Successor:
    """A next state: how often it followed, the sum of what was earned, and the last transition that led there."""

    last: Transition
    count: int = 0
    earned: float = 0.0


@dataclass(kw_only=True, slots=True)
class _Pair:
    successors: dict[str | None, _Successor] = field(default_factory=dict)


class Model:
    """Frequencies and mean rewards by pair of state and action. It holds states of the table only, so it is bounded."""

    def __init__(self) -> None:
        self._pairs: dict[tuple[str, int], _Pair] = {}
        self._order: list[tuple[str, int]] = []

    def __len__(self) -> int:
        return len(self._order)

    def see(self, transition: Transition) -> None:
        """Count a transition."""
        pair = self._pairs.get((transition.key, transition.action))
        if pair is None:
            pair = self._pairs[transition.key, transition.action] = _Pair()
            self._order.append((transition.key, transition.action))
        found = pair.successors.get(transition.next_key)
        if found is None:
            if len(pair.successors) >= SUCCESSORS:
                least = min(pair.successors, key=lambda name: pair.successors[name].count)
                del pair.successors[least]
            found = pair.successors[transition.next_key] = _Successor(last=transition)
        found.last = transition
        found.count += 1
        found.earned += transition.signal

    def forget(self, key: str) -> None:
        """Leave out the pairs of a state."""
        self._order = [each for each in self._order if each[0] != key]
        self._pairs = {each: self._pairs[each] for each in self._order}

    def expected(self, share: float, rule: Method, table: QTable, coin: float) -> Update:
        """Return the update of one pair, drawn by a share in [0, 1): r̄ + Σ P̂(s′)·(what the rule bootstraps from s′)."""
        pair = self._pairs[self._order[int(share * len(self._order))]]
        total = sum(each.count for each in pair.successors.values())
        target = 0.0
        for each in pair.successors.values():
            update = next(rule.updates(table, each.last, Trajectory(), coin))
            target += (each.earned + each.count * (update.target - each.last.signal)) / total
        return Update(transition=update.transition, target=target, estimator=update.estimator)

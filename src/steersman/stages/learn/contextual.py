"""Contextual learning as a fold: each outcome row moves the belief once, in log order, live or replayed."""

import hashlib
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import msgspec
import numpy as np

from steersman.core.sections import Personalizer
from steersman.core.state import StateValues
from steersman.core.values import Decision, Learned, Outcome
from steersman.maths.kalman import correct, observe
from steersman.maths.scaling import Scales
from steersman.policies.contextual import ContextualPolicy
from steersman.policies.features import Features, Json, features, note, rows

SCHEMA = "personalizer-event@1"
_PENDING, _ACTIONS, _SHORT = 100_000, 4_096, 2_000

_objects = msgspec.json.Decoder(list[dict[str, Any]])
_offers = msgspec.json.Decoder(list[tuple[str, list[dict[str, Any]]]])


class Carry(msgspec.Struct, kw_only=True):
    """A fold as it is stored: of belief and scales only the places that evidence has touched.

    pending: when each active event without a reward was activated. learned, corrected: rewards that moved the belief.
    """

    definition: str
    pending: dict[str, float]
    learned: int
    corrected: int
    places: bytes
    means: bytes
    variances: bytes
    numbers: bytes
    squares: bytes
    counts: bytes


class ContextualFold:
    """What a ranker has learned from its log.

    A reward is learned once. One that takes the place of a learned one (late, or added to it) moves the belief by the
    difference, so that no row is ever gone back to.
    """

    def __init__(self, settings: Personalizer) -> None:
        self._settings = settings
        self._policy = ContextualPolicy(settings)
        self.belief = self._policy.blank()
        self.scales = Scales.blank(1 << settings.hash_bits)
        self.pending: dict[str, float] = {}
        self.learned = 0
        self.corrected = 0
        bearing = (settings.hash_bits, settings.prior_variance, settings.noise)
        self.definition = hashlib.sha256(repr((SCHEMA, bearing)).encode()).hexdigest()[:16]

    def apply(self, decision: Decision, outcome: Outcome) -> None:
        """Learn from one row of the log."""
        self._wait(outcome)
        if outcome.reward is None or decision.schema != SCHEMA:
            return
        context, action = said(decision)
        before, bits = outcome.components.get("before"), self._settings.hash_bits
        if before is None:
            note(context, self.scales, bits)
            note(action, self.scales, bits)
        places, values = rows(context, [action], self.scales, bits).row(0)
        if before is None:
            self.learned += 1
            observe(self.belief, places, values, outcome.reward, noise=self._settings.noise)
        else:
            self.corrected += 1
            correct(self.belief, places, values, outcome.reward - before, noise=self._settings.noise)

    def _wait(self, outcome: Outcome) -> None:
        """Keep in mind who is active and waits for a reward; the oldest are forgotten first."""
        self.pending.pop(outcome.decision_id, None)
        if outcome.reward is None and outcome.kind == "reported" and "activated" in outcome.measurements:
            self.pending[outcome.decision_id] = outcome.reported_at
            if len(self.pending) > _PENDING:
                del self.pending[next(iter(self.pending))]

    def changes(self, agent: str) -> Learned:
        """Return the whole fold, to be stored with the position up to which it has learned."""
        belief = self.belief
        places = np.flatnonzero((belief.variance != self._settings.prior_variance) | (belief.mean != 0.0))
        numbers = np.flatnonzero(self.scales.counts)
        carry = Carry(
            definition=self.definition,
            pending=self.pending,
            learned=self.learned,
            corrected=self.corrected,
            places=places.astype("<u4").tobytes(),
            means=belief.mean[places].astype("<f8").tobytes(),
            variances=belief.variance[places].astype("<f8").tobytes(),
            numbers=numbers.astype("<u4").tobytes(),
            squares=self.scales.squares[numbers].astype("<f8").tobytes(),
            counts=self.scales.counts[numbers].astype("<f8").tobytes(),
        )
        return Learned(agent=agent, entries={}, states={}, removed=set(), episodes={}, carry=msgspec.msgpack.encode(carry))

    def restore(self, learned: Learned) -> bool:
        """Take up a stored fold; return whether it was learned under the same definition, and so was taken up."""
        try:
            carry = msgspec.msgpack.decode(learned.carry, type=Carry)
        except msgspec.MsgspecError:
            return False
        if carry.definition != self.definition:
            return False
        places = np.frombuffer(carry.places, "<u4").astype(np.intp)
        self.belief.mean[places] = np.frombuffer(carry.means, "<f8")
        self.belief.variance[places] = np.frombuffer(carry.variances, "<f8")
        numbers = np.frombuffer(carry.numbers, "<u4").astype(np.intp)
        self.scales.squares[numbers] = np.frombuffer(carry.squares, "<f8")
        self.scales.counts[numbers] = np.frombuffer(carry.counts, "<f8")
        self.pending, self.learned, self.corrected = dict(carry.pending), carry.learned, carry.corrected
        return True


def said(decision: Decision) -> tuple[Features, Features]:
    """Return the features of a logged event's context and of the action that was carried out."""
    chosen = decision.executed["action"]
    offered = next(each for name, each in _offers.decode(str(decision.state["actions"])) if name == chosen)
    return context_features(decision.state), action_features(str(chosen), offered)


def context_features(state: StateValues) -> Features:
    """Return the features of an event's context, those of its slot included."""
    slot = [{"slot": each} for each in _objects.decode(str(state.get("slot", "[]")))]
    return features([*_objects.decode(str(state["context"])), *slot], "context")


def action_features(name: str, objects: Sequence[Json]) -> Features:
    """Return the features of an action, its id among them."""
    text = msgspec.json.encode(objects)
    return _kept_features(name, text) if len(text) <= _SHORT else _features(name, text)


def _features(name: str, objects: bytes) -> Features:
    return features([*_objects.decode(objects), {"id": {"": name}}], "action")


_kept_features = lru_cache(maxsize=_ACTIONS)(_features)  # the same actions are offered again and again

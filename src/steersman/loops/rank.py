"""Rank: the order of things for decisions whose actions come with each request, on the same log as all others.

An event is a decision row; what is said about it (activated, rewarded, silent) are revisions of its outcome. What is
learned is a fold over these rows. It is kept in memory and stored now and then with its position: whoever opens the log
goes on from there, and on a log that many share each process folds for itself.
"""

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from itertools import islice
from typing import cast

import msgspec
import numpy as np

from steersman.core.actions import Choice
from steersman.core.errors import Conflict, NotFound, SteersmanError
from steersman.core.guards import PINNED
from steersman.core.influence import Mode
from steersman.core.ports import Receipt, SharedLog
from steersman.core.sections import Influence
from steersman.core.settings import Settings
from steersman.core.values import Decision, Learned, Outcome, Refused
from steersman.loops.hands import Hands, Held
from steersman.loops.runtime import Event, World, draw_key, tell
from steersman.maths.distributions import Floats, Mask
from steersman.maths.randomness import Draws
from steersman.policies.contextual import ContextualPolicy
from steersman.policies.features import Rows, rows
from steersman.stages.decide.influence import refusal
from steersman.stages.decide.offers import Offer, Request, Slot, State, asked, check, refused, slot_id
from steersman.stages.decide.rank import Ranked, drawn, ranking, safe
from steersman.stages.learn.contextual import SCHEMA, ContextualFold, action_features, context_features
from steersman.stages.record import events
from steersman.stages.record.outcomes import check_time

__all__ = ["Answer", "Offer", "Ranker", "Request", "Slot", "ranking"]

CHECKPOINT = 1_000
"""Outcomes after which what was learned is stored."""

_CHUNK, _AT_ONCE = 200, 10
_KEPT, _KEPT_TEXT = 1_000, 20_000


@dataclass(frozen=True, kw_only=True)
class Answer:
    """An event's decisions, one for each slot (one without slots), and the promise that they are durable."""

    event: str
    decisions: tuple[Decision, ...]
    receipt: Receipt


class Ranker:
    """A ranker at work. Safe to use from several threads.

    It learns each reward at once where the log is its own; where many processes share it, `maintain` follows the log.
    """

    def __init__(self, name: str, settings: Settings, world: World, *, learns: bool = True) -> None:
        self.name = name
        self.settings = settings.personalizer
        self._mode = cast(Mode, settings.influence.mode)
        self._episodes = settings.episodes
        self._world = world
        self._log = world.log
        self._shared = cast(SharedLog, world.log) if world.log.shared else None
        self._learns = learns
        self._policy = ContextualPolicy(self.settings)
        self._settings_hash = hashlib.sha256(msgspec.json.encode(asdict(self.settings))).hexdigest()[:16]
        self._lock = threading.RLock()
        self._maintaining = threading.Lock()
        self._hands = Hands(name, world.log, world.clock, world.timer, self.failed)
        self._open: OrderedDict[str, Decision] = OrderedDict()
        self._stream = -1
        self._draws = Draws((0, 0))
        self.failures = 0
        self.last_error = ""
        self.fold = ContextualFold(self.settings)
        self.position = 0
        self._unstored = 0
        self._restore()

    # deciding

    def rank(self, request: Request) -> Answer:
        """Draw an action for each slot and log it; never waits for the disk.

        The same request under the same event again has the same answer. Raises InvalidInput for what does not fit,
        Conflict for an event that is known with another request, and StoreError where nothing can be logged.
        """
        check(request)
        event = request.event or self._world.ids()
        with self._lock:
            try:
                decisions = self._decide(request, event)
                receipt = self._log.append(decisions)
            except SteersmanError as error:
                self._stream = -1  # draws that were not logged are drawn again: counters follow the log
                if not isinstance(error, Conflict):
                    raise
                return self.again(request)
            for each in decisions:
                self._remember(each)
        for each in decisions:
            self._tell("decided", each)
        return Answer(event=event, decisions=decisions, receipt=receipt)

    def again(self, request: Request) -> Answer:
        """Return what a request was answered before. Raises Conflict where its event is known with another request."""
        known = self.decisions(request.event)
        wanted = [(name, state, request.mode) for name, state in asked(request, request.event)]
        if [(each.id, _without_answer(each.state), each.mode) for each in known] != wanted:
            raise Conflict(f"event {request.event!r} is known with another request. Give each request an id of its own.")
        return Answer(event=request.event, decisions=known, receipt=self._log.append(()))

    def decisions(self, event: str) -> tuple[Decision, ...]:
        """Return the decisions of an event, by slot in their order; none if it is not known here."""
        alone = self._log.decision(event)
        if alone is not None:
            return (alone,) if alone.agent == self.name else ()
        return tuple(self._log.of_episode(self.name, event))

    def _decide(self, request: Request, event: str) -> tuple[Decision, ...]:
        made: list[Decision] = []
        for step, (name, state) in enumerate(asked(request, event)):
            slot = request.slots[step] if request.slots else None
            gone = refused(request, slot, [str(each.executed["action"]) for each in made])
            made.append(self._one(request, slot, (name, event, step), state, gone))
        return tuple(made)

    def _one(
        self, request: Request, slot: Slot | None, place: tuple[str, str, int], state: State, gone: tuple[Refused, ...]
    ) -> Decision:
        started = self._world.timer()
        draw, uniforms = self._next_draw()
        held = self._hands.look()
        gone = (*gone, *_pinned(request, gone, held))
        ranked, scores = self._choose(request, slot, state, gone, uniforms, held)
        action: dict[str, Choice] = {"action": request.offers[ranked.action].id}
        random = ranked.propensity is not None
        name, event, step = place
        return Decision(
            id=name,
            agent=self.name,
            episode=event,
            step=step,
            subject=event,
            state={**state, "probabilities": msgspec.json.encode(ranked.probabilities.tolist()).decode()},
            schema=SCHEMA,
            refusals=gone,
            proposed=action if random else None,
            executed=action,
            propensity=ranked.propensity,
            action_probability=float(ranked.probabilities[ranked.action]) if random else None,
            arm=ranked.arm,
            arm_probability=ranked.arm_probability,
            reason=ranked.reason,
            values=tuple(scores.tolist()),
            confidence=0.0,
            epsilon=self.settings.floor,
            policy="contextual/squarecb",
            settings_hash=self._settings_hash,
            table_position=self.position,
            seed=self._world.seed,
            stream=self._stream,
            draw=draw,
            decided_at=self._world.clock(),
            latency_us=(self._world.timer() - started) * 1e6,
            mode=request.mode,
        )

    def _choose(
        self, request: Request, slot: Slot | None, state: State, gone: tuple[Refused, ...], uniforms: Floats, held: Held
    ) -> tuple[Ranked, Floats]:
        """Return the choice and the predicted rewards behind it. What fails on the way ends in the baseline.

        Raises InvalidInput for features that do not fit: those are the caller's to mend.
        """
        offers, out = request.offers, {each.where["action"] for each in gone}
        allowed = np.array([each.id not in out for each in offers])
        wanted = [index for index, each in enumerate(offers) if slot is not None and each.id == slot.baseline]
        baseline = wanted[0] if wanted and allowed[wanted[0]] else int(allowed.argmax())
        nothing = np.zeros(0)
        known = [action_features(each.id, each.features) for each in offers]
        given = rows(context_features(state), known, self.fold.scales, self.settings.hash_bits)
        if held.killed:
            return safe(baseline, len(offers), held.killed), nothing
        try:
            return self._drawn(given, allowed, baseline, uniforms, held)
        except Exception as error:  # noqa: BLE001 - fail closed: whatever went wrong, the baseline is served
            self.failed(error)
            return safe(baseline, len(offers), f"failed, so the caller's first action: {self.last_error}"), nothing

    def _drawn(self, given: Rows, allowed: Mask, baseline: int, uniforms: Floats, held: Held) -> tuple[Ranked, Floats]:
        scores = self._policy.scores(self.fold.belief, given)
        champion = self._policy.distribution(scores, allowed, self.fold.learned, may_explore=not held.paused)
        withheld = refusal(held.mode or self._mode, Influence())
        ranked = drawn(champion, baseline, 1.0 if withheld else self.settings.baseline_share, uniforms, "predicted rewards")
        return (replace(ranked, reason=withheld) if withheld else ranked), scores

    # what comes of it

    def reward(self, event: str, value: float, slot: str = "") -> Receipt:
        """Record a reward and learn from it. Of several the settings say which count.

        Raises InvalidInput for a value that is no reward, NotFound for an event that was not ranked here and Conflict for
        one that is too old.
        """
        value = events.checked_reward(value)
        with self._lock:
            decision, last = self._find(event, slot)
            at = self._world.clock()
            check_time(decision, self._episodes, at)
            return self._say(decision, events.rewarded(decision, last, value, self.settings.aggregation, at=at))

    def activate(self, event: str) -> Receipt:
        """Record that the event's actions were carried out, so that it counts. Raises as `reward` does."""
        with self._lock:
            decisions = self.decisions(event)
            if not decisions:
                raise _unknown(event)
            receipt = self._log.append(())
            at = self._world.clock()
            for each in decisions:
                check_time(each, self._episodes, at)
                receipt = self._say(each, events.activated(each, self._last(each), at=at))
            return receipt

    def _find(self, event: str, slot: str) -> tuple[Decision, Outcome | None]:
        """Return a decision and the last revision of its outcome."""
        name = slot_id(event, slot) if slot else event
        waiting = self._open.get(name)
        if waiting is not None and self._shared is None:
            return waiting, None
        known = self._log.decision(name)
        if known is None or known.agent != self.name:
            raise _unknown(event, slot)
        return known, self._last(known)

    def _last(self, decision: Decision) -> Outcome | None:
        outcomes = self._log.outcomes(decision.id)
        return outcomes[-1] if outcomes else None

    def _say(self, decision: Decision, new: Outcome | None) -> Receipt:
        """Append a revision, if there is one, and learn from it."""
        if new is None:
            return self._log.append(())
        receipt = self._log.append((new,))
        self._open.pop(decision.id, None)
        self._tell("recorded", decision, new)
        if self._shared is None:
            self._learn(self._log.position, decision, new)
            self._store_if_due()
        return receipt

    # learning

    def look_again(self) -> None:
        """Read the controls at the next ranking, whenever they were last read."""
        self._hands.look_again()

    def maintain(self) -> None:
        """Follow a shared log, give the default reward to events that waited too long, and store what was learned.

        Raises StoreError where the store cannot be read or written.
        """
        with self._maintaining:
            if self._shared is not None:
                self.catch_up()
            if self._learns and (self._shared is None or self._shared.lease(self.name) is not None):
                self._expire()
                self._store_if_due()

    def take_in(self, rows: Sequence[Decision | Outcome]) -> Receipt:
        """Append rows of elsewhere, such as an import, and learn from them. Raises Conflict for rows that the log holds."""
        with self._lock:
            self._stream = -1
            receipt = self._log.append(rows)
            if self._shared is None:
                self.catch_up()
                self._store_if_due()
            return receipt

    def catch_up(self) -> None:
        """Learn the rows of the log that are not learned yet."""
        while True:
            history = self._log.history(self.name, after=self.position, durable=self._shared is not None)
            new = list(islice(history, _CHUNK))
            for start in range(0, len(new), _AT_ONCE):
                self._learn_some(new[start : start + _AT_ONCE])
            if len(new) < _CHUNK:
                return

    def _learn_some(self, new: Sequence[tuple[int, Decision, Outcome]]) -> None:
        """Learn a few rows; nobody waits for the lock longer than that takes."""
        with self._lock:
            for position, decision, outcome in new:
                if position > self.position:
                    self._learn(position, decision, outcome)

    def _learn(self, position: int, decision: Decision, outcome: Outcome) -> None:
        self.fold.apply(decision, outcome)
        self.position = position
        self._unstored += 1
        self._tell("learned", decision, outcome)

    def _expire(self) -> None:
        """Give the default reward to active events that nobody rewarded in time, and none to those never activated."""
        now = self._world.clock()
        before = now - self.settings.reward_wait_s
        late = [each.id for each in self._log.waiting(self.name, before)]
        late += [name for name, at in list(self.fold.pending.items()) if at < before]
        for name in late:
            with self._lock:
                decision = self._log.decision(name)
                last = None if decision is None else self._last(decision)
                if decision is not None and (last is None or events.awaits_reward(last)):
                    self._say(decision, events.silent(decision, last, default=self.settings.default_reward, at=now))

    def _store_if_due(self) -> None:
        if self._unstored >= CHECKPOINT and self._learns:
            self.store()

    def store(self) -> None:
        """Store what was learned with its position, so that opening the log is quick. Nothing else depends on it."""
        with self._lock:
            learned = self.fold.changes(self.name)
            learned.position = self.position
            if self._shared is not None:
                fence = self._shared.lease(self.name)
                if fence is None:
                    return
                learned.fence = fence
            self._log.append((), learned)
            self._unstored = 0

    def _restore(self) -> None:
        """Take up what is stored and learn what came after; all of the log where it was learned under other settings."""
        stored = self._stored()
        if stored is not None and self.fold.restore(stored):
            self.position = stored.position or 0
        self.catch_up()

    def _stored(self) -> Learned | None:
        if self._shared is not None:
            return self._shared.learned_since(self.name, 0)
        found, position = self._log.learned(self.name) or (None, 0)
        if found is not None:
            found.position = position
        return found

    # what it has at hand

    def _next_draw(self) -> tuple[int, Floats]:
        stream = self._log.stream
        if self._stream != stream:
            count = self._log.decision_count(self.name, stream)
            self._stream, self._draws = stream, Draws(draw_key(self._world.seed, self.name, stream), count)
        return self._draws.next()

    def _remember(self, decision: Decision) -> None:
        """Keep a small decision at hand for its reward; others are read from the log."""
        if len(str(decision.state["actions"])) <= _KEPT_TEXT:
            self._open[decision.id] = decision
            if len(self._open) > _KEPT:
                self._open.popitem(last=False)

    def _tell(self, event: Event, *rows: Decision | Outcome) -> None:
        tell(self._world, self.failed, event, *rows)

    def failed(self, error: BaseException) -> str:
        """Note a failure, for whoever asks, and return it in words."""
        self.failures += 1
        self.last_error = f"{type(error).__name__}: {error}"
        return self.last_error


def _pinned(request: Request, gone: tuple[Refused, ...], held: Held) -> tuple[Refused, ...]:
    """Return what a person's pin refuses: all other actions, where the pinned one is offered and may be chosen."""
    out = {each.where["action"] for each in gone}
    left = [each.id for each in request.offers if each.id not in out]
    choice, pin = held.choices().get("action", ("", None))
    if pin is None or choice not in left:
        return ()
    reason = f"{pin.actor} pinned {choice!r}: {pin.reason}"
    return tuple(Refused(where={"action": each}, guard=PINNED, reason=reason) for each in left if each != choice)


def _without_answer(state: State) -> State:
    return {name: each for name, each in state.items() if name != "probabilities"}


def _unknown(event: str, slot: str = "") -> NotFound:
    where = f" with a slot {slot!r}" if slot else ""
    return NotFound(f"no event {event!r}{where} was ranked here. Rank first, and report to the service that ranked.")

"""Report: what came of a decision, once, late, corrected or withdrawn. The receipt's `wait()` is the acknowledgement."""

import time
from collections.abc import Callable, Mapping

from msgspec.structs import replace

from steersman.core.actions import Action, Choice
from steersman.core.errors import Conflict, DeadlineExceeded, InvalidInput, NotFound, SteersmanError
from steersman.core.ports import Log, Receipt
from steersman.core.state import StateValues, check_text
from steersman.core.values import AuditEvent, Decision, Learned, Outcome, Taken, rows_of
from steersman.loops.learn import learn, relearn, unlearn
from steersman.loops.runtime import Runtime
from steersman.stages.record.outcomes import Report, check_time, outcome, same, silent

Events = tuple[Taken, ...]
_AT_ONCE = 10
_PAUSE_S = 0.0005


def report(
    agent: Runtime,
    decision: Decision | str,
    measurements: Mapping[str, float],
    *,
    next_state: StateValues | None = None,
    terminated: bool | None = None,
    truncated: bool = False,
    executed: Action | Choice | None = None,
    source: str = "",
    correct: bool = False,
    taken: Taken | None = None,
) -> Receipt:
    """Record an outcome, learn from it and return its receipt.

    The same outcome again is acknowledged and changes nothing. Another one for the same decision is refused with
    Conflict, and audited, unless `correct=True` says that it replaces the first, or the first was only a default for
    silence. Raises InvalidInput for measurements that do not fit, NotFound for a decision that is not in the log.
    taken: the event that tells it, logged with the outcome or not at all; Conflict, by the receipt at the latest, if the
    log holds it.
    """
    with agent.reporting:
        known, earlier = _find(agent, decision)
        said = _check(agent, measurements, next_state, terminated, truncated, executed, source)
        at = agent.world.clock()
        new = outcome(
            known,
            said,
            spec=agent.spec,
            episodes=agent.settings.episodes,
            gamma=agent.settings.learning.gamma,
            at=at,
        )
        if not earlier:
            check_time(known, agent.settings.episodes, at)
            return _append_first(agent, known, new, rows_of(taken, known.id, at))
        return _revise(agent, known, earlier[-1], new, rows_of(taken, known.id, at), correct=correct)


def withdraw(agent: Runtime, decision: Decision | str, *, source: str = "") -> Receipt:
    """Take back what was reported of a decision: it counts as a step of its episode, but teaches nothing.

    Raises NotFound for a decision without an outcome.
    """
    check_text("source", source)
    with agent.reporting:
        known, earlier = _find(agent, decision)
        if not earlier:
            raise NotFound(f"decision {known.id} has no outcome to withdraw.")
        gone = replace(
            earlier[-1],
            kind="withdrawn",
            measurements={},
            components={},
            reward=None,
            success=None,
            cost=None,
            false_block=None,
            reported_at=agent.world.clock(),
            source=source,
        )
        return _revise(agent, known, earlier[-1], gone, correct=True)


def expire(agent: Runtime) -> int:
    """Give decisions that waited longer than `reward_wait_s` the default reward, or none; return how many.

    A few at a time, so that nobody waits long for the agent while there are many.
    """
    if agent.shared is not None and agent.fence is None:
        return 0  # the process that learns does it
    now, expired = agent.world.clock(), 0
    late = agent.log.waiting(agent.spec.name, now - agent.settings.episodes.reward_wait_s)
    for start in range(0, len(late), _AT_ONCE):
        with agent.reporting:
            for decision in late[start : start + _AT_ONCE]:
                if not agent.log.outcomes(decision.id):  # none was reported since they were looked for
                    _append_first(agent, decision, silent(decision, spec=agent.spec, at=now))
                    expired += 1
        time.sleep(_PAUSE_S)  # whoever waits for the lock has it now
    return expired


def _find(agent: Runtime, decision: Decision | str) -> tuple[Decision, list[Outcome]]:
    """Return the logged decision and the revisions of its outcome so far."""
    name = decision if isinstance(decision, str) else decision.id
    waiting = agent.open.get(name)
    if waiting is not None and not _may_have_expired(agent, waiting):
        return waiting, []
    known = agent.log.decision(name)
    if known is None or known.agent != agent.spec.name:
        raise NotFound(f"{agent.spec.name} has made no decision {name!r}. Report to the agent and store that decided.")
    return known, agent.log.outcomes(name)


def _may_have_expired(agent: Runtime, decision: Decision) -> bool:
    """Return whether another process may have closed a decision that waited too long."""
    age_s = agent.world.clock() - decision.decided_at
    return agent.shared is not None and age_s >= agent.settings.episodes.reward_wait_s


def _check(
    agent: Runtime,
    measurements: Mapping[str, float],
    next_state: StateValues | None,
    terminated: bool | None,
    truncated: bool,
    executed: Action | Choice | None,
    source: str,
) -> Report:
    check_text("source", source)
    if not (terminated is None or isinstance(terminated, bool)) or not isinstance(truncated, bool):
        raise InvalidInput(f"terminated and truncated are true or false, got {terminated!r} and {truncated!r}.")
    if terminated and truncated:
        raise InvalidInput("an episode is either terminated (it is over) or truncated (watching stopped), not both.")
    following = None
    refused: tuple[dict[str, Choice], ...] = ()
    if next_state is not None:
        following, clamped = agent.spec.state.check(next_state)
        agent.clamped += clamped
        refused = tuple([each.where for each in agent.guards.narrow(following).refusals])
    return Report(
        measurements=agent.spec.reward.check(measurements),
        next_state=following,
        next_refusals=refused,
        terminated=terminated,
        truncated=truncated,
        executed=None if executed is None else agent.spec.actions.action(executed),
        source=source,
    )


def _append_first(agent: Runtime, decision: Decision, new: Outcome, events: Events = ()) -> Receipt:
    agent.log.reserve(1 + len(events))
    learned = learn(agent, decision, new) if agent.shared is None else None
    receipt = _append(agent, decision, new, learned, events)
    agent.open.pop(decision.id, None)
    return receipt


def _append(agent: Runtime, decision: Decision, new: Outcome, learned: Learned | None, events: Events) -> Receipt:
    """Append an outcome with what was learned from it, and the event that told it; where that fails, go back to the log.

    Where many processes append, nothing is learned here: whoever holds the agent's lease follows the log.
    """
    try:
        receipt = agent.log.append((new, *events), learned)
    except SteersmanError as error:
        if learned is not None:
            unlearn(agent)
        elif isinstance(error, Conflict) and _is_logged(agent, new):
            return agent.log.append(events)  # two threads said the same
        raise
    if learned is None:
        receipt = SharedReceipt(agent.log, receipt, new, events)
    else:
        agent.position = agent.log.position
    agent.tell("recorded", decision, new)
    if learned is not None:
        agent.tell("learned", decision, new)
    episode = agent.episodes.get(decision.episode)
    if episode is not None and (new.terminated or new.truncated):
        episode.over = True
    return receipt


def _is_logged(agent: Runtime, new: Outcome) -> bool:
    logged = agent.log.outcomes(new.decision_id)
    return bool(logged) and same(logged[-1], new)


def _revise(
    agent: Runtime, decision: Decision, last: Outcome, new: Outcome, events: Events = (), *, correct: bool
) -> Receipt:
    if same(last, new):
        return agent.log.append(events)  # already there: its acknowledgement is that of the first report
    if not correct and last.kind != "expired":
        event = AuditEvent(
            at=new.reported_at,
            actor=new.source or "caller",
            event="outcome refused",
            subject=decision.id,
            detail=f"differs from revision {last.revision} ({last.kind})",
        )
        agent.log.append((event,))
        raise Conflict(
            f"decision {decision.id} already has another outcome (revision {last.revision}, {last.kind}). "
            "To replace it, say that this is a correction (correct)."
        )
    check_time(decision, agent.settings.episodes, new.reported_at)
    revision = replace(new, revision=last.revision + 1)
    learned = relearn(agent, revision) if agent.shared is None else None
    return _append(agent, decision, revision, learned, events)


class SharedReceipt:
    """The receipt of an outcome that another process may have been first to report.

    If that said the same, it is acknowledged: whoever reports twice, to whichever process, is told the same. If it was
    only the default for silence, this outcome becomes its next revision.
    """

    def __init__(self, log: Log, receipt: Receipt, reported: Outcome, events: Events = ()) -> None:
        self._log = log
        self._receipt = receipt
        self._reported = reported
        self._events = events

    def wait(self, timeout_s: float | None = None) -> None:
        """Return once the outcome is durable. Raises as other receipts do, and Conflict where the log says otherwise."""
        try:
            self._receipt.wait(timeout_s)
        except Conflict as error:
            if any(self._log.taken(each.stream, each.event) for each in self._events):
                raise
            logged = self._log.outcomes(self._reported.decision_id)
            if logged and same(logged[-1], self._reported):
                if self._events:
                    self._receipt = self._log.append(self._events)
                    self._receipt.wait(timeout_s)
                return
            if not logged or logged[-1].kind != "expired":
                raise Conflict(
                    f"decision {self._reported.decision_id} already has another outcome, reported to another process. To "
                    "replace it, say that this is a correction (correct)."
                ) from error
            self._reported = replace(self._reported, revision=logged[-1].revision + 1)
            self._receipt = self._log.append((self._reported, *self._events))
            self.wait(timeout_s)

    def settled(self) -> bool:
        """Return whether `wait` has nothing to wait for, but perhaps a look at the log."""
        return self._receipt.settled()

    def notify(self, callback: Callable[[], None]) -> None:
        """Have a callback called once this is settled."""
        self._receipt.notify(callback)

    def done(self) -> bool:
        """Return whether the outcome is durable, by whichever process it was reported."""
        if self._receipt.done():
            return True
        try:
            self.wait(0.0)
        except (Conflict, DeadlineExceeded):
            return False
        return True

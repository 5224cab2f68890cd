"""Learn: the working table follows the log. Live outcomes are applied as they come; a revision folds the log again."""

import contextlib
import dataclasses
from collections.abc import Iterator

import msgspec

from steersman.core.errors import Conflict, InvalidInput, SteersmanError, StoreError
from steersman.core.transition import Transition
from steersman.core.values import Decision, Learned, Outcome
from steersman.loops.runtime import WITHOUT, Runtime
from steersman.stages.learn.fold import Carry, Fold

_AT_ONCE = 10
_ROUNDS = 20


def learn(agent: Runtime, decision: Decision, outcome: Outcome) -> Learned:
    """Apply one first revision and return what changed, to be appended with the outcome."""
    agent.fold.apply(transition(agent, decision, outcome))
    replace, agent.replace_stored = agent.replace_stored, False
    return agent.fold.changes(replace=replace)


def transition(agent: Runtime, decision: Decision, outcome: Outcome, left_out: frozenset[str] | None = None) -> Transition:
    """Return what is learned of an outcome: nothing, but that there was a step, where a version that is left out decided.

    left_out: by default what is in quarantine.
    """
    made = agent.recorder.transition(decision, outcome)
    away = agent.quarantined if left_out is None else left_out
    return dataclasses.replace(made, reward=None) if decision.version in away else made


def refold(
    agent: Runtime, until: int | None = None, revision: Outcome | None = None, *, left_out: frozenset[str] | None = None
) -> Fold:
    """Return a fold of the agent's log up to a position, and with one more revision if there is one to come.

    Each decision counts where its first revision stands and with what its last revision says; two passes, so that only
    revisions are held in memory. Rows of an earlier definition that no longer fit are left out, and counted. left_out: the
    versions whose experience is, by default those in quarantine.
    """
    away = agent.quarantined if left_out is None else left_out
    while True:
        fold, after = based(agent, away)
        fold.apply_all(transitions(agent, until, revision, after=after, known=until, left_out=away))
        base = agent.log.base(agent.spec.name)
        if base is None or base.position == after:  # else rows were cut meanwhile
            return fold


def based(agent: Runtime, left_out: frozenset[str] | None = None) -> tuple[Fold, int]:
    """Return what was learned of the rows that were cut from the log, and up to which position; a blank fold if none were.

    What was learned under another definition or other settings cannot be learned anew: then the fold begins with the rows
    that are left. What is left out of those bears on no base: what it holds can be neither taken back nor added to.
    """
    fold, base = agent.new_fold(left_out), agent.log.base(agent.spec.name)
    if base is None:
        return fold, 0
    if belongs(agent, base):
        named = fold.carry.definition
        fold.restore(base, base.episodes.values())
        fold.carry.definition = named
    return fold, base.position or 0


def belongs(agent: Runtime, learned: Learned) -> bool:
    """Return whether what is stored was learned under the agent's definition and settings, whatever was left out."""
    return bool(learned.carry) and _named(learned)[0] == agent.fold.carry.definition.partition(WITHOUT)[0]


def _named(learned: Learned) -> tuple[str, frozenset[str]]:
    """Return the definition under which something was learned, and what was left out."""
    definition, _, away = msgspec.json.decode(learned.carry, type=Carry).definition.partition(WITHOUT)
    return definition, frozenset(away.split())


def transitions(
    agent: Runtime,
    until: int | None = None,
    revision: Outcome | None = None,
    *,
    after: int = 0,
    known: int | None = None,
    left_out: frozenset[str] | None = None,
) -> Iterator[Transition]:
    """Yield the transitions that the agent's log amounts to between two positions, in the order in which they count.

    known: the position up to which revisions are known.
    """
    name, durable = agent.spec.name, agent.shared is not None
    history = agent.log.history(name, known, after=after, durable=durable)
    revisions = {each.decision_id: each for _, _, each in history if each.revision > 0}
    if revision is not None:
        revisions[revision.decision_id] = revision
    agent.skipped = 0
    for _, decision, outcome in agent.log.history(name, until, after=after, durable=durable):
        if outcome.revision == 0:
            try:
                made = transition(agent, decision, revisions.get(decision.id, outcome), left_out)
            except InvalidInput:
                agent.skipped += 1
                continue
            yield made


def relearn(agent: Runtime, revision: Outcome | None = None) -> Learned:
    """Fold the whole log anew, take the result into service and return it, to stand in for what is stored."""
    agent.fold = refold(agent, revision=revision)
    agent.replace_stored = False
    return agent.fold.changes(replace=True)


def unlearn(agent: Runtime) -> None:
    """Go back to what the log says, after an outcome that was learned could not be appended."""
    with contextlib.suppress(StoreError):  # a log that is closed tells nothing, and takes nothing more either
        _refold_later_stored(agent)


def restore(agent: Runtime) -> None:
    """Take up what is stored, when the agent is opened or begins to learn.

    The log is folded anew where what is stored is not the fold of the log under the definition and the settings in
    force: one of them was changed, or the log was imported; and where memory is gone that goes on from it: steps of
    open episodes that wait for later ones, transitions for replay, or a model for planning. The result then takes the
    place of what is stored in the transaction of the next outcome. What is in quarantine is noted first.
    """
    _note(agent, _in_quarantine(agent))
    fold = _stored(agent)
    if fold is not None:
        with agent.lock:
            agent.fold, agent.replace_stored = fold[0], False
            agent.position = fold[1]
    elif agent.log.decision_count(agent.spec.name):
        _refold_later_stored(agent)
    else:
        agent.fold = agent.new_fold()


def _stored(agent: Runtime) -> tuple[Fold, int] | None:
    """Return the fold that is stored and its position, if it can go on from there; a fresh one for an empty log."""
    if agent.shared is not None:  # what this process has not stored yet may be refused
        learned = agent.shared.learned_since(agent.spec.name, 0)
        position = 0 if learned is None else learned.position or 0
    else:
        learned, position = agent.log.learned(agent.spec.name) or (None, 0)
    if learned is None:
        return None
    fold, open_episodes = agent.new_fold(), list(learned.episodes.values())
    if (open_episodes and fold.keeps_trajectories) or fold.keeps_memory or not fold.fits(learned):
        return None
    try:
        fold.restore(learned, open_episodes)
    except (TypeError, ValueError, KeyError) as error:  # damaged: the log knows better
        agent.failed(error)
        return None
    return fold, position


def observe_quarantine(agent: Runtime) -> None:
    """Take note of which versions are in quarantine; where that has changed, learn the log anew without them, or with them.

    Decisions go on by what was learned until then. On a shared log whoever learns does so as it follows, and the others
    take it up. Raises StoreError; then nothing was noted, and the next look tries again.
    """
    if _in_quarantine(agent) == agent.quarantined:
        return
    if agent.shared is None:
        with agent.following:
            _relearn_beside(agent, _in_quarantine(agent))
    elif agent.following.acquire(blocking=False):  # else whoever follows looks at the beginning of its next round
        try:
            note_quarantine(agent)
        finally:
            agent.following.release()


def note_quarantine(agent: Runtime) -> None:
    """Take note of what is in quarantine on a shared log; where that has changed, whoever learns takes over anew.

    The caller holds `following`. Raises StoreError.
    """
    wanted = _in_quarantine(agent)
    if wanted != agent.quarantined:
        _note(agent, wanted)
        agent.fence = None


def _in_quarantine(agent: Runtime) -> frozenset[str]:
    now = agent.serving.deployment()
    return frozenset() if now is None else frozenset(now.quarantined)


def _note(agent: Runtime, wanted: frozenset[str]) -> None:
    """Take note, before anything is learned by it."""
    if wanted != agent.quarantined:
        _tell_of_base(agent, wanted)
        agent.quarantined = wanted


def _tell_of_base(agent: Runtime, wanted: frozenset[str]) -> None:
    """Tell where retention has cut rows that were learned with another quarantine."""
    base = agent.log.base(agent.spec.name)
    if base is not None and belongs(agent, base) and _named(base)[1] != wanted:
        agent.failed(
            Conflict(
                f"{agent.spec.name}: the quarantine has changed since retention cut the log up to position {base.position}. "
                "What was learned up to there stays as it was, and cannot be learned anew; what came later is."
            )
        )


def _relearn_beside(agent: Runtime, wanted: frozenset[str]) -> None:
    """Learn the log anew beside the fold in force, and put the result in its place: decisions wait for that alone."""
    if wanted == agent.quarantined:
        return
    _tell_of_base(agent, wanted)
    fold, seen = _beside(agent, wanted)
    with agent.reporting:
        head = agent.log.position
        if not _caught_up(agent, fold, (seen, head), wanted):
            fold = refold(agent, head, left_out=wanted)
        agent.quarantined, agent.fold, agent.position, agent.replace_stored = wanted, fold, head, True
        if agent.learns:
            _store(agent)


def _beside(agent: Runtime, wanted: frozenset[str]) -> tuple[Fold, int]:
    """Return a fold of nearly the whole log without some versions, and up to where it goes."""
    seen = agent.log.position
    fold = refold(agent, seen, left_out=wanted)
    for _ in range(_ROUNDS):
        head = agent.log.position
        if head - seen <= _AT_ONCE or not _caught_up(agent, fold, (seen, head), wanted):
            break
        seen = head
    return fold, seen


def _caught_up(agent: Runtime, fold: Fold, between: tuple[int, int], left_out: frozenset[str]) -> bool:
    """Learn what came between two positions, and return whether that was possible: a correction takes the whole log."""
    after, until = between
    new = list(agent.log.history(agent.spec.name, until, after=after))
    if any(outcome.revision for _, _, outcome in new):
        return False
    for _, decision, outcome in new:
        try:
            fold.apply(transition(agent, decision, outcome, left_out))
        except InvalidInput:  # a row of an earlier definition
            agent.skipped += 1
    return True


def _store(agent: Runtime) -> None:
    """Put what was learned in the place of what is stored; where that fails, the next outcome does so."""
    try:
        agent.log.append((), agent.fold.changes(replace=True))
    except SteersmanError:
        unlearn(agent)
        raise
    agent.replace_stored = False


def blank(agent: str) -> Learned:
    """Return what makes an agent fold its whole log anew when it is next opened."""
    return Learned(agent=agent, entries={}, states={}, removed=set(), episodes={}, carry=b"", replace=True)


def _refold_later_stored(agent: Runtime) -> None:
    """Fold the log anew; the next outcome's transaction puts the result in the place of what is stored."""
    until = agent.log.position if agent.shared is None else agent.shared.head()
    fold = refold(agent, until)
    with agent.lock:
        agent.fold, agent.position, agent.replace_stored = fold, until, True

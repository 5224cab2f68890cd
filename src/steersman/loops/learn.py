"""Learn: the working table follows the log. Live outcomes are applied as they come; a revision folds the log again."""

import contextlib
import dataclasses
from collections.abc import Iterator

from steersman.core.errors import InvalidInput, StoreError
from steersman.core.transition import Transition
from steersman.core.values import Decision, Learned, Outcome
from steersman.loops.runtime import Runtime
from steersman.stages.learn.fold import Fold


def learn(agent: Runtime, decision: Decision, outcome: Outcome) -> Learned:
    """Apply one first revision and return what changed, to be appended with the outcome."""
    agent.fold.apply(transition(agent, decision, outcome))
    replace, agent.replace_stored = agent.replace_stored, False
    return agent.fold.changes(replace=replace)


def transition(agent: Runtime, decision: Decision, outcome: Outcome) -> Transition:
    """Return what is learned of an outcome: nothing, but that there was a step, where a version in quarantine decided."""
    made = agent.recorder.transition(decision, outcome)
    return dataclasses.replace(made, reward=None) if decision.version in agent.quarantined else made


def refold(agent: Runtime, until: int | None = None, revision: Outcome | None = None) -> Fold:
    """Return a fold of the agent's log up to a position, and with one more revision if there is one to come.

    Each decision counts where its first revision stands and with what its last revision says; two passes, so that only
    revisions are held in memory. Rows of an earlier definition that no longer fit are left out, and counted.
    """
    while True:
        fold, after = based(agent)
        fold.apply_all(transitions(agent, until, revision, after=after, known=until))
        base = agent.log.base(agent.spec.name)
        if base is None or base.position == after:  # else rows were cut meanwhile
            return fold


def based(agent: Runtime) -> tuple[Fold, int]:
    """Return what was learned of the rows that were cut from the log, and up to which position; a blank fold if none were.

    What was learned under another definition or other settings cannot be learned anew: then the fold begins with the rows
    that are left.
    """
    fold, base = agent.new_fold(), agent.log.base(agent.spec.name)
    if base is None:
        return fold, 0
    if fold.fits(base):
        fold.restore(base, base.episodes.values())
    return fold, base.position or 0


def transitions(
    agent: Runtime, until: int | None = None, revision: Outcome | None = None, *, after: int = 0, known: int | None = None
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
                made = transition(agent, decision, revisions.get(decision.id, outcome))
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
    place of what is stored in the transaction of the next outcome.
    """
    fold = _stored(agent)
    if fold is not None:
        with agent.lock:
            agent.fold, agent.replace_stored = fold[0], False
            agent.position = fold[1]
    elif agent.log.decision_count(agent.spec.name):
        _refold_later_stored(agent)


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

    On a shared log whoever learns does so, and the others take it up. Raises StoreError.
    """
    now = agent.serving.deployment()
    wanted = frozenset() if now is None else frozenset(now.quarantined)
    if wanted == agent.quarantined:
        return
    with agent.reporting:
        agent.quarantined = wanted
        if agent.shared is not None:
            agent.fence, agent.version = None, 0  # takes the table up anew, or refolds it where it learns
            return
        learned = relearn(agent)
        agent.log.append((), learned)
        agent.position = agent.log.position


def blank(agent: str) -> Learned:
    """Return what makes an agent fold its whole log anew when it is next opened."""
    return Learned(agent=agent, entries={}, states={}, removed=set(), episodes={}, carry=b"", replace=True)


def _refold_later_stored(agent: Runtime) -> None:
    """Fold the log anew; the next outcome's transaction puts the result in the place of what is stored."""
    until = agent.log.position if agent.shared is None else agent.shared.head()
    fold = refold(agent, until)
    with agent.lock:
        agent.fold, agent.position, agent.replace_stored = fold, until, True

"""Learn: the working table follows the log. Live outcomes are applied as they come; a revision folds the log again."""

import contextlib
from collections.abc import Iterator

from steersman.core.errors import StoreError
from steersman.core.transition import Transition
from steersman.core.values import Decision, Learned, Outcome
from steersman.loops.runtime import EpisodeState, Runtime
from steersman.stages.learn.fold import Fold

_RECENT = 1_000


def learn(agent: Runtime, decision: Decision, outcome: Outcome) -> Learned:
    """Apply one first revision and return what changed, to be appended with the outcome."""
    agent.fold.apply(agent.recorder.transition(decision, outcome))
    replace, agent.replace_stored = agent.replace_stored, False
    return agent.fold.changes(replace=replace)


def refold(agent: Runtime, until: int | None = None, revision: Outcome | None = None) -> Fold:
    """Return a fold of the agent's log up to a position, and with one more revision if there is one to come.

    Each decision counts where its first revision stands and with what its last revision says; two passes, so that only
    revisions are held in memory. The result depends on the log alone.
    """
    fold = agent.new_fold()
    fold.apply_all(transitions(agent, until, revision))
    return fold


def transitions(agent: Runtime, until: int | None = None, revision: Outcome | None = None) -> Iterator[Transition]:
    """Yield the transitions that the agent's log amounts to, in the order in which they count."""
    name = agent.spec.name
    revisions = {each.decision_id: each for _, _, each in agent.log.history(name, until) if each.revision > 0}
    if revision is not None:
        revisions[revision.decision_id] = revision
    for _, decision, outcome in agent.log.history(name, until):
        if outcome.revision == 0:
            yield agent.recorder.transition(decision, revisions.get(decision.id, outcome))


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
    """Take up what is stored, when the agent is opened.

    The log is folded anew where what is stored is not the fold of the log under the settings in force: they were
    changed, the log was imported, or steps of open episodes wait in memory that is gone.
    """
    stored = agent.log.learned(agent.spec.name)
    if stored is None:
        if agent.log.decision_count(agent.spec.name):
            _refold_later_stored(agent)
    else:
        learned, agent.position = stored
        open_episodes = agent.log.open_episodes(agent.spec.name)
        agent.fold.restore(learned, open_episodes)
        changed = agent.fold.carry.settings_hash != agent.settings_hash
        if changed or (open_episodes and agent.fold.keeps_trajectories):
            _refold_later_stored(agent)
    _restore_episodes(agent)


def _restore_episodes(agent: Runtime) -> None:
    """Bring back the named episodes of the last decisions: how far they are, and whether they are over."""
    last = {each.episode: each for each in reversed(agent.log.recent(agent.spec.name, _RECENT)) if each.episode != each.id}
    for name, each in last.items():
        over = name not in agent.fold.episodes and bool(agent.log.outcomes(each.id))
        agent.episodes[name] = EpisodeState(step=each.step + 1, epsilon=each.epsilon, over=over)


def _refold_later_stored(agent: Runtime) -> None:
    """Fold the log anew; the next outcome's transaction puts the result in the place of what is stored."""
    agent.fold = refold(agent)
    agent.replace_stored = True

"""Follow: on a log that many processes share, learning comes after the log, in one process for each agent at a time.

That process holds the agent's lease. It reads what is new, learns it, and stores what changed together with the position
up to which it has learned, under the number of its lease: a process that was overtaken is refused, and nothing is learned
twice or left out. All other processes take up what it stored, and decide by that.
"""

from itertools import islice

from steersman.core.errors import Conflict, DeadlineExceeded, InvalidInput, StoreError
from steersman.core.ports import SharedLog
from steersman.core.values import Decision, Learned, Outcome
from steersman.loops.learn import belongs, note_quarantine, refold, restore, transition
from steersman.loops.runtime import Runtime

CHUNK = 200
_AT_ONCE = 10
_WAIT_S = 30.0


def follow(agent: Runtime) -> bool:
    """Learn some of what is new in the log, or take up what the learner stored; return whether to come again at once.

    Raises StoreError while the store cannot be reached.
    """
    if agent.shared is None:
        return False
    with agent.following:
        return _follow(agent, agent.shared)


def _follow(agent: Runtime, log: SharedLog) -> bool:
    note_quarantine(agent)
    fence = log.lease(agent.spec.name) if agent.learns else None
    if fence is None:
        agent.fence = None
        return _take_up(agent)
    if fence != agent.fence:
        _take_over(agent, fence)
    return _catch_up(agent)


def _take_up(agent: Runtime) -> bool:
    """Take up what another process learned; a table of another definition or other settings is left alone, and told.

    What is left out of learning is for the process that learns to say.
    """
    assert agent.shared is not None  # noqa: S101 - `follow` looked
    learned = agent.shared.learned_since(agent.spec.name, agent.version)
    if learned is None:
        return False
    with agent.lock:
        whole = learned.replace or agent.version == 0  # nothing that this process learned by itself stays beside it
        agent.version = learned.version
        agent.misfit = not belongs(agent, learned)
        if agent.misfit:
            return False
        if whole:
            agent.fold = agent.new_fold()
        try:
            agent.fold.restore(learned, learned.episodes.values())
        except (TypeError, ValueError, KeyError) as error:
            raise StoreError(
                f"what is stored for {agent.spec.name} is damaged: {error}. Whoever learns for it has the log."
            ) from error
        agent.position = learned.position or 0
    return False


def _take_over(agent: Runtime, fence: int) -> None:
    """Begin to learn where the last learner stopped: what this process still had to store is stored or refused first."""
    agent.log.flush(_WAIT_S)
    restore(agent)
    agent.fence, agent.version, agent.misfit = fence, 0, False


def _catch_up(agent: Runtime) -> bool:
    """Learn the next outcomes of the log; return whether there may be more.

    Whatever goes wrong between learning and storing, the next round begins with what is stored.
    """
    new = list(islice(agent.log.history(agent.spec.name, after=agent.position, durable=True), CHUNK))
    if not new and not agent.replace_stored:
        return False
    try:
        learned = _learn(agent, new)
        learned.position, learned.fence = agent.position, agent.fence or 0
        agent.log.append((), learned).wait(_WAIT_S)
    except DeadlineExceeded:  # it stays in the queue, in its order
        return False
    except BaseException as error:
        agent.fence, agent.version = None, 0
        if not isinstance(error, Conflict):
            raise
        _release(agent)  # another process learns now: what it stored is taken up from the beginning
        return False
    return len(new) == CHUNK


def _release(agent: Runtime) -> None:
    if agent.shared is not None:
        agent.shared.release(agent.spec.name)


def _learn(agent: Runtime, new: list[tuple[int, Decision, Outcome]]) -> Learned:
    """Learn new outcomes and return what changed; a correction or a withdrawal folds the log again, beside the old fold."""
    corrected = any(outcome.revision for _, _, outcome in new)
    if corrected:
        fold = refold(agent, new[-1][0])
        with agent.lock:
            agent.fold, agent.position, agent.replace_stored = fold, new[-1][0], True
    else:
        for start in range(0, len(new), _AT_ONCE):
            _apply(agent, new[start : start + _AT_ONCE])
    with agent.lock:
        replace, agent.replace_stored = agent.replace_stored, False
        return agent.fold.changes(replace=replace)


def _apply(agent: Runtime, new: list[tuple[int, Decision, Outcome]]) -> None:
    """Learn a few outcomes; decisions wait no longer than that takes."""
    with agent.lock:
        for position, decision, outcome in new:
            try:
                agent.fold.apply(transition(agent, decision, outcome))
            except InvalidInput:  # a row of an earlier definition
                agent.skipped += 1
            else:
                agent.tell("learned", decision, outcome)
            agent.position = position

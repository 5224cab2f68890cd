"""Retain: old rows leave the log, and what was learned of them stays, as the base on which the rest is folded."""

from steersman.loops.learn import based, transitions
from steersman.loops.runtime import Runtime

MOST_ROWS = 20_000
_WAIT_S = 10.0


def cut(agent: Runtime) -> int:
    """Cut outcomes older than `store.retention_s`, a bounded number at a time; return up to which position, 0 for none.

    Rows that can still be corrected stay, because retention is no shorter than `episodes.accept_until_s`. Agents whose
    learning goes on from memory that cannot be stored (replay, a model, steps that wait for later ones) keep their whole
    log. Only the process that learns cuts. Raises StoreError or DeadlineExceeded if the store cannot be read or written.
    """
    with agent.following:
        return _cut(agent, agent.settings.store.retention_s)


def _cut(agent: Runtime, retention_s: float) -> int:
    follows = agent.shared is not None and agent.fence is None
    if not retention_s or follows or agent.fold.keeps_memory or agent.fold.keeps_trajectories:
        return 0
    fold, after = based(agent)
    last = _last(agent, after, agent.world.clock() - retention_s)
    if not last:
        return 0
    fold.apply_all(transitions(agent, last, after=after))
    base = fold.changes(replace=True)
    base.position, base.fence, base.windows = last, agent.fence or 0, []
    base.episodes = {name: each for name, each in base.episodes.items() if each.ended_at is None}
    agent.log.cut(base).wait(_WAIT_S)
    return last


def _last(agent: Runtime, after: int, before: float) -> int:
    """Return the last position up to which all outcomes belong to decisions made before a time; 0 if there is none.

    What a trial under way is judged by lies behind where it began, and stays until it is over.
    """
    last, now = 0, agent.serving.deployment()
    end = min(agent.position, now.position) if now is not None and now.under_way else agent.position
    history = agent.log.history(agent.spec.name, after=after, durable=True)
    for count, (position, decision, _) in enumerate(history):
        if decision.decided_at >= before or position > end or count >= MOST_ROWS:
            break
        last = position
    return last

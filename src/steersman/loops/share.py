"""Share: give to the pools what is new of the agent's own evidence, and take its priors from what others gave."""

from steersman.loops.kin import Kin
from steersman.loops.runtime import Runtime
from steersman.stages.share.borrow import priors
from steersman.stages.share.contribute import Rows, Seen, changes, contributions, evidence, look


def share(agent: Runtime) -> int:
    """Exchange with the pools now; return how many rows were given. An agent without kinship shares nothing.

    Rows are replaced, never added to, so that giving twice changes nothing; a pruned state's rows, and all of them once
    sharing is switched off, are taken back. What is taken lives in memory alone: no table and no row holds it as the
    agent's own. Decisions wait only while the table is copied. Where processes share a log, the one that learns gives.
    Raises StoreError; what was not given is given next time.
    """
    kin = agent.kin
    if kin is None:
        return 0
    with kin.sharing:
        seen = _look(agent)
        given = _give(agent, kin, seen) if agent.shared is None or agent.fence is not None else _leave_it(kin)
        _take(agent, kin, seen)
        kin.shared_at = agent.world.clock()
        return given


def share_if_due(agent: Runtime) -> int:
    """Exchange with the pools where the last time is `hierarchy.propagate_every_s` ago; return how many rows were given."""
    if agent.kin is None or agent.world.clock() - agent.kin.shared_at < agent.settings.hierarchy.propagate_every_s:
        return 0
    return share(agent)


def take(agent: Runtime) -> None:
    """Take the agent's priors from what the others have given, without giving anything."""
    if agent.kin is not None:
        with agent.kin.sharing:
            _take(agent, agent.kin, _look(agent))


def _look(agent: Runtime) -> Seen:
    with agent.lock:
        return look(agent.spec, agent.settings, agent.fold.table)


def _take(agent: Runtime, kin: Kin, seen: Seen) -> None:
    settings = agent.settings
    if not (settings.hierarchy.enabled or settings.transfer.enabled):
        kin.priors = {}
        return
    others = {pool: agent.log.contributions(pool) for pool in kin.kinship.pools()}
    own = evidence(agent.spec, settings, seen, kin.name)
    kin.priors = priors(agent.spec, settings, own, others)


def _give(agent: Runtime, kin: Kin, seen: Seen) -> int:
    if kin.given is None:
        kin.given = _stored(agent, kin)
    now = contributions(agent.spec, agent.settings, seen, kin.name)
    rows = changes(kin.given, now, agent.world.clock())
    if rows:
        agent.log.append(rows)
    kin.given = now
    return len(rows)


def _leave_it(kin: Kin) -> int:
    """Give nothing, and forget what was given before: another process gives now."""
    kin.given = None
    return 0


def _stored(agent: Runtime, kin: Kin) -> Rows:
    """Return the agent's own rows as the pools hold them, from before it was opened."""
    name = agent.spec.name
    return {
        (pool, row.key, row.role): row
        for pool in kin.kinship.pools()
        for row in agent.log.contributions(pool)
        if row.source == name
    }

"""Cut: what was learned so far becomes a version, which never changes again."""

from dataclasses import replace

import numpy as np

from steersman.core.errors import InvalidInput
from steersman.core.versions import PolicyVersion, address
from steersman.loops.learn import refold
from steersman.loops.runtime import Runtime
from steersman.loops.serving import Production
from steersman.policies import artefact
from steersman.policies.prior import OwnEvidence, blend

NOTHING = "nothing was learned yet"
_CUTTING = ("staged", "advisory", "shadow")


def production(agent: Runtime) -> Production:
    """Return where versions and releases are kept. Raises InvalidInput for an agent without such a place."""
    if agent.world.production is None:
        raise InvalidInput(f"{agent.spec.name}: this log keeps no versions; open a store with Steersman.open.")
    return agent.world.production


def cut(agent: Runtime, *, actor: str, reason: str = "") -> PolicyVersion:
    """Keep what the agent has learned, with what it took from others blended in, and return the version.

    The same content is the same version: to cut twice what did not change keeps one.
    """
    place = production(agent)
    with agent.lock:
        frozen, position = frozen_now(agent), agent.position
        outcomes = agent.fold.carry.transitions
    return keep(agent, place, frozen, position=position, outcomes=outcomes, actor=actor, reason=reason)


def cut_earlier(agent: Runtime, position: int, *, actor: str, reason: str) -> PolicyVersion:
    """Keep what the agent had learned up to a position in the log: what came later can then judge it."""
    fold = refold(agent, position)
    frozen = artefact.freeze(agent.spec, agent.settings, fold.table, fold.epsilon)
    outcomes = fold.carry.transitions
    return keep(agent, production(agent), frozen, position=position, outcomes=outcomes, actor=actor, reason=reason)


def blank(agent: Runtime, *, actor: str) -> str:
    """Keep a version that has learned nothing, and return its name: the baseline's rule, exploring as settings say."""
    fold = agent.new_fold()
    nothing = artefact.freeze(agent.spec, agent.settings, fold.table, fold.epsilon)
    kept = keep(agent, production(agent), nothing, position=0, outcomes=0, actor=actor, reason=NOTHING)
    return kept.id


def keep(
    agent: Runtime,
    place: Production,
    frozen: artefact.Frozen,
    *,
    position: int,
    outcomes: int,
    actor: str,
    reason: str,
) -> PolicyVersion:
    """Keep a policy's content as a version of the agent."""
    packed = artefact.pack(frozen)
    now = place.of(agent.spec.name)
    version = PolicyVersion(
        id=address(packed),
        agent=agent.spec.name,
        cut_at=agent.world.clock(),
        position=position,
        parent="" if now is None else now.champion,
        settings_hash=agent.settings_hash,
        schema=agent.spec.state.id,
        actions=artefact.actions_digest(agent.spec.actions),
        states=len(frozen.keys),
        outcomes=outcomes,
        epsilon=frozen.epsilon,
        size=len(packed),
        actor=actor,
        reason=reason,
    )
    place.registry.keep(version, packed)
    return version


def frozen_now(agent: Runtime) -> artefact.Frozen:
    """Return the working table as it stands. The caller holds the agent's lock."""
    frozen = artefact.freeze(agent.spec, agent.settings, agent.fold.table, agent.fold.epsilon)
    return frozen if agent.kin is None or not agent.kin.priors else _with_priors(agent, frozen)


def _with_priors(agent: Runtime, frozen: artefact.Frozen) -> artefact.Frozen:
    """Return the content with values as they are decided by: own evidence and what others say, together."""
    table, own, kin = agent.fold.table, OwnEvidence(agent.settings.learning), agent.kin
    values = frozen.value.copy()
    for place, key in enumerate(frozen.keys):
        row = table.rows[key]
        borrowed = () if kin is None else kin.borrowed(table.bins[key], table, row)
        if borrowed:
            values[place] = np.tile(blend(*own.of(table, row), borrowed), table.estimators)
    return replace(frozen, value=np.clip(values, *frozen.bounds) if not table.factored else values)


def due(agent: Runtime, last: PolicyVersion | None) -> bool:
    """Return whether a version is to be cut: enough was learned since the last one, and it is old enough."""
    settings = agent.settings.release
    if settings.mode not in _CUTTING:
        return False
    new = agent.fold.carry.transitions - (0 if last is None else last.outcomes)
    enough = new >= settings.cut_outcomes
    if last is None:
        return enough
    old = agent.world.clock() - last.cut_at >= settings.cut_age_s
    return new > 0 and ((enough and old) if settings.cut_when == "both" else (enough or old))

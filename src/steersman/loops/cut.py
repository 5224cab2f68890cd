"""Cut: what was learned so far becomes a version, which never changes again.

Versions are kept for ever, so that whatever was in production can be again. What grows is one artefact of the whole table
for each content: a release keeps one at each of its moves, of a table that learned in between. The same content is kept
once, under what it was first cut for.
"""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import product
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from steersman.core.errors import InvalidInput
from steersman.core.values import Belief
from steersman.core.versions import PolicyVersion, address
from steersman.loops.kin import Kin
from steersman.loops.learn import refold
from steersman.loops.runtime import Runtime
from steersman.loops.serving import Production
from steersman.policies import artefact, content
from steersman.policies.encoding import Bins
from steersman.policies.prior import OwnEvidence, blend, worth
from steersman.policies.tabular import QTable
from steersman.stages.learn.fold import Fold

Floats = NDArray[np.float64]
NOTHING = "nothing was learned yet"
DUE = "it was time"
CUTTING = ("staged", "advisory", "shadow")
_NEWEST = 16  # versions that are looked at first
_FARTHEST = 1_000
_CELLS = 1_024  # states in all up to which a version holds those that only kin know


@dataclass(frozen=True, kw_only=True)
class _Seen:
    """The newest version that there was at the last look, and the last cut among them all."""

    newest: str
    found: PolicyVersion | None


_seen: WeakKeyDictionary[Runtime, _Seen] = WeakKeyDictionary()


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
        own, position = _own(agent, agent.fold), agent.position
        outcomes = agent.fold.carry.transitions
    frozen = _with_priors(agent, own)  # beside the lock: to go through all states takes a while
    return keep(agent, place, frozen, position=position, outcomes=outcomes, actor=actor, reason=reason)


def cut_earlier(agent: Runtime, position: int, *, actor: str, reason: str) -> PolicyVersion:
    """Keep what the agent had learned up to a position in the log: what came later can then judge it.

    What others say is blended in as they say it now.
    """
    then = Runtime(agent.spec, agent.settings, agent.world, agent.guard_list)  # counts for itself what is skipped
    then.quarantined = agent.quarantined
    fold = refold(then, position)
    frozen = _with_priors(agent, _own(agent, fold))
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
    frozen: content.Content,
    *,
    position: int,
    outcomes: int,
    actor: str,
    reason: str,
) -> PolicyVersion:
    """Keep a policy's content as a version of the agent."""
    packed = content.pack(frozen)
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
        outcomes=outcomes,
        epsilon=frozen.epsilon,
        size=len(packed),
        actor=actor,
        reason=reason,
        **_of_kind(frozen),
    )
    place.registry.keep(version, packed)
    return version


def _of_kind(frozen: content.Content) -> dict[str, Any]:
    if isinstance(frozen, artefact.Frozen):
        return {"kind": "table", "states": len(frozen.keys)}
    return {"kind": "network", "states": 0, "hidden": frozen.net.hidden}


def frozen_now(agent: Runtime) -> artefact.Frozen:
    """Return the working table as it stands. The caller holds the agent's lock."""
    return _with_priors(agent, _own(agent, agent.fold))


def _own(agent: Runtime, fold: Fold) -> artefact.Frozen:
    return artefact.freeze(agent.spec, agent.settings, fold.table, fold.epsilon)


def _with_priors(agent: Runtime, frozen: artefact.Frozen) -> artefact.Frozen:
    """Return the content with values as they are decided by: own evidence and what others say, together.

    A state that priors kept from being cold is not cold in the version either: what it lacks in visits is added to the
    choice of each dimension of which most is known. States without a row of their own are in it where there are few
    enough states in all to go through them.
    """
    kin = agent.kin
    if kin is None or not kin.priors:
        return frozen
    own, table = OwnEvidence(agent.settings.learning), artefact.table(frozen, agent.spec.actions)
    values, visits = frozen.value.copy(), frozen.visits.copy()
    for place, key in enumerate(frozen.keys):
        row = table.rows[key]
        borrowed = kin.borrowed(table.bins[key], table, row)
        if borrowed:
            mine, seen = own.of(table, row)
            values[place] = np.tile(blend(mine, seen, borrowed), table.estimators)
            visits[place] += _lacking(agent, table, seen, borrowed)
    known = _with_unseen(agent, kin, table, replace(frozen, value=values, visits=visits))
    return known if table.factored else replace(known, value=np.clip(known.value, *known.bounds))


def _with_unseen(agent: Runtime, kin: Kin, table: QTable, frozen: artefact.Frozen) -> artefact.Frozen:
    """Return the content with the states that priors alone keep from being cold, in their places among the others."""
    found = dict(_unseen(agent, kin, table))
    if not found:
        return frozen
    nothing, seen = OwnEvidence(agent.settings.learning).of(table, None)
    keys = [*frozen.keys, *map(agent.encoder.key, found)]
    order = sorted(range(len(keys)), key=keys.__getitem__)
    value = [np.tile(blend(nothing, seen, each), table.estimators) for each in found.values()]
    visits = [_lacking(agent, table, seen, each) for each in found.values()]
    return replace(
        frozen,
        keys=tuple(sorted(keys)),
        bins=np.concatenate([frozen.bins, np.array(list(found), dtype=np.int64)])[order],
        value=np.concatenate([frozen.value, value])[order],
        visits=np.concatenate([frozen.visits, visits])[order],
        td_variance=np.concatenate([frozen.td_variance, np.zeros_like(value)])[order],
    )


def _unseen(agent: Runtime, kin: Kin, table: QTable) -> Iterator[tuple[Bins, tuple[Belief, ...]]]:
    """Yield the states without a row for which priors are worth the visits asked for, with what they say."""
    schema = agent.spec.state
    if schema.cells > _CELLS:
        return
    for bins in product(*(range(each.bins) for each in schema.keyed)):
        if agent.encoder.key(bins) not in table.rows:
            borrowed: tuple[Belief, ...] = ()
            with suppress(Exception):  # a projection may fail for a state that never comes
                borrowed = kin.borrowed(agent.encoder.named(bins), table, None)
            if borrowed and worth(borrowed) >= agent.settings.serving.cold_visits:
                yield bins, borrowed


def _lacking(agent: Runtime, table: QTable, seen: Floats, borrowed: Sequence[Belief]) -> NDArray[np.int64]:
    """Return the visits, (estimators · width,), that a state lacks to be as warm as priors make it. seen: own, (width,)."""
    missing = agent.settings.serving.cold_visits - int(seen.sum()) // len(table.space.dimensions)
    added = np.zeros(table.estimators * table.width, dtype=np.int64)
    if 0 < missing <= worth(borrowed):
        known = seen + np.sum([each.weights for each in borrowed], axis=0)
        for slots in (np.unique(each) for each in table.space.slots.T):
            added[slots[np.argmax(known[slots])]] = missing
    return added


def last_cut(agent: Runtime) -> PolicyVersion | None:
    """Return the last version that was cut to be judged, or blank; None before the first. Moves keep others in between.

    Only the newest versions are read once it is known. Raises StoreError.
    """
    registry, name, seen = production(agent).registry, agent.spec.name, _seen.get(agent)
    latest = registry.versions(name, _NEWEST)
    found = _among(latest)
    if found is None and seen is not None and seen.newest in {each.id for each in latest}:
        found = seen.found
    elif found is None and len(latest) == _NEWEST:
        found = _among(registry.versions(name, _FARTHEST)) or (None if seen is None else seen.found)
    if latest:
        _seen[agent] = _Seen(newest=latest[0].id, found=found)
    return found


def _among(versions: Sequence[PolicyVersion]) -> PolicyVersion | None:
    return next((each for each in versions if each.reason in (DUE, NOTHING)), None)


def due(agent: Runtime, last: PolicyVersion | None) -> bool:
    """Return whether a version is to be cut: enough was learned since the last one, and it is old enough.

    One that had learned nothing has no age: the first that has is cut as soon as there is enough.
    """
    settings = agent.settings.release
    if settings.mode not in CUTTING:
        return False
    new = agent.fold.carry.transitions - (0 if last is None else last.outcomes)
    enough = new >= settings.cut_outcomes
    if last is None or last.outcomes == 0:
        return enough
    old = agent.world.clock() - last.cut_at >= settings.cut_age_s
    return new > 0 and ((enough and old) if settings.cut_when == "both" else (enough or old))

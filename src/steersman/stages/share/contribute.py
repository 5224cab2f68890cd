"""Contribute: from an agent's own table to its rows in the pools. Nothing that was borrowed is in them."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from steersman.core.agent import AgentSpec
from steersman.core.kinship import FLEET, slot_name
from steersman.core.settings import Settings
from steersman.core.values import Contribution
from steersman.maths.schedules import effective_count
from steersman.maths.statistics import confidence, value_bounds
from steersman.policies.prior import OwnEvidence
from steersman.policies.tabular import QTable

Floats = NDArray[np.float64]
SharedKey = Callable[[Mapping[str, int]], str]
Place = tuple[str, str]
Rows = dict[tuple[str, str, str], Contribution]
_SMALLEST_ALPHA = 1e-6
_MANY = 1_000_000_000
REST = "*"
"""The role of all choices of a state that a source does not name one by one."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Evidence:
    """What was seen of one role in one shared state, on the scale of [0, 1]: `count` observations of `variance` each."""

    value: float
    count: float
    variance: float
    updated_at: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Scale:
    """What 0 and 1 mean: the bounds of a slot's value, in reward units. A width of 0 shares nothing."""

    low: float
    width: float

    @classmethod
    def of(cls, spec: AgentSpec, settings: Settings) -> "Scale":
        """Return the scale of an agent's slots: its value bounds over its dimensions. With γ = 1 there are none."""
        low, high = value_bounds(spec.reward.low, spec.reward.high, settings.learning.gamma)
        parts = len(spec.actions.dimensions)
        finite = math.isfinite(low) and math.isfinite(high)
        return cls(low=low / parts, width=(high - low) / parts) if finite else cls(low=0.0, width=0.0)


@dataclass(frozen=True, kw_only=True, slots=True)
class Seen:
    """A copy of what an agent's table says, to be worked on while the table moves on.

    bins: of each state. The arrays have shape (states, width): estimates, visits, the effective counts behind them, the
    variance of one observation, that of the TD target, and when each entry was updated.
    """

    bins: list[dict[str, int]]
    values: Floats
    visits: Floats
    counts: Floats
    variances: Floats
    td_variances: Floats
    updated_at: Floats
    factored: bool


def look(spec: AgentSpec, settings: Settings, table: QTable) -> Seen:
    """Return a copy of what a table says, its states by key."""
    places = sorted(table.rows.items())
    rows = [row for _, row in places]
    shape = (len(rows), table.estimators, table.width)
    values, visits = OwnEvidence(settings.learning)(table, rows)
    td_variances = table.td_variance[rows].reshape(shape).mean(axis=1)
    total = visits * td_variances
    if settings.learning.gamma == 0.0:
        total = table.reward_m2[rows].reshape(shape).sum(axis=1)
    guess = ((spec.reward.high - spec.reward.low) / 4.0) ** 2  # counts as one observation
    return Seen(
        bins=[table.bins[key] for key, _ in places],
        values=values,
        visits=visits,
        counts=np.minimum(visits, effective_count(_MANY, _last_alpha(settings))),
        variances=(guess + total) / (visits + 1.0),
        td_variances=td_variances,
        updated_at=table.updated_at[rows].reshape(shape).max(axis=1),
        factored=table.factored,
    )


def evidence(
    spec: AgentSpec, settings: Settings, seen: Seen, shared: SharedKey, *, trusted: bool = False
) -> dict[Place, Evidence]:
    """Return what the agent itself has seen, by shared key and role; with `trusted`, what is worth transferring only.

    Table states with one shared key, and slots with one role, are merged: counts add up, values and variances are means
    weighted by count. What is transferred are entries with enough visits and confidence; in a flat space the others of a
    state go together, as `REST`, if they are trusted together: without them nobody could tell what a good entry is better
    than.
    """
    scale = Scale.of(spec, settings)
    if spec.kinship is None or not seen.bins or not scale.width:
        return {}
    named = [spec.kinship.roles.get(slot_name(*each)) for each in spec.actions.slot_names]
    roles = [*sorted({role for role in named if role is not None}), REST]
    role = np.array([len(roles) if each is None else roles.index(each) for each in named])
    kept = (seen.visits > 0.0) & (role < len(roles))
    column = np.broadcast_to(role, kept.shape)
    if trusted:
        sure = _trusted(settings, spec, seen)
        column = np.where(sure, column, len(roles) - 1)
        kept &= sure | (not seen.factored)
    keys = [shared(bins) for bins in seen.bins]
    names = sorted(set(keys))
    index = {key: number for number, key in enumerate(names)}
    cells = (np.array([index[key] for key in keys])[:, None] * len(roles) + column)[kept]
    found = _merge(seen, scale, kept, cells, len(names) * len(roles))
    merged = {(names[cell // len(roles)], roles[cell % len(roles)]): each for cell, each in found.items()}
    return {place: each for place, each in merged.items() if place[1] != REST or _sure(settings, spec, each, scale)}


def _merge(seen: Seen, scale: Scale, kept: NDArray[np.bool_], cells: NDArray[np.intp], size: int) -> dict[int, Evidence]:
    """Return the evidence of each cell that has any, from the kept entries that fall into it."""
    weights = seen.counts[kept]
    total = np.bincount(cells, weights, size)
    scaled = np.clip((seen.values[kept] - scale.low) / scale.width, 0.0, 1.0)
    value = np.bincount(cells, weights * scaled, size)
    variance = np.bincount(cells, weights * seen.variances[kept], size) / scale.width**2
    updated = np.zeros(size)
    np.maximum.at(updated, cells, seen.updated_at[kept])
    return {
        cell: Evidence(
            value=float(value[cell] / total[cell]),
            count=float(total[cell]),
            variance=float(variance[cell] / total[cell]),
            updated_at=float(updated[cell]),
        )
        for cell in np.flatnonzero(total).tolist()
    }


def _last_alpha(settings: Settings) -> float:
    learning = settings.learning
    return max(learning.alpha if learning.alpha_schedule == "constant" else learning.alpha_floor, _SMALLEST_ALPHA)


def _trusted(settings: Settings, spec: AgentSpec, seen: Seen) -> NDArray[np.bool_]:
    """Return which entries have the visits and the confidence that transfer asks for, shape (states, width)."""
    reward_range = spec.reward.high - spec.reward.low
    found = seen.visits >= settings.transfer.min_visits
    errors = np.sqrt(seen.td_variances / np.maximum(seen.counts, 1.0))
    for row, slot in np.argwhere(found).tolist():
        sure = confidence(int(seen.visits[row, slot]), float(errors[row, slot]), reward_range)
        found[row, slot] = sure >= settings.transfer.min_confidence
    return found


def _sure(settings: Settings, spec: AgentSpec, rest: Evidence, scale: Scale) -> bool:
    error = math.sqrt(rest.variance / rest.count) * scale.width
    sure = confidence(int(rest.count), error, spec.reward.high - spec.reward.low)
    return rest.count >= settings.transfer.min_visits and sure >= settings.transfer.min_confidence


def contributions(spec: AgentSpec, settings: Settings, seen: Seen, shared: SharedKey) -> Rows:
    """Return all rows that an agent's own evidence amounts to, by pool, key and role.

    In its category and the fleet it counts by a part (`hierarchy.category_share`, `fleet_share`); the pool of its
    similarity group gets only what is trusted, with its full count.
    """
    if spec.kinship is None:
        return {}
    rows: Rows = {}
    hierarchy = settings.hierarchy
    if hierarchy.enabled:
        found = evidence(spec, settings, seen, shared)
        rows.update(_rows(spec.kinship.category_pool, spec.name, found, hierarchy.category_share))
        rows.update(_rows(FLEET, spec.name, found, hierarchy.fleet_share))
    if settings.transfer.enabled and spec.kinship.group:
        sure = evidence(spec, settings, seen, shared, trusted=True)
        rows.update(_rows(spec.kinship.group_pool, spec.name, sure, 1.0))
    return rows


def _rows(pool: str, source: str, seen: Mapping[Place, Evidence], share: float) -> Rows:
    return {
        (pool, key, role): Contribution(
            pool=pool,
            source=source,
            key=key,
            role=role,
            value=each.value,
            count=each.count * share,
            variance=each.variance,
            updated_at=each.updated_at,
        )
        for (key, role), each in seen.items()
    }


def changes(before: Rows, now: Rows, at: float) -> list[Contribution]:
    """Return the rows to append so that a pool which holds `before` holds `now`; none where nothing has changed.

    A row that is no more is taken back, by a count of 0.
    """
    gone = [(place, row) for place, row in before.items() if place not in now]
    taken_back = [
        Contribution(
            pool=row.pool,
            source=row.source,
            key=row.key,
            role=row.role,
            value=row.value,
            count=0.0,
            variance=row.variance,
            updated_at=at,
        )
        for _, row in gone
    ]
    return [row for place, row in now.items() if before.get(place) != row] + taken_back

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


def evidence(
    spec: AgentSpec, settings: Settings, table: QTable, shared: SharedKey, *, trusted: bool = False
) -> dict[Place, Evidence]:
    """Return what the agent itself has seen, by shared key and role; with `trusted`, what is worth transferring only.

    Table states with one shared key, and slots with one role, are merged: counts add up, values and variances are means
    weighted by count. What is transferred are entries with enough visits and confidence; in a flat space the others of a
    state go together, as `REST`, if they are trusted together: without them nobody could tell what a good entry is better
    than.
    """
    scale = Scale.of(spec, settings)
    if spec.kinship is None or not table.rows or not scale.width:
        return {}
    places = sorted(table.rows.items())
    rows = [row for _, row in places]
    roles = [spec.kinship.roles.get(slot_name(*each)) for each in spec.actions.slot_names]
    names = [(shared(table.bins[key]), role) for key, _ in places for role in roles]
    values, visits = OwnEvidence(settings.learning)(table, rows)
    counts = np.minimum(visits, effective_count(int(visits.max()), _last_alpha(settings)))
    spread = _variances(spec, settings, table, rows, visits)
    kept = (visits > 0) & np.array([role is not None for role in roles])
    sure = _trusted(spec, settings, visits, counts, table.td_variance[rows]) if trusted else kept
    if table.factored:
        kept &= sure
    updated = table.updated_at[rows].reshape(len(rows), -1, table.width).max(axis=1)
    merged: dict[Place, list[int]] = {}
    for cell in np.flatnonzero(kept).tolist():
        key, role = names[cell]
        merged.setdefault((key, (role or "") if sure.flat[cell] else REST), []).append(cell)
    scaled = np.clip((values.ravel() - scale.low) / scale.width, 0.0, 1.0)
    found = {
        place: _merge(cells, scaled, counts.ravel(), spread.ravel() / scale.width**2, updated.ravel())
        for place, cells in merged.items()
    }
    return {place: each for place, each in found.items() if place[1] != REST or _sure(settings, each, spec, scale)}


def _merge(cells: list[int], values: Floats, counts: Floats, variances: Floats, updated: Floats) -> Evidence:
    weights = counts[cells]
    total = float(weights.sum())
    return Evidence(
        value=float(weights @ values[cells]) / total,
        count=total,
        variance=float(weights @ variances[cells]) / total,
        updated_at=float(updated[cells].max()),
    )


def _sure(settings: Settings, rest: Evidence, spec: AgentSpec, scale: Scale) -> bool:
    error = math.sqrt(rest.variance / rest.count) * scale.width
    sure = confidence(int(rest.count), error, spec.reward.high - spec.reward.low)
    return rest.count >= settings.transfer.min_visits and sure >= settings.transfer.min_confidence


def _last_alpha(settings: Settings) -> float:
    learning = settings.learning
    return max(learning.alpha if learning.alpha_schedule == "constant" else learning.alpha_floor, _SMALLEST_ALPHA)


def _variances(spec: AgentSpec, settings: Settings, table: QTable, rows: list[int], visits: Floats) -> Floats:
    """Return the variance of one observation, shape (rows, width): of the rewards in a bandit, else of the TD target.

    (guess + n·v)/(n + 1), where the guess before any observation is a quarter of the reward range, squared.
    """
    guess = ((spec.reward.high - spec.reward.low) / 4.0) ** 2
    shape = (len(rows), table.estimators, table.width)
    if settings.learning.gamma == 0.0:
        total = table.reward_m2[rows].reshape(shape).sum(axis=1)
    else:
        total = visits * table.td_variance[rows].reshape(shape).mean(axis=1)
    shrunk: Floats = (guess + total) / (visits + 1.0)
    return shrunk


def _trusted(spec: AgentSpec, settings: Settings, visits: Floats, counts: Floats, variances: Floats) -> NDArray[np.bool_]:
    """Return which entries have the visits and the confidence that transfer asks for, shape (rows, width)."""
    reward_range = spec.reward.high - spec.reward.low
    spread = variances.reshape(len(visits), -1, visits.shape[1]).mean(axis=1)
    found = visits >= settings.transfer.min_visits
    for row, slot in np.argwhere(found).tolist():
        error = math.sqrt(spread[row, slot] / counts[row, slot])
        sure = confidence(int(visits[row, slot]), error, reward_range)
        found[row, slot] = sure >= settings.transfer.min_confidence
    return found


def contributions(spec: AgentSpec, settings: Settings, table: QTable, shared: SharedKey) -> Rows:
    """Return all rows that an agent's own evidence amounts to, by pool, key and role.

    In its category and the fleet it counts by a part (`hierarchy.category_share`, `fleet_share`); the pool of its
    similarity group gets only what is trusted, with its full count.
    """
    if spec.kinship is None:
        return {}
    rows: Rows = {}
    if settings.hierarchy.enabled:
        seen = evidence(spec, settings, table, shared)
        for pool, share in (
            (spec.kinship.category_pool, settings.hierarchy.category_share),
            (FLEET, settings.hierarchy.fleet_share),
        ):
            rows.update(_rows(pool, spec.name, seen, share))
    if settings.transfer.enabled and spec.kinship.group:
        sure = evidence(spec, settings, table, shared, trusted=True)
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

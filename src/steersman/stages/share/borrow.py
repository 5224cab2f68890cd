"""Borrow: from what others gave to the pools to an agent's priors, each worth as many visits as it can stand for."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from steersman.core.agent import AgentSpec
from steersman.core.kinship import FLEET, Kinship, slot_name
from steersman.core.settings import Settings
from steersman.core.values import Contribution
from steersman.maths.statistics import confidence
from steersman.policies.prior import Prior
from steersman.stages.share import agreement
from steersman.stages.share.contribute import REST, Evidence, Place, Scale

Floats = NDArray[np.float64]
_LEAST = 0.1  # a prior worth less than a tenth of a visit is none: the agent then decides exactly as it would alone
_LEVEL_GUESS = 1.0 / 16.0
_SMALLEST_VARIANCE = 1e-6
_CLOSENESS = 20.0  # before any comparison, the deviation between kin is taken for a twentieth of one observation's variance


@dataclass(frozen=True, kw_only=True)
class Opinion:
    """What one pool, or one agent, says: by shared key, on the scale of [0, 1].

    effects, weights: shape (width,). level, level_variance, variance: shape (dimensions,).
    """

    source: str
    effects: Mapping[str, Floats]
    weights: Mapping[str, Floats]
    level: Mapping[str, Floats]
    level_variance: Floats
    variance: Floats


@dataclass(frozen=True, kw_only=True)
class _Voices:
    """The rows of one pool and how they count: `share` is the part of the evidence that their counts stand for."""

    source: str
    rows: Sequence[Contribution]
    share: float
    factor: float = 1.0
    kappa: float
    by_confidence: bool = False


def priors(
    spec: AgentSpec, settings: Settings, own: Mapping[Place, Evidence], pools: Mapping[str, Iterable[Contribution]]
) -> dict[str, Prior]:
    """Return an agent's priors by shared key, from the rows of its pools. Its own rows are never among what it borrows.

    Each other agent is heard once for each state: as a single source of the similarity group if it is trusted enough, else
    in the category, else in the fleet. Weights are pseudo-counts σ²/t, with t the variance of an effect as a guess for
    this agent (what kin disagree by, and the error of the mean), at most κ times the pool's weight and at most the
    evidence behind them. `own` only helps to see how far others can be believed.
    """
    scale = Scale.of(spec, settings)
    if spec.kinship is None or not scale.width:
        return {}
    heard: set[tuple[str, str]] = set()
    opinions: list[Opinion] = []
    for voices in _voices(spec.kinship, settings, spec.name, pools):
        fresh = [row for row in voices.rows if (row.source, row.key) not in heard]
        opinion = _opinion(spec, voices, fresh, own)
        opinions.append(opinion)
        heard.update((row.source, row.key) for row in fresh if row.key in opinion.weights)
    keys = sorted({key for each in opinions for key in each.weights})
    return {key: _prior(spec, scale, key, [each for each in opinions if key in each.weights]) for key in keys}


def _voices(
    kinship: Kinship, settings: Settings, name: str, pools: Mapping[str, Iterable[Contribution]]
) -> Iterable[_Voices]:
    others = {pool: [row for row in rows if row.source != name] for pool, rows in pools.items()}
    hierarchy = settings.hierarchy
    if settings.transfer.enabled and kinship.group:
        rows = [_translated(kinship, row) for row in others.get(kinship.group_pool, ())]
        for source in sorted({row.source for row in rows}):
            yield _Voices(
                source=f"transfer/{source}",
                rows=[row for row in rows if row.source == source],
                share=1.0,
                factor=settings.transfer.factor,
                kappa=hierarchy.kappa,
                by_confidence=True,
            )
    if hierarchy.enabled:
        for pool, share, weight in (
            (kinship.category_pool, hierarchy.category_share, hierarchy.category_weight),
            (FLEET, hierarchy.fleet_share, hierarchy.fleet_weight),
        ):
            yield _Voices(source=pool, rows=others.get(pool, []), share=share, kappa=hierarchy.kappa * weight)


def _translated(kinship: Kinship, row: Contribution) -> Contribution:
    words = kinship.mapping.get(row.source)
    if not words or row.role not in words:
        return row
    return Contribution(
        pool=row.pool,
        source=row.source,
        key=row.key,
        role=words[row.role],
        value=row.value,
        count=row.count,
        variance=row.variance,
        updated_at=row.updated_at,
    )


def _opinion(spec: AgentSpec, voices: _Voices, rows: Sequence[Contribution], own: Mapping[Place, Evidence]) -> Opinion:
    """Put together what the pool says about each dimension of the agent's space."""
    width, size = spec.actions.width, len(spec.actions.dimensions)
    effects: dict[str, Floats] = {}
    weights: dict[str, Floats] = {}
    levels: dict[str, Floats] = {}
    level_variance, variance = np.full(size, _LEVEL_GUESS), np.full(size, _SMALLEST_VARIANCE)
    for index, (roles, slots) in enumerate(_dimensions(spec)):
        told = rows if size == 1 else [row for row in rows if row.role != REST]
        table = _Table.of(told, own, roles, voices.share)
        if table is None:
            continue
        found = _judge(table, voices)
        level_variance[index], variance[index] = found.level_variance, found.variance
        for key, effect, weight, level in zip(table.keys, found.effects, found.weights, found.level.tolist(), strict=True):
            if weight.any():
                effects.setdefault(key, np.zeros(width))[slots] = effect[table.places]
                weights.setdefault(key, np.zeros(width))[slots] = weight[table.places]
                levels.setdefault(key, np.zeros(size))[index] = level
    return Opinion(
        source=voices.source,
        effects=effects,
        weights=weights,
        level=levels,
        level_variance=level_variance,
        variance=variance,
    )


def _dimensions(spec: AgentSpec) -> list[tuple[list[str], list[int]]]:
    """Return (role of each slot, slots) of each dimension; no roles where the dimension is not shared."""
    found: list[tuple[list[str], list[int]]] = [([], []) for _ in spec.actions.dimensions]
    names = list(spec.actions.dimensions)
    for slot, (dimension, choice) in enumerate(spec.actions.slot_names):
        role = spec.kinship and spec.kinship.roles.get(slot_name(dimension, choice))
        if role:
            found[names.index(dimension)][0].append(role)
            found[names.index(dimension)][1].append(slot)
    return found


@dataclass(frozen=True, kw_only=True)
class _Table:
    """Cells (keys, sources, roles) of one dimension, the agent itself as the last source; a noise of infinity is no cell.

    `places` is the column of each slot: slots with one role share it.
    """

    keys: list[str]
    places: list[int]
    value: Floats
    count: Floats
    variance: Floats
    share: float

    @classmethod
    def of(
        cls, rows: Sequence[Contribution], own: Mapping[Place, Evidence], roles: list[str], share: float
    ) -> "_Table | None":
        """Return the table of a dimension's roles; None where the rows say nothing about two of them."""
        columns = {role: column for column, role in enumerate(sorted(set(roles)))}
        said = [row for row in rows if row.role in columns]
        rest = [row for row in rows if row.role == REST]
        if len({row.role for row in (*said, *rest)}) < 2:
            return None
        keys = {key: index for index, key in enumerate(sorted({row.key for row in said}))}
        sources = {source: index for index, source in enumerate(sorted({row.source for row in said}))}
        cells = np.zeros((3, len(keys), len(sources) + 1, len(columns)))
        for row in said:
            cells[:, keys[row.key], sources[row.source], columns[row.role]] = row.value, row.count / share, row.variance
        for row in rest:
            if row.key in keys and row.source in sources:
                unnamed = np.flatnonzero(cells[1, keys[row.key], sources[row.source]] == 0.0)
                part = row.count / max(len(unnamed), 1)
                cells[:, keys[row.key], sources[row.source], unnamed] = np.array([[row.value], [part], [row.variance]])
        for (key, role), each in own.items():
            if key in keys and role in columns:
                cells[:, keys[key], -1, columns[role]] = each.value, each.count, each.variance
        return cls(
            keys=list(keys),
            places=[columns[role] for role in roles],
            value=cells[0],
            count=cells[1],
            variance=cells[2],
            share=share,
        )

    @property
    def noise(self) -> Floats:
        """The variance of each cell's value: that of one observation over their number."""
        noise: Floats = np.full(self.count.shape, np.inf)
        return np.divide(self.variance, self.count, out=noise, where=self.count > 0.0)


@dataclass(frozen=True, kw_only=True)
class _Judged:
    """effects, weights: shape (keys, roles). level: shape (keys,)."""

    effects: Floats
    weights: Floats
    level: Floats
    level_variance: float
    variance: float


def _judge(table: _Table, voices: _Voices) -> _Judged:
    """Return what the others agree on, and how many visits of the agent's own that is worth."""
    variance = max(float((table.count * table.variance).sum() / table.count.sum()), _SMALLEST_VARIANCE)
    spread = agreement.disagreement(table.value, table.noise, variance / _CLOSENESS)
    precision = np.where(table.count > 0.0, 1.0 / (spread + table.noise), 0.0)
    precision[:, -1, :] = 0.0  # never one's own back
    effects, levels = agreement.effects(table.value, precision)
    comparing = precision * (np.count_nonzero(precision, axis=2) > 1)[:, :, None]
    weight = comparing.sum(axis=1)
    guess = spread + np.divide(1.0, weight, out=np.full(weight.shape, np.inf), where=weight > 0.0)
    behind = np.where(comparing > 0.0, table.count, 0.0).sum(axis=1) * table.share
    worth = np.minimum(np.minimum(variance / guess, behind), _most(table, voices))
    level, level_variance = agreement.level_spread(levels, precision.sum(axis=2) > 0.0, _LEVEL_GUESS)
    return _Judged(
        effects=effects * voices.factor,
        weights=np.where(worth >= _LEAST, worth, 0.0),
        level=level,
        level_variance=level_variance,
        variance=variance,
    )


def _most(table: _Table, voices: _Voices) -> Floats:
    """Return the most that a prior may be worth, shape (keys, roles): κ, for a single agent times its confidence."""
    most = np.full((len(table.keys), table.count.shape[2]), voices.kappa)
    if voices.by_confidence:
        for key, role in np.argwhere(table.count[:, 0, :] > 0.0).tolist():
            error = float(np.sqrt(table.noise[key, 0, role]))
            most[key, role] *= confidence(int(table.count[key, 0, role]), error, 1.0)
    return most


def _prior(spec: AgentSpec, scale: Scale, key: str, opinions: Sequence[Opinion]) -> Prior:
    """Put the opinions about one shared state together, in the agent's own units."""
    sizes = [len(choices) for choices in spec.actions.dimensions.values()]
    dimension = np.repeat(np.arange(len(sizes)), sizes)
    weights = np.array([each.weights[key] for each in opinions])
    heft = np.array([np.bincount(dimension, weight, len(sizes)) for weight in weights])
    part = heft / np.maximum(heft.sum(axis=0), _SMALLEST_VARIANCE)
    known = heft.any(axis=0)
    square = scale.width**2
    levels, spreads, variances = (
        (part * np.array(each)).sum(axis=0)
        for each in (
            [opinion.level[key] for opinion in opinions],
            [opinion.level_variance for opinion in opinions],
            [opinion.variance for opinion in opinions],
        )
    )
    return Prior(
        sources=tuple(each.source for each in opinions),
        effects=np.array([each.effects[key] for each in opinions]) * scale.width,
        weights=weights,
        level=scale.low + scale.width * levels,
        level_variance=np.where(known, spreads, 1.0) * square,
        variance=np.where(known, variances, 1.0) * square,
        dimension=dimension,
    )

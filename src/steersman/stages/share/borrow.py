"""Borrow: from what others gave to the pools to an agent's priors, each worth as many visits as it can stand for."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from steersman.core.agent import AgentSpec
from steersman.core.kinship import FLEET, Kinship, slot_name
from steersman.core.settings import Settings
from steersman.core.values import Contribution
from steersman.policies.prior import Prior
from steersman.stages.share.contribute import REST, Evidence, Place, Scale
from steersman.stages.share.judge import LEVEL_GUESS, SMALLEST_VARIANCE, Table, Voices, judge, spread_of

Floats = NDArray[np.float64]


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
    guesses = _disagreement(spec, settings, own, pools)
    heard: set[tuple[str, str]] = set()
    opinions: list[Opinion] = []
    for voices in _voices(spec.kinship, settings, spec.name, pools):
        fresh = [row for row in voices.rows if (row.source, row.key) not in heard]
        opinion = _opinion(spec, voices, fresh, own, guesses)
        opinions.append(opinion)
        heard.update((row.source, row.key) for row in fresh if row.key in opinion.weights)
    keys = sorted({key for each in opinions for key in each.weights})
    return {key: _prior(spec, scale, key, [each for each in opinions if key in each.weights]) for key in keys}


def _voices(
    kinship: Kinship, settings: Settings, name: str, pools: Mapping[str, Iterable[Contribution]]
) -> Iterable[Voices]:
    others = {pool: [row for row in rows if row.source != name] for pool, rows in pools.items()}
    hierarchy = settings.hierarchy
    if settings.transfer.enabled and kinship.group:
        rows = [_translated(kinship, row) for row in others.get(kinship.group_pool, ())]
        for source in sorted({row.source for row in rows}):
            yield Voices(
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
            yield Voices(source=pool, rows=others.get(pool, []), share=share, kappa=hierarchy.kappa * weight)


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


def _disagreement(
    spec: AgentSpec, settings: Settings, own: Mapping[Place, Evidence], pools: Mapping[str, Iterable[Contribution]]
) -> list[float]:
    """Return how far the fleet disagrees about each dimension; 0 where nobody can be compared.

    A single twin cannot be compared with anybody until the agent has seen something itself: where the fleet proves to be
    strangers, the twin is taken for one too.
    """
    rows = [row for row in pools.get(FLEET, ()) if row.source != spec.name]
    tables = [Table.of(rows, own, roles, settings.hierarchy.fleet_share) for roles, _ in _dimensions(spec)]
    return [0.0 if table is None else spread_of(table) for table in tables]


def _opinion(
    spec: AgentSpec,
    voices: Voices,
    rows: Sequence[Contribution],
    own: Mapping[Place, Evidence],
    guesses: Sequence[float],
) -> Opinion:
    """Put together what the pool says about each dimension of the agent's space."""
    width, size = spec.actions.width, len(spec.actions.dimensions)
    effects: dict[str, Floats] = {}
    weights: dict[str, Floats] = {}
    levels: dict[str, Floats] = {}
    level_variance, variance = np.full(size, LEVEL_GUESS), np.full(size, SMALLEST_VARIANCE)
    for index, (roles, slots) in enumerate(_dimensions(spec)):
        told = rows if size == 1 else [row for row in rows if row.role != REST]
        table = Table.of(told, own, roles, voices.share)
        if table is None:
            continue
        found = judge(table, voices, guesses[index] if voices.by_confidence else 0.0)
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


def _prior(spec: AgentSpec, scale: Scale, key: str, opinions: Sequence[Opinion]) -> Prior:
    """Put the opinions about one shared state together, in the agent's own units."""
    sizes = [len(choices) for choices in spec.actions.dimensions.values()]
    dimension = np.repeat(np.arange(len(sizes)), sizes)
    weights = np.array([each.weights[key] for each in opinions])
    heft = np.array([np.bincount(dimension, weight, len(sizes)) for weight in weights])
    part = heft / np.maximum(heft.sum(axis=0), SMALLEST_VARIANCE)
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

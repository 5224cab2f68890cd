"""Judge: from the rows of one pool to what they agree on, and how many visits that is worth."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from steersman.core.values import Contribution
from steersman.maths.statistics import confidence
from steersman.stages.share import agreement
from steersman.stages.share.contribute import REST, Evidence, Place

Floats = NDArray[np.float64]
_LEAST = 0.1  # a prior worth less than a tenth of a visit is none: the agent then decides exactly as it would alone
_CLOSENESS = 20.0  # before any comparison, the deviation between kin is taken for a twentieth of one observation's variance
SMALLEST_VARIANCE = 1e-6
LEVEL_GUESS = 1.0 / 16.0


@dataclass(frozen=True, kw_only=True)
class Voices:
    """The rows of one pool, as they are to be heard.

    share: the part of the evidence that their counts stand for. factor: on effects. kappa: the most that they may be worth,
    in visits; `by_confidence` makes it that times the confidence of each entry.
    """

    source: str
    rows: Sequence[Contribution]
    share: float
    factor: float = 1.0
    kappa: float
    by_confidence: bool = False


@dataclass(frozen=True, kw_only=True)
class Table:
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
    ) -> "Table | None":
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
class Judged:
    """effects, weights: shape (keys, roles). level: shape (keys,)."""

    effects: Floats
    weights: Floats
    level: Floats
    level_variance: float
    variance: float


def spread_of(table: Table, guess: float = 0.0) -> float:
    """Return τ², how far the sources of a table disagree beyond their noise; `guess` is what wider kin disagree by."""
    return agreement.disagreement(table.value, table.noise, max(guess, _variance(table) / _CLOSENESS))


def _variance(table: Table) -> float:
    return max(float((table.count * table.variance).sum() / table.count.sum()), SMALLEST_VARIANCE)


def judge(table: Table, voices: Voices, guess: float = 0.0) -> Judged:
    """Return what the others agree on, and how many visits of the agent's own that is worth."""
    variance = _variance(table)
    spread = spread_of(table, guess)
    precision = np.where(table.count > 0.0, 1.0 / (spread + table.noise), 0.0)
    precision[:, -1, :] = 0.0  # never one's own back
    effects, levels = agreement.effects(table.value, precision)
    comparing = precision * (np.count_nonzero(precision, axis=2) > 1)[:, :, None]
    weight = comparing.sum(axis=1)
    guess = spread + np.divide(1.0, weight, out=np.full(weight.shape, np.inf), where=weight > 0.0)
    behind = np.where(comparing > 0.0, table.count, 0.0).sum(axis=1) * table.share
    worth = np.minimum(np.minimum(variance / guess, behind), _most(table, voices))
    level, level_variance = agreement.level_spread(levels, precision.sum(axis=2) > 0.0, LEVEL_GUESS)
    return Judged(
        effects=effects * voices.factor,
        weights=np.where(worth >= _LEAST, worth, 0.0),
        level=level,
        level_variance=level_variance,
        variance=variance,
    )


def _most(table: Table, voices: Voices) -> Floats:
    """Return the most that a prior may be worth, shape (keys, roles): κ, for a single agent times its confidence."""
    most = np.full((len(table.keys), table.count.shape[2]), voices.kappa)
    if voices.by_confidence:
        errors = np.sqrt(table.noise[:, 0, :])
        for key, role in np.argwhere(table.count[:, 0, :] > 0.0).tolist():
            most[key, role] *= confidence(int(table.count[key, 0, role]), float(errors[key, role]), 1.0)
    return most

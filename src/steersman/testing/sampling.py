"""Random states and measurements of a definition, for checks and benchmarks."""

import math

import numpy as np

from steersman.core.reward import Reward
from steersman.core.state import Category, Flag, Number, Scalar, StateSchema


def sample_state(schema: StateSchema, rng: np.random.Generator) -> dict[str, Scalar]:
    """Return a random state that fits the schema; numbers fall near the edges of bins as often as anywhere else."""
    return {each.name: _value(each, rng) for each in schema.fields}


def sample_measurements(reward: Reward, rng: np.random.Generator) -> dict[str, float]:
    """Return random measurements that fit; unbounded ones are log-normal."""
    found: dict[str, float] = {}
    for each in reward.measurements:
        if each.optional and rng.random() < 0.5:
            continue
        if math.isfinite(each.low) and math.isfinite(each.high):
            found[each.name] = float(rng.uniform(each.low, each.high))
        else:
            size = float(rng.lognormal(0.0, 2.0))
            start = each.low if math.isfinite(each.low) else each.high if math.isfinite(each.high) else 0.0
            found[each.name] = start + size if math.isfinite(each.low) or not math.isfinite(each.high) else start - size
    return found


def _value(field: Number | Flag | Category, rng: np.random.Generator) -> Scalar:
    match field:
        case Number(low=low, high=high, edges=edges):
            if edges and rng.random() < 0.5:
                near = float(rng.choice(edges))
                return min(max(near + float(rng.normal(0.0, abs(near) * 0.1 + 1e-9)), low), high)
            return float(rng.uniform(low, high))
        case Flag():
            return bool(rng.random() < 0.5)
        case Category(options=options):
            return str(rng.choice(options))

"""The log of an agent as an offline data set, and data sets in files."""

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import numpy as np

from steersman.core.agent import AgentSpec
from steersman.core.dataset import Dataset
from steersman.core.errors import InvalidInput
from steersman.core.ports import Log
from steersman.core.values import Decision, Outcome
from steersman.policies.encoding import Encoder, feature_names

Form = Literal["dataset", "minari"]


def from_log(spec: AgentSpec, log: Log) -> Dataset:
    """Return what an agent's log teaches, ordered by episode and step; each decision by the last revision of its outcome.

    Left out are rows of another definition of the state, and outcomes without a reward. An outcome that no next state is
    known of ends its episode, as it does where the agent learns; `terminated` says so. Raises InvalidInput where nothing is
    left.
    """
    rows = sorted(_rows(spec, log), key=lambda row: (row[0].episode, row[0].step))
    if not rows:
        raise InvalidInput(f"{spec.name}: no outcome with a reward is in the log, so there is no data set to make of it.")
    encoder, width = Encoder(spec.state), len(feature_names(spec.state))
    nothing = np.zeros(width, dtype=np.float32)
    return Dataset(
        agent=spec.name,
        schema=spec.state.id,
        features=feature_names(spec.state),
        dimensions=spec.actions.dimensions,
        observations=np.stack([encoder.vector(made.state) for made, _ in rows]),
        actions=np.array([spec.actions.index(got.executed or made.executed) for made, got in rows], dtype=np.int32),
        rewards=np.array([got.reward for _, got in rows], dtype=np.float64),
        terminated=np.array([got.terminated or got.next_state is None for _, got in rows]),
        truncated=np.array([got.truncated for _, got in rows]),
        next_observations=np.stack([encoder.vector(got.next_state) if got.next_state else nothing for _, got in rows]),
        propensities=np.array([_propensity(made, got) for made, got in rows]),
        episodes=tuple(made.episode for made, _ in rows),
        steps=np.array([made.step for made, _ in rows], dtype=np.int32),
        versions=tuple(made.version for made, _ in rows),
    )


def _rows(spec: AgentSpec, log: Log) -> Iterator[tuple[Decision, Outcome]]:
    last = {each.decision_id: each for _, _, each in log.history(spec.name) if each.revision > 0}
    for _, made, outcome in log.history(spec.name):
        if outcome.revision == 0 and made.schema == spec.state.id:
            got = last.get(made.id, outcome)
            if got.reward is not None and got.kind != "withdrawn":
                yield made, got


def _propensity(made: Decision, got: Outcome) -> float:
    """Return with which probability the action was drawn; NaN where it was not, or another one was carried out."""
    drawn = made.action_probability is not None and (got.executed is None or got.executed == made.executed)
    return float(made.action_probability or 0.0) if drawn else float("nan")


def write(path: Path, data: Dataset, form: Form) -> int:
    """Write a data set, as one Parquet table or as the folders of Minari, and return how many rows there are."""
    from steersman.backends.datasets import write_minari, write_table

    return write_table(path, data) if form == "dataset" else write_minari(path, data)


def read(path: Path) -> Dataset:
    """Return the data set of a Parquet file or of a folder. Raises NotFound or InvalidInput, with the way out."""
    from steersman.backends.datasets import read_minari, read_table

    return read_minari(path) if path.is_dir() else read_table(path)

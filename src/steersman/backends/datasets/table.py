"""A data set as one Parquet table: a row for each transition, and what it is about in the table's metadata."""

from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from steersman.core.dataset import Dataset
from steersman.core.errors import InvalidInput, NotFound

_KEY = b"steersman"
_COLUMNS = (
    "observation",
    "action",
    "reward",
    "terminated",
    "truncated",
    "next_observation",
    "propensity",
    "episode",
    "step",
    "version",
)


class About(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a data set is about, as it stands in a file."""

    agent: str
    schema: str
    features: tuple[str, ...]
    dimensions: tuple[tuple[str, tuple[bool | int | float | str, ...]], ...]


def about(data: Dataset) -> About:
    """Return what a data set is about."""
    return About(agent=data.agent, schema=data.schema, features=data.features, dimensions=tuple(data.dimensions.items()))


def columns(data: Dataset) -> dict[str, Any]:
    """Return the columns of a table, as Arrow arrays; a propensity that is not known is null."""
    arrow, _ = libraries()
    known = np.isnan(data.propensities)
    return {
        "observation": vectors(data.observations),
        "action": arrow.array(data.actions),
        "reward": arrow.array(data.rewards),
        "terminated": arrow.array(data.terminated),
        "truncated": arrow.array(data.truncated),
        "next_observation": vectors(data.next_observations),
        "propensity": arrow.array(data.propensities, mask=known),
        "episode": arrow.array(data.episodes, arrow.string()),
        "step": arrow.array(data.steps),
        "version": arrow.array(data.versions, arrow.string()),
    }


def vectors(values: Any) -> Any:
    """Return rows of numbers, (n, width), as an Arrow array of lists of that width."""
    arrow, _ = libraries()
    return arrow.FixedSizeListArray.from_arrays(arrow.array(values.reshape(-1)), values.shape[1])


def dataset(about_it: About, found: Mapping[str, Any]) -> Dataset:
    """Return the data set of a table's columns, given as numpy arrays by name."""
    width = len(about_it.features)
    return Dataset(
        agent=about_it.agent,
        schema=about_it.schema,
        features=about_it.features,
        dimensions=dict(about_it.dimensions),
        observations=_matrix(found["observation"], width),
        actions=np.asarray(found["action"], dtype=np.int32),
        rewards=np.asarray(found["reward"], dtype=np.float64),
        terminated=np.asarray(found["terminated"], dtype=np.bool_),
        truncated=np.asarray(found["truncated"], dtype=np.bool_),
        next_observations=_matrix(found["next_observation"], width),
        propensities=np.asarray(found["propensity"], dtype=np.float64),
        episodes=tuple(str(each) for each in found["episode"]),
        steps=np.asarray(found["step"], dtype=np.int32),
        versions=tuple(str(each) for each in found["version"]),
    )


def write_table(path: Path, data: Dataset) -> int:
    """Write a data set to a Parquet file and return how many rows there are."""
    arrow, parquet = libraries()
    table = arrow.table(columns(data)).replace_schema_metadata({_KEY: msgspec.json.encode(about(data))})
    parquet.write_table(table, path, compression="zstd")
    return len(data)


def read_table(path: Path) -> Dataset:
    """Return the data set of a Parquet file. Raises NotFound without one, InvalidInput for any other file."""
    arrow, parquet = libraries()
    if not path.is_file():
        raise NotFound(f"no file {path}.")
    try:
        table = parquet.read_table(path)
        about_it = msgspec.json.decode((table.schema.metadata or {}).get(_KEY, b""), type=About)
        found = {name: table.column(name).to_numpy() for name in _COLUMNS}
    except (OSError, arrow.ArrowException, msgspec.MsgspecError, KeyError) as error:
        raise InvalidInput(f"{path} is no data set: {error}. Make one with `steersman export --as dataset`.") from error
    return dataset(about_it, found)


def libraries() -> tuple[Any, Any]:
    """Return pyarrow and its Parquet. Raises NotFound where they are not installed."""
    try:
        return import_module("pyarrow"), import_module("pyarrow.parquet")
    except ImportError as error:
        raise NotFound("data sets need an extra: pip install 'steersman[parquet]'.") from error


def _matrix(rows: Any, width: int) -> Any:
    return np.array(list(rows), dtype=np.float32).reshape(-1, width)

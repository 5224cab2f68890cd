"""A data set in the folders of Minari's Arrow format, as its release 0.5 reads them; Minari itself is not needed.

`data/metadata.json` describes the spaces, `data/N/part-0.arrow` holds episode N with one row for each observation, one more
than there are actions: what the last row says beside it is padding. What Minari has no column for stands in `infos`.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from steersman.backends.datasets.table import About, about, columns, dataset, libraries, vectors
from steersman.core.dataset import Dataset
from steersman.core.errors import Conflict, InvalidInput, NotFound

_READERS = ">=0.5.0"
_INFOS = ("truncated", "propensity", "episode", "step", "version", "next_observation")


class _Metadata(msgspec.Struct):
    total_episodes: int
    data_format: str
    steersman: About


def write_minari(folder: Path, data: Dataset) -> int:
    """Write a data set and return how many rows there are. Raises Conflict where the folder holds one already.

    Where a row does not follow on the row before, another of Minari's episodes begins, and the one before is truncated.
    """
    inside = folder / "data"
    if (inside / "metadata.json").exists():
        raise Conflict(f"{folder} holds a data set already. Remove it, or name another folder.")
    inside.mkdir(parents=True, exist_ok=True)
    chains = list(data.chains())
    for number, chain in enumerate(chains):
        _write_episode(inside / str(number), number, data, chain)
    size = sum(each.stat().st_size for each in inside.rglob("*") if each.is_file())
    content = _metadata(data) | {"total_episodes": len(chains), "dataset_size": round(size / 1e6, 1)}
    (inside / "metadata.json").write_text(json.dumps(content), encoding="utf-8")
    return len(data)


def _write_episode(folder: Path, number: int, data: Dataset, chain: range) -> None:
    """Write the rows of a chain, and the observation that came last."""
    arrow, _ = libraries()
    rows, padded = np.array(chain), np.array([*chain, chain[-1]])
    last = ~data.terminated[rows[-1:]]
    fields = arrow.table(columns(data)).take(arrow.array(padded)).combine_chunks()
    infos = arrow.StructArray.from_arrays([fields.column(name).combine_chunks() for name in _INFOS], names=list(_INFOS))
    batch = arrow.RecordBatch.from_pydict(
        {
            "observations": vectors(np.concatenate([data.observations[rows], data.next_observations[rows[-1:]]])),
            "actions": arrow.array(_padded(data.actions[rows])),
            "rewards": arrow.array(_padded(data.rewards[rows])),
            "terminations": arrow.array(_padded(data.terminated[rows])),
            "truncations": arrow.array(_padded(np.concatenate([data.truncated[rows[:-1]], last]))),
            "infos": infos,
        }
    )
    folder.mkdir(exist_ok=True)
    with arrow.ipc.new_file(str(folder / "part-0.arrow"), batch.schema) as writer:
        writer.write_batch(batch)
    (folder / "metadata.json").write_text(json.dumps({"id": number, "total_steps": len(rows)}), encoding="utf-8")


def _padded(values: Any) -> Any:
    return np.concatenate([values, np.zeros(1, values.dtype)])


def _metadata(data: Dataset) -> dict[str, Any]:
    width, actions = len(data.features), int(np.prod([len(each) for each in data.dimensions.values()]))
    box = {"type": "Box", "dtype": "float32", "shape": [width], "low": [0.0] * width, "high": [1.0] * width}
    return {
        "dataset_id": f"{data.agent}/log-v0",
        "total_steps": len(data),
        "data_format": "arrow",
        "observation_space": json.dumps(box),
        "action_space": json.dumps({"type": "Discrete", "dtype": "int64", "start": 0, "n": actions}),
        "minari_version": _READERS,
        "algorithm_name": "steersman",
        "description": f"Logged decisions of {data.agent}, and what came of them.",
        "steersman": msgspec.to_builtins(about(data)),
    }


def read_minari(folder: Path) -> Dataset:
    """Return the data set of a folder that `write_minari` wrote. Raises NotFound or InvalidInput for any other."""
    arrow, _ = libraries()
    file = folder / "data" / "metadata.json"
    if not file.is_file():
        raise NotFound(f"no data set in {folder}: there is no {file}.")
    try:
        described = msgspec.json.decode(file.read_bytes(), type=_Metadata)
        parts = list(_episodes(folder / "data", described.total_episodes))
    except (OSError, arrow.ArrowException, msgspec.MsgspecError, KeyError) as error:
        raise InvalidInput(
            f"{folder} is no data set of ours: {error}. Make one with `steersman export --as minari`."
        ) from error
    names = ("observation", "action", "reward", "terminated", *_INFOS)
    found = {name: [row for part in parts for row in part[name]] for name in names}
    return dataset(described.steersman, {**found, "propensity": _numbers(found["propensity"])})


def _episodes(inside: Path, count: int) -> Iterator[dict[str, list[Any]]]:
    """Yield the columns of each episode, by the names that they have in a table, without the padding."""
    arrow, _ = libraries()
    for number in range(count):
        with arrow.OSFile(str(inside / str(number) / "part-0.arrow")) as source, arrow.ipc.open_file(source) as reader:
            batch = reader.get_batch(0)
        infos = batch.column("infos")
        fields = {"observation": "observations", "action": "actions", "reward": "rewards", "terminated": "terminations"}
        held = {name: batch.column(column) for name, column in fields.items()}
        held |= {name: infos.field(name) for name in _INFOS}
        yield {name: column.to_pylist()[:-1] for name, column in held.items()}


def _numbers(values: list[float | None]) -> list[float]:
    return [float("nan") if each is None else each for each in values]

"""Lines of an exported log in and out of Parquet, unchanged."""

from collections.abc import Iterable, Iterator
from importlib import import_module
from itertools import islice
from pathlib import Path
from typing import Any

import msgspec

from steersman.core.errors import InvalidInput, NotFound

_BATCH = 10_000
_COLUMNS = ("kind", "agent", "decision_id", "at", "reward", "line")


def write_lines(path: Path, lines: Iterable[bytes]) -> int:
    """Write lines to a Parquet file and return how many rows there are, the header not counted."""
    arrow, parquet = _libraries()
    numbers = arrow.float64()
    schema = arrow.schema([(name, numbers if name in ("at", "reward") else arrow.string()) for name in _COLUMNS])
    count = -1
    rest = iter(lines)
    with parquet.ParquetWriter(path, schema, compression="zstd") as writer:
        while batch := list(islice(rest, _BATCH)):
            writer.write_table(arrow.Table.from_pylist([_columns(line) for line in batch], schema=schema))
            count += len(batch)
    return count


def read_lines(path: Path) -> Iterator[bytes]:
    """Yield the lines of a Parquet file written by `write_lines`. Raises InvalidInput for any other."""
    arrow, parquet = _libraries()
    try:
        file = parquet.ParquetFile(path)
    except (OSError, arrow.ArrowException) as error:
        raise InvalidInput(f"{path} is no Parquet file: {error}.") from error
    if "line" not in file.schema_arrow.names:
        raise InvalidInput(f"{path} has no column 'line'; make it with `steersman export FILE.parquet`.")
    for batch in file.iter_batches(columns=["line"]):
        for line in batch.column(0).to_pylist():
            yield str(line).encode()


def _columns(line: bytes) -> dict[str, object]:
    content = msgspec.json.decode(line)
    kind = "decision" if "decision" in content else "outcome" if "outcome" in content else "header"
    row = content.get(kind, {})
    return {
        "kind": kind,
        "agent": row.get("agent"),
        "decision_id": row.get("decision_id", row.get("id")),
        "at": row.get("decided_at", row.get("reported_at")),
        "reward": row.get("reward"),
        "line": line.decode(),
    }


def _libraries() -> tuple[Any, Any]:
    try:
        return import_module("pyarrow"), import_module("pyarrow.parquet")
    except ImportError as error:
        raise NotFound("Parquet needs an extra: pip install 'steersman[parquet]'.") from error

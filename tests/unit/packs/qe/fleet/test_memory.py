"""What a skill keeps comes back in the next run, and a file that is broken costs practice only."""

from pathlib import Path

import numpy as np
import pytest

from steersman.packs.qe.fleet.memory import Memory


def test_what_is_kept_is_there_in_the_next_run(tmp_path: Path) -> None:
    Memory(tmp_path / "new").keep("order", {"a": np.arange(3), "b": np.zeros((2, 2))})
    kept = Memory(tmp_path / "new").kept("order")
    assert kept is not None
    assert (kept["a"].tolist(), kept["b"].shape) == ([0, 1, 2], (2, 2))
    assert [each.name for each in (tmp_path / "new").iterdir()] == ["order.npz"]


def test_without_a_folder_it_lasts_for_the_run() -> None:
    memory = Memory()
    assert memory.kept("order") is None
    memory.keep("order", {"a": np.arange(3)})
    assert memory.kept("order") is not None


@pytest.mark.parametrize("content", [b"", b"no arrays", b"PK\x03\x04 half a zip"])
def test_a_broken_file_counts_as_none_and_is_replaced(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "order.npz").write_bytes(content)
    assert Memory(tmp_path).kept("order") is None
    Memory(tmp_path).keep("order", {"a": np.arange(3)})
    assert Memory(tmp_path).kept("order") is not None


def test_objects_are_never_read(tmp_path: Path) -> None:
    np.savez(tmp_path / "order.npz", a=np.array([{"x": 1}], dtype=object))
    assert Memory(tmp_path).kept("order") is None


def test_a_folder_that_cannot_be_made_keeps_this_run_only(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    memory = Memory(tmp_path / "file" / "inside")
    memory.keep("order", {"a": np.arange(3)})
    assert memory.kept("order") is not None
    assert Memory(tmp_path / "file" / "inside").kept("order") is None

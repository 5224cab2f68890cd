"""What skills practise is kept beside the store that is really used, and apart for each project."""

from pathlib import Path

import pytest

from steersman.cli.qe import memory


@pytest.fixture(autouse=True)
def _data_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.delenv("STEERSMAN_STORE", raising=False)


def test_what_skills_practise_lies_beside_a_store_that_is_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = str(tmp_path / "log.db")
    given = memory(file, tmp_path)
    assert Path(given).parent == tmp_path / "log.memory"
    monkeypatch.setenv("STEERSMAN_STORE", file)
    assert memory(None, tmp_path) == given


@pytest.mark.parametrize("store", [None, "postgresql://host/steersman"])
def test_without_such_a_file_it_lies_in_the_data_folder(tmp_path: Path, store: str | None) -> None:
    assert Path(memory(store, tmp_path)).is_relative_to(tmp_path / "data")


@pytest.mark.parametrize("store", ["memory:", "memory://"])
def test_a_store_in_memory_keeps_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, store: str) -> None:
    monkeypatch.setenv("STEERSMAN_STORE", store)
    assert memory(None, tmp_path) == memory(store, tmp_path) == ""


def test_projects_with_one_store_do_not_share_it(tmp_path: Path) -> None:
    assert memory("log.db", tmp_path / "one") != memory("log.db", tmp_path / "two")

"""Runs are kept in a folder or a table; folders merge by copying, and damage costs what is damaged and no more."""

import shutil
from pathlib import Path

import pytest

from steersman.core.errors import InvalidInput
from steersman.plugins.run_table import RunTable
from steersman.plugins.runs import FAILED, PASSED, RunFolder, RunStore, first_line, last_line, line_of, parsed
from tests.unit.plugins.conftest import Keep, run_id


@pytest.fixture(params=["folder", "sqlite", "postgresql"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> RunStore:
    if request.param == "folder":
        return RunFolder(tmp_path / "runs")
    if request.param == "sqlite":
        return RunTable(f"sqlite:///{tmp_path}/deep/runs.db", tmp_path / "cache")
    return RunTable(request.getfixturevalue("new_store_url"), tmp_path / "cache")


def test_what_is_kept_is_read_again(store: RunStore, keep: Keep) -> None:
    assert store.sizes() == {}
    run = keep({"a": PASSED, "b": FAILED}, store=store, seconds=[0.5, 2.0], commit="abc")
    found = store.read(run)
    assert (found.tests, found.seconds, found.verdicts, found.reruns) == (("a", "b"), (0.5, 2.0), (PASSED, FAILED), (0, 0))
    assert (found.about["commit"], found.whole) == ("abc", True)
    assert (sorted(found.failed), sorted(found.passed)) == (["b"], ["a"])
    assert list(store.sizes()) == [run]
    assert store.sizes()[run] > 80


def test_runs_come_in_the_order_of_their_time_and_old_ones_go(store: RunStore, keep: Keep) -> None:
    for number in (3, 1, 2):
        keep(["a"], store=store, number=number)
    assert list(store.sizes()) == [run_id(1), run_id(2), run_id(3)]
    store.prune(2)
    assert list(store.sizes()) == [run_id(2), run_id(3)]
    store.prune(2)
    assert list(store.sizes()) == [run_id(2), run_id(3)]


def test_a_run_that_is_gone_is_told(store: RunStore) -> None:
    with pytest.raises((InvalidInput, FileNotFoundError)):
        store.read(run_id(1))


def test_folders_merge_by_copying(tmp_path: Path, keep: Keep) -> None:
    one, other = RunFolder(tmp_path / "one"), RunFolder(tmp_path / "other")
    for number in range(4):
        keep(["a"], store=(one, other)[number % 2], number=number)
    shutil.copytree(other.folder, one.folder, dirs_exist_ok=True)
    assert list(one.sizes()) == [run_id(number) for number in range(4)]


def test_a_folder_keeps_itself_out_of_git_and_takes_no_other_file_for_a_run(folder: RunFolder, keep: Keep) -> None:
    keep(["a"])
    assert (folder.folder / ".gitignore").read_text().endswith("*\n")
    (folder.folder / "notes.jsonl").write_text("{}")
    assert len(folder.sizes()) == 1
    folder.prune(1)
    assert (folder.folder / "notes.jsonl").exists()


def test_what_a_crash_left_is_read_as_far_as_it_goes() -> None:
    text = first_line({}) + line_of("a", 1.0, PASSED, 0) + line_of("b", 1.0, FAILED, 2)[:-9]
    run = parsed("x", text.encode())
    assert (run.tests, run.whole) == (("a",), False)


@pytest.mark.parametrize(
    "line",
    [
        b"\xff\xfe",
        b"[]",
        b"7",
        b'["b"]',
        b'["b", -1.0, "passed"]',
        b'["b", NaN, "passed"]',
        b'["b", 1, "odd"]',
        b'[1, 1, "passed"]',
    ],
)
def test_a_damaged_line_is_left_out_and_no_other(line: bytes) -> None:
    whole = [first_line({}), line_of("a", 1.0, PASSED, 0), line_of("c", 1.0, PASSED, 1), last_line(0, whole=True)]
    text = [each.encode() for each in whole]
    run = parsed("x", b"".join([*text[:2], line + b"\n", *text[2:]]))
    assert (run.tests, run.reruns, run.whole) == (("a", "c"), (0, 1), True)


@pytest.mark.parametrize("text", [b"", b"\x00\x00", b'["a", 1.0, "passed"]\n', b'{"format": 2}\n', b"null"])
def test_a_file_that_does_not_begin_as_a_run_is_none(text: bytes) -> None:
    with pytest.raises(InvalidInput, match="damaged, or of another version"):
        parsed("x", text)


@pytest.mark.parametrize("url", ["mysql://there/runs", "://", "redis://there"])
def test_another_database_is_refused_with_the_way_out(url: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="sqlite:///FILE or postgresql://…"):
        RunTable(url, tmp_path)

"""A real bug is a commit whose tests fail on the sources before it and pass on those after; others are counted by reason."""

import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from steersman.packs.qe.faults.bug_fixes import History, find_bug_fixes
from steersman.packs.qe.project.discovery import discover
from tests.unit.packs.qe.conftest import Lines, write

BUGGY = "def least(a, b):\n    return a if a > b else b\n"
RIGHT = BUGGY.replace(">", "<")
TIDY = "def least(a, b):\n    if a < b:\n        return a\n    return b\n"
TEST_ONE = "from calc import least\n\n\ndef test_same():\n    assert least(1, 1) == 1\n"
TEST_TWO = TEST_ONE + "\n\ndef test_least():\n    assert least(1, 2) == 1\n"
TEST_THREE = TEST_TWO + "\n\ndef test_other_way():\n    assert least(2, 1) == 1\n"
WITH_MOST = TIDY + "\n\ndef most(a, b):\n    return b if a < b else a\n"
TEST_MOST = "from calc import most\n\n\ndef test_most():\n    assert most(1, 2) == 2\n"


def git(root: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "init.defaultBranch=main"]
    done = subprocess.run(["git", "-C", str(root), *identity, *arguments], check=True, capture_output=True, text=True)
    return done.stdout.strip()


def commit(root: Path, message: str, files: Mapping[str, str], folder: str = "") -> str:
    """Write files, commit them, and return the first letters of the commit."""
    write(root / folder, files)
    git(root, "add", "-A")
    git(root, "commit", "-q", "-m", message)
    return git(root, "rev-parse", "HEAD")


def story(root: Path, folder: str = "") -> str:
    """Write a history with one mended bug, and return its commit."""
    root.mkdir(parents=True, exist_ok=True)
    git(root, "init", "-q")
    commit(root, "First version", {"calc.py": BUGGY, "tests/test_calc.py": TEST_ONE}, folder)
    fix = commit(root, "Fix least: it gave the most", {"calc.py": RIGHT, "tests/test_calc.py": TEST_TWO}, folder)
    commit(root, "One more test", {"tests/test_calc.py": TEST_THREE}, folder)
    commit(root, "Tidy up, and a wrong word in a test", {"calc.py": TIDY, "tests/test_calc.py": TEST_TWO}, folder)
    commit(root, "A new function", {"calc.py": WITH_MOST, "tests/test_most.py": TEST_MOST}, folder)
    return fix


def look(root: Path, *, budget_s: float = 300.0, timeout_s: float = 60.0) -> History:
    return find_bug_fixes(discover(root), timeout_s=timeout_s, budget_s=budget_s, memory_mb=0.0, progress=Lines())


def untouched(root: Path) -> tuple[str, str, frozenset[tuple[str, bytes]]]:
    files = frozenset((each.name, each.read_bytes()) for each in root.rglob("*") if each.is_file())
    return git(root, "rev-parse", "HEAD"), git(root, "status", "--porcelain"), files


@pytest.mark.parametrize("folder", ["", "deep/project"])
def test_one_bug_among_other_commits(tmp_path: Path, folder: str) -> None:
    fix = story(tmp_path / "repository", folder)
    before = untouched(tmp_path / "repository")
    found = look(tmp_path / "repository" / folder)
    assert [(each.commit, each.message, each.says_so) for each in found.fixes] == [
        (fix, "Fix least: it gave the most", True)
    ]
    assert (found.fixes[0].files, found.fixes[0].tests) == (("calc.py",), ("tests/test_calc.py",))
    assert found.fixes[0].killers == ("tests/test_calc.py::test_least",)
    assert (found.commits, found.left_out) == (
        3,
        {"no test tells before from after": 1, "its tests need what it brought": 1},
    )
    assert untouched(tmp_path / "repository") == before
    assert found.cpu_s > 0


def test_a_dirty_tree_and_a_hook_of_another_repository_change_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fix = story(tmp_path / "repository")
    write(tmp_path / "repository", {"calc.py": "def least(a): ...\n", "tests/test_new.py": "import nothing\n"})
    git(tmp_path / "repository", "add", "tests/test_new.py")
    git(tmp_path, "init", "-q", "other")
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "other" / ".git"))
    assert [each.commit for each in look(tmp_path / "repository").fixes] == [fix]


def test_merges_are_no_fixes_and_what_came_by_them_is_seen(tmp_path: Path) -> None:
    root = tmp_path / "repository"
    fix = story(root)
    git(root, "checkout", "-q", "-b", "side", "HEAD~2")
    commit(root, "Aside", {"notes.txt": "nothing\n"})
    git(root, "merge", "-q", "-m", "Fix all by a merge", "-")
    assert [each.commit for each in look(root).fixes] == [fix]


def test_tests_that_are_kept_out_of_archives_are_run(tmp_path: Path) -> None:
    root = tmp_path / "repository"
    root.mkdir()
    git(root, "init", "-q")
    ignored = {".gitattributes": "tests export-ignore\n"}
    commit(root, "First", {"calc.py": BUGGY, "tests/test_calc.py": TEST_ONE} | ignored)
    fix = commit(root, "Correct: returns the least", {"calc.py": RIGHT, "tests/test_calc.py": TEST_TWO})
    commit(root, "Later", {"tests/test_calc.py": TEST_ONE})
    assert [each.commit for each in look(root).fixes] == [fix]


def test_sources_that_a_fix_adds_or_deletes(tmp_path: Path) -> None:
    root = tmp_path / "repository"
    root.mkdir()
    git(root, "init", "-q")
    old = {"pack/__init__.py": "from pack.old import least\n", "pack/old.py": BUGGY}
    test = TEST_ONE.replace("calc", "pack")
    commit(root, "First", old | {"tests/test_calc.py": test})
    git(root, "rm", "-q", "pack/old.py")
    new = {"pack/__init__.py": "from pack.new import least\n", "pack/new.py": RIGHT}
    fix = commit(root, "Wrong result mended", new | {"tests/test_calc.py": test + TEST_TWO.removeprefix(TEST_ONE)})
    commit(root, "fixed: nothing", {"pack/new.py": TIDY, "tests/test_calc.py": test})
    found = look(root)
    assert [(each.commit, each.killers) for each in found.fixes] == [(fix, ("tests/test_calc.py::test_least",))]
    assert found.left_out == {"no test tells before from after": 1}


def test_what_does_not_run_today_is_counted_by_reason(tmp_path: Path) -> None:
    root = tmp_path / "repository"
    root.mkdir()
    git(root, "init", "-q")
    commit(root, "First", {"calc.py": BUGGY, "tests/test_calc.py": TEST_ONE})
    commit(root, "Fix in another Python", {"calc.py": "print 'no'\n", "tests/test_calc.py": TEST_TWO})
    commit(root, "Fix that does not pass", {"calc.py": BUGGY, "tests/test_calc.py": TEST_TWO.replace("_same", "_s")})
    slow = "import time\nfrom calc import least\n\n\ndef test_slow():\n    time.sleep(99)\n"
    commit(root, "Fix that hangs", {"calc.py": RIGHT, "tests/test_calc.py": slow})
    commit(root, "Last", {"tests/test_calc.py": TEST_ONE})
    found = look(root, timeout_s=6.0)
    assert found.fixes == ()
    assert sum(found.left_out.values()) == found.commits == 3
    assert found.left_out["its sources cannot be read with this Python"] == 1
    assert found.left_out["its tests did not end in time"] == 1


def test_without_time_or_without_git_there_is_no_history_and_it_says_why(tmp_path: Path) -> None:
    story(tmp_path / "repository")
    late = look(tmp_path / "repository", budget_s=0.0)
    assert (late.fixes, late.left_out) == ((), {"out of time": 3})
    root = write(tmp_path / "plain", {"calc.py": RIGHT, "tests/test_calc.py": TEST_ONE})
    assert "not a git repository" in look(root).reason
    git(root, "init", "-q")
    assert look(root).reason

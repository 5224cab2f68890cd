"""`steersman bench faults` from the outside, on a small project with a history."""

import json
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

FIRST = '''def fare(age: int, km: int) -> int:
    """Half for children, and never less than two."""
    price = 2 + km * 3
    if 0 and price:
        price = price + 1
    if age < 12:
        price = price * 2
    return price


def tip(amount: int) -> int:
    return amount + amount // 10
'''
MENDED = FIRST.replace("price * 2", "price // 2")
TIDY = MENDED.replace("    price = 2 + km * 3\n", "    price = 3 * km + 2\n")
TEST_FIRST = "from fares import fare\n\n\ndef test_adult():\n    assert fare(30, 2) == 8\n"
TEST_MENDED = TEST_FIRST + "\n\ndef test_child():\n    assert fare(5, 2) == 4\n"
TEST_MORE = TEST_MENDED + "\n\ndef test_far():\n    assert fare(30, 10) == 32\n"


def git(root: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
    done = subprocess.run(["git", "-C", str(root), *identity, *arguments], check=True, capture_output=True, text=True)
    return done.stdout.strip()


def commit(root: Path, message: str, files: Mapping[str, str]) -> str:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    git(root, "add", "-A")
    git(root, "commit", "-q", "-m", message)
    return git(root, "rev-parse", "HEAD")


@pytest.fixture
def project(tmp_path: Path) -> tuple[Path, str]:
    """A project in a folder of a repository, and the commit that mended its one real bug."""
    root = tmp_path / "city" / "fares"
    root.mkdir(parents=True)
    git(tmp_path / "city", "init", "-q")
    commit(root, "Fares", {"fares.py": FIRST, "tests/test_fares.py": TEST_FIRST})
    mended = commit(root, "Fix: children paid double", {"fares.py": MENDED, "tests/test_fares.py": TEST_MENDED})
    commit(root, "Another test", {"tests/test_fares.py": TEST_MORE})
    commit(root, "Fixed the order of factors", {"fares.py": TIDY, "tests/test_fares.py": TEST_MORE + "\n# one day more\n"})
    return root, mended


def told(report: Any, line: int, after: str) -> Any:
    return next(each for each in report["faults"] if (each["fault"]["line"], each["fault"]["after"]) == (line, after))


@pytest.mark.long
def test_faults_are_judged_kept_and_run_again(cli: Callable[..., Any], project: tuple[Path, str], tmp_path: Path) -> None:
    root, mended = project
    (root / "notes.txt").write_text("not committed\n")
    before = git(root, "status", "--porcelain"), {each: each.read_bytes() for each in root.rglob("*") if each.is_file()}
    done = cli("bench", "faults", str(root), "--count", "40", "--budget", "10m", "--json", timeout_s=600.0)
    assert done.code == 0, done.err
    report = done.json
    assert told(report, 5, "-")["fate"] == "equivalent"
    assert told(report, 7, "pass")["killers"] == ["tests/test_fares.py::test_child"]
    assert told(report, 6, "<=")["fate"] == "witnessed"  # nobody of exactly twelve is in a test
    assert told(report, 12, "None")["witness"]["imports"] == ["from fares import tip"]
    assert 0.0 < report["score"]["low"] <= report["score"]["high"] < 1.0
    assert [(each["commit"], each["killers"]) for each in report["history"]["fixes"]] == [
        (mended, ["tests/test_fares.py::test_child"])
    ]
    assert report["history"]["left_out"] == {"no test tells before from after": 1}
    after = git(root, "status", "--porcelain"), {each: each.read_bytes() for each in root.rglob("*") if each.is_file()}
    assert after == before

    kept = {**report, "faults": [each for each in report["faults"] if each["fault"]["line"] in (5, 12)]}
    assert {"equivalent", "witnessed"} <= {each["fate"] for each in kept["faults"]}
    (tmp_path / "kept.json").write_text(json.dumps(kept))
    more = TEST_MORE + "\n\ndef test_tip():\n    from fares import tip\n\n    assert tip(25) == 27\n"
    (root / "tests" / "test_fares.py").write_text(more)
    again = cli(
        "bench", "faults", str(root), "--faults", "kept.json", "--no-git", "--budget", "10m", "--json", timeout_s=600.0
    )
    assert again.code == 0, again.err
    assert [each["fault"] for each in again.json["faults"]] == [each["fault"] for each in kept["faults"]]
    assert told(again.json, 12, "None")["fate"] == "killed"
    assert told(again.json, 5, "-")["fate"] == "equivalent"
    assert again.json["score"]["low"] > report["score"]["low"]

    (root / "fares.py").write_text(FIRST)
    refused = cli("bench", "faults", str(root), "--faults", "kept.json", "--no-git")
    assert refused.code == 3
    assert "faults of files that are not as they were: fares.py" in refused.err


def test_the_report_for_people_and_a_project_without_git(cli: Callable[..., Any], tmp_path: Path) -> None:
    for name, text in {"fares.py": MENDED, "test_fares.py": TEST_MENDED}.items():
        (tmp_path / name).write_text(text)
    done = cli("bench", "faults", ".", "--count", "4", "--seed", "1", "--budget", "5m", timeout_s=600.0)
    assert done.code == 0, done.err
    for words in (
        "What became of the faults",
        "Mutation score of these faults:",
        "not a git repository",
        "--faults FILE",
    ):
        assert words in done.out
    assert "running the suite on faults" in done.err


def test_what_cannot_be_done_is_told(command: Callable[..., Any], tmp_path: Path) -> None:
    assert command("bench", "faults", "nowhere").code == 6
    assert command("bench", "faults", ".", "--budget", "soon").code == 3
    (tmp_path / "fares.py").write_text(MENDED)
    (tmp_path / "test_fares.py").write_text(TEST_FIRST + "\n\ndef test_endless():\n    while True:\n        pass\n")
    done = command("bench", "faults", ".", "--timeout", "4", "--no-git")
    assert done.code == 4, done.err
    assert "did not end within 4 s" in done.err

"""What git says of the sources: alike is alike, and what changed is what differs, with what is new."""

import os
import subprocess
from pathlib import Path

import pytest

from steersman.core.errors import InvalidInput, NotFound
from steersman.plugins.sources import Sources


def git(root: Path, *arguments: str) -> None:
    named = ("-c", "user.name=A", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false")
    subprocess.run(["git", *named, *arguments], cwd=root, check=True, capture_output=True)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project below the root of its repository, with one commit."""
    root = tmp_path / "repository" / "project"
    (root / "src").mkdir(parents=True)
    (root / "src" / "a.py").write_text("A = 1\n")
    (root / "b c.py").write_text("B = 1\n")
    (root.parent / "outside.py").write_text("\n")
    git(root.parent, "init", "-q", "-b", "main")
    git(root.parent, "add", ".")
    git(root.parent, "commit", "-qm", "first")
    return root


@pytest.fixture
def sources(project: Path) -> Sources:
    return Sources(project, project / ".steersman" / "pytest")


def test_what_differs_and_what_is_new_has_changed(project: Path, sources: Sources) -> None:
    assert sources.changed("HEAD") == []
    (project / "src" / "a.py").write_text("A = 2\n")
    (project / "b c.py").unlink()
    (project / "näw.py").write_text("")
    (project.parent / "outside.py").write_text("changed\n")
    assert sources.changed("HEAD") == ["b c.py", "näw.py", "src/a.py"]
    assert sources.python_files() == ["näw.py", "src/a.py"]


def test_a_branch_is_compared_from_where_it_parted(project: Path, sources: Sources) -> None:
    git(project, "checkout", "-qb", "mine")
    (project / "src" / "a.py").write_text("A = 2\n")
    git(project, "commit", "-qam", "mine")
    git(project, "checkout", "-q", "main")
    (project / "b c.py").write_text("B = 2\n")
    git(project, "commit", "-qam", "theirs")
    git(project, "checkout", "-q", "mine")
    assert sources.changed("main") == ["src/a.py"]


def test_the_same_code_has_the_same_mark_and_other_code_another(project: Path, sources: Sources) -> None:
    commit = sources.commit()
    first = sources.fingerprint(commit)
    assert Sources(project, project / "elsewhere").fingerprint(commit) == first
    (project / ".steersman" / "pytest").mkdir(parents=True)
    (project / ".steersman" / "pytest" / "run.py").write_text("")
    (project / "report.xml").write_text("")
    assert sources.fingerprint(commit) == first, "a store and a report are no sources"
    (project / "new.py").write_text("N = 1\n")
    second = sources.fingerprint(commit)
    (project / "new.py").write_text("N = 2\n")
    third = sources.fingerprint(commit)
    (project / "src" / "a.py").write_text("A = 3\n")
    assert len({first, second, third, sources.fingerprint(commit)}) == 4


def test_what_is_no_unicode_is_only_bytes(project: Path, sources: Sources) -> None:
    before = sources.fingerprint(sources.commit())
    (project / "src" / "a.py").write_bytes("# -*- coding: latin-1 -*-\nA = 'ä'\n".encode("latin-1"))
    (project / os.fsdecode(b"odd\xff.py")).write_text("")
    assert sources.fingerprint(sources.commit()) != before
    assert sources.changed("HEAD") == [os.fsdecode(b"odd\xff.py"), "src/a.py"]


@pytest.mark.parametrize("revision", ["nothing", "--output=stolen", "tests/"])
def test_an_unknown_revision_is_told_with_the_way_out(project: Path, sources: Sources, revision: str) -> None:
    with pytest.raises(InvalidInput, match="--steersman-changed=REV before paths"):
        sources.changed(revision)
    assert not (project / "stolen").exists()


def test_without_git_that_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sources: Sources) -> None:
    with pytest.raises(NotFound, match="not a git repository"):
        Sources(tmp_path, tmp_path / "store").commit()
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(NotFound, match="git cannot be asked"):
        sources.commit()
